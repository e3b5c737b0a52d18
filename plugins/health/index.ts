import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { launcherRuntime } from '../runtime.ts'

export interface HealthOptions {
  /** Path that answers 200 while the process lives. Default '/livez'. */
  live?: string
  /** Path that answers 200, and 503 from the moment that a stop is announced. Default '/readyz'. */
  ready?: string
}

/** Never limited: whoever watches over the application would take a 429 for its end. */
const ROUTE = { logLevel: 'silent', config: { rateLimiter: false } } as const

const health: FastifyPluginAsync<HealthOptions> = async (fastify, { live = '/livez', ready = '/readyz' }) => {
  fastify.get(live, ROUTE, async () => ({ status: 'ok' }))
  fastify.get(ready, ROUTE, async (_request, reply) => {
    const isReady = launcherRuntime()?.isReady() ?? true
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'stopping' })
  })
}

export default fp(health, { fastify: '5.x', name: 'fastify-swoole-health' })
