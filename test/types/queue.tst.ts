import { expect, test } from 'tstyche'
import type { FastifyInstance } from 'fastify'
import type { DeadLetter, Queue, QueueConsumer, QueueOptions, QueueStats } from '../../plugins/queue/index.ts'

declare const fastify: FastifyInstance

interface Job { id: number }

test('a queue has the type of its items', () => {
  const queue = fastify.queue<Job>('jobs')
  expect(queue).type.toBe<Queue<Job>>()
  expect(fastify.queue('jobs')).type.toBe<Queue<unknown>>()
  expect(queue.push({ id: 1 }, { delay: '5s', timeout: 100, signal: AbortSignal.timeout(5) })).type.toBe<Promise<boolean>>()
  expect(queue.push).type.not.toBeCallableWith({ id: 'one' })
  expect(queue.pop({ timeout: '5s' })).type.toBe<Promise<Job | undefined>>()
  expect(queue.peek()).type.toBe<Promise<Job | undefined>>()
  expect(queue.deadLetters()).type.toBe<Promise<Array<DeadLetter<Job>>>>()
  expect(queue.retryDeadLetters()).type.toBe<Promise<number>>()
  expect(queue.clearDeadLetters()).type.toBe<Promise<number>>()
  expect(queue.isEmpty()).type.toBe<Promise<boolean>>()
  expect(queue.getSize()).type.toBe<Promise<number>>()
  expect(queue.clear()).type.toBe<Promise<void>>()
  expect(queue.getStats()).type.toBe<Promise<QueueStats>>()
})

test('a handler has the item, the attempt and a signal', () => {
  const consumer = fastify.queue<Job>('jobs').consume(async (item, { attempt, signal }) => {
    expect(item).type.toBe<Job>()
    expect(attempt).type.toBe<number>()
    expect(signal).type.toBe<AbortSignal>()
  }, { concurrency: 4 })
  expect(consumer).type.toBe<QueueConsumer>()
  expect(consumer.stop()).type.toBe<Promise<void>>()
})

test('the options are those of the interface', () => {
  expect<QueueOptions>().type.toBeAssignableFrom({ capacity: 10, maxBytes: '1mb', maxAttempts: 5, backoff: { initial: '1s', factor: 3, max: '1m', jitter: 0.5 }, visibilityTimeout: '30s' })
  expect<QueueOptions>().type.toBeAssignableFrom({ backoff: '5s' })
  expect<QueueOptions>().type.not.toBeAssignableFrom({ maxSize: 10 })
})
