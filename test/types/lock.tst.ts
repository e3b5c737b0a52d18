import { expect, test } from 'tstyche'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Lock, LockHandle } from '../../plugins/lock/index.ts'

declare const fastify: FastifyInstance

test('a lock has its types', () => {
  expect(fastify.lock('x')).type.toBe<Lock>()
  expect(fastify.lock('x', { type: 'semaphore', permits: 3 })).type.toBe<Lock>()
  expect(fastify.lock('x', { deadlockTimeout: false })).type.toBe<Lock>()
  expect(fastify.lock('x').lock({ timeout: '5s', signal: AbortSignal.timeout(1) })).type.toBe<Promise<LockHandle>>()
  expect(fastify.lock('x').trylock()).type.toBe<LockHandle | undefined>()
  expect(fastify.lock('x').synchronized(() => 5)).type.toBe<Promise<number>>()
  expect(fastify.lock('x').synchronizedRead(async ({ abandoned }) => abandoned)).type.toBe<Promise<boolean>>()
  expect<LockHandle>().type.toBeAssignableTo<Disposable & AsyncDisposable>()
  expect(fastify.lock).type.not.toBeCallableWith('x', { type: 'sem' })
  expect(fastify.lock).type.not.toBeCallableWith('x', { permits: '3' })
  expect(fastify.lock).type.not.toBeCallableWith(5)
})

test('routes keep the types that Fastify gives them', () => {
  fastify.get('/', async (request, reply) => {
    expect(request.url).type.toBe<string>()
    expect(reply.sent).type.toBe<boolean>()
  })
  fastify.post<{ Body: { n: number } }>('/', { schema: {} }, async (request) => {
    expect(request.body.n).type.toBe<number>()
  })
  fastify.put('/', { handler: async (request) => { expect(request).type.toBeAssignableTo<FastifyRequest>() } })
})
