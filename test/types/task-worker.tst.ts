import type { FastifyInstance } from 'fastify'
import { expect, test } from 'tstyche'
import type {} from '../../plugins/swoole.ts'

declare const fastify: FastifyInstance

test('handlers and calls have the types of their data and results', () => {
  fastify.taskWorker.registerHandler<{ to: string }, number>('mail', async (data, info) => {
    expect(data).type.toBe<{ to: string }>()
    expect(info.taskId).type.toBe<string>()
    expect(info.attempt).type.toBe<number>()
    expect(info.signal).type.toBe<AbortSignal>()
    return 5
  }, { attempts: 3, timeout: '5s', concurrency: 2, backoff: { initial: '1s' } })
  expect(fastify.taskWorker.dispatch('mail', { to: 'ann' }, { attempts: 1, delay: '5s' })).type.toBe<Promise<string>>()
  expect(fastify.taskWorker.dispatch({ type: 'mail', data: 5 })).type.toBe<Promise<string>>()
  expect(fastify.taskWorker.dispatchSync<number>('mail', undefined, { timeout: 5, signal: AbortSignal.timeout(5) })).type.toBe<Promise<number>>()
  expect(fastify.taskWorker.dispatchSync('mail')).type.toBe<Promise<unknown>>()
  expect(fastify.taskWorker.getStats()).type.toBe<Promise<{ workers: number, busy: number, queued: number, completed: number, failed: number, retried: number }>>()
})

test('what is no option is an error', () => {
  expect(fastify.taskWorker.registerHandler).type.not.toBeCallableWith('mail', () => {}, { retries: 3 })
  expect(fastify.taskWorker.dispatch).type.not.toBeCallableWith('mail', 1, { timeout: 3 })
})
