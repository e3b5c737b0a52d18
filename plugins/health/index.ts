import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { launcherRuntime } from '../runtime.ts'

export interface HealthOptions {
  /** Path that answers 200 while the process lives. Default '/livez'. */
  live?: string
  /** Path that answers 200, and 503 from the moment that a stop is announced. Default '/readyz'. */
  ready?: string
}

const health: FastifyPluginAsync<HealthOptions> = async (fastify, { live = '/livez', ready = '/readyz' }) => {
  fastify.get(live, { logLevel: 'silent' }, async () => ({ status: 'ok' }))
  fastify.get(ready, { logLevel: 'silent' }, async (_request, reply) => {
    const isReady = launcherRuntime()?.isReady() ?? true
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'stopping' })
  })
}

export default fp(health, { fastify: '5.x', name: 'fastify-swoole-health' })
