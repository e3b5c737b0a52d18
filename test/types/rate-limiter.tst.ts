import type { FastifyInstance, FastifyRequest } from 'fastify'
import { expect, test } from 'tstyche'
import type { RateLimiter } from '../../plugins/swoole.ts'

declare const fastify: FastifyInstance

test('the limiter and those it makes', () => {
  expect(fastify.rateLimiter.isAllowed('a', 2)).type.toBe<Promise<boolean>>()
  expect(fastify.rateLimiter.getRemaining('a')).type.toBe<Promise<number>>()
  expect(fastify.rateLimiter.getInfo('a')).type.toBe<Promise<{ allowed: boolean, remaining: number, resetAt: Date, currentCount: number, retryAfterMs: number }>>()
  expect(fastify.rateLimiter.create('mails', { maxRequests: 10, window: '1h' })).type.toBe<RateLimiter>()
  expect(fastify.rateLimiter.isAllowed).type.not.toBeCallableWith(1)
})

test('what a route says', () => {
  fastify.get('/', { config: { rateLimiter: { maxRequests: 1, window: 1000, cost: 2, keyGenerator: (request) => request.ip } } }, async () => '')
  fastify.get<{ Params: { id: string } }>('/:id', { config: { rateLimiter: { keyGenerator: (request) => request.params.id } } }, async () => '')
  fastify.get('/typed/:id', { config: { rateLimiter: { keyGenerator: ({ params: { id } }: FastifyRequest<{ Params: { id: string } }>) => id } } }, async () => '')
  fastify.get('/plain', { config: { rateLimiter: { keyGenerator: ({ ip }: FastifyRequest) => ip } } }, async () => '')
  fastify.get('/free', { config: { rateLimiter: false } }, async () => '')
})
