import { expect, test } from 'tstyche'
import type { FastifyInstance } from 'fastify'
import type { Int64Atomic, Uint32Atomic } from '../../plugins/atomic/index.ts'
import swoole from '../../plugins/swoole.ts'
import type { SwooleOptions, SwooleRuntime } from '../../plugins/swoole.ts'

declare const fastify: FastifyInstance

test('the decorators have their types', () => {
  expect(fastify.swoole).type.toBe<SwooleRuntime>()
  expect(fastify.swoole.role).type.toBe<'http' | 'task' | 'standalone'>()
  expect(fastify.swoole.reload()).type.toBe<Promise<{ generation: number, durationMs: number }>>()
  expect(fastify.atomic('n')).type.toBe<Uint32Atomic>()
  expect(fastify.atomic('n').add(1)).type.toBe<number>()
  expect(fastify.atomicLong('n', 1n)).type.toBe<Int64Atomic>()
  expect(fastify.atomicLong('n').add(1n)).type.toBe<bigint>()
  expect(fastify.atomic('n').wait('5s')).type.toBe<Promise<boolean>>()
  expect(fastify.atomic).type.not.toBeCallableWith('n', 1n)
})

test('what a route says of its answers', () => {
  const config = { cache: { ttl: '1m', vary: ['accept-language'] } }
  fastify.get('/', { config }, async () => '')
  fastify.get('/news/:id', { config: { cache: { tags: (request) => [`news ${request.params.id}`], key: ({ query }) => query.page } } }, async () => '')
})

test('the options are those of the schemas', () => {
  expect(fastify.register(swoole, { performance: { workerNum: 2, drainTimeout: '30s' }, memory: { size: '64mb' }, metrics: false })).type.not.toRaiseError()
  expect<SwooleOptions>().type.not.toBeAssignableFrom({ performance: { workerNum: 'many' } })
  expect<SwooleOptions>().type.not.toBeAssignableFrom({ engine: 'files' as const })
  expect(fastify.swoole.options.performance.drainTimeout).type.toBe<number>()
  expect(fastify.swoole.options.memory.size).type.toBe<number>()
})
