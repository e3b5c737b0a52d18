/* One small route, and whose limit it has. */
import rateLimit from '@fastify/rate-limit'
import swoole from 'fastify-swoole'

const schema = { response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } } }
// So much that nobody is refused, on any machine.
const MAX = 1_000_000_000
const ours = { rateLimiter: { maxRequests: MAX, window: '1m' } }
const theirs = { rateLimit: { max: MAX, timeWindow: '1 minute' } }

const variants = {
  bare: async () => ({}),
  'config.rateLimiter': async () => ours,
  'config.rateLimiter, X-RateLimit only': async () => ({ rateLimiter: { ...ours.rateLimiter, headers: 'legacy' } }),
  'config.rateLimiter, no fields': async () => ({ rateLimiter: { ...ours.rateLimiter, headers: 'none' } }),
  async '@fastify/rate-limit' (fastify) {
    await fastify.register(rateLimit, { global: false })
    return theirs
  },
  async '@fastify/rate-limit on our Store' (fastify) {
    await fastify.register(rateLimit, { global: false, store: fastify.rateLimiter.Store })
    return theirs
  },
  async '@fastify/rate-limit on Redis' (fastify) {
    // It makes reading characters slower in V8 for all else, so only who uses it is to load it.
    const { Redis } = await import('ioredis')
    const redis = new Redis({ host: '127.0.0.1' })
    fastify.addHook('onClose', () => redis.disconnect())
    await fastify.register(rateLimit, { global: false, redis, nameSpace: 'fastify-swoole-bench:' })
    return theirs
  }
}

export const options = { logger: false }

export default async function app (fastify, _options) {
  await fastify.register(swoole)
  const config = await variants[process.env.VARIANT](fastify)
  fastify.get('/', { schema, config }, async () => ({ hello: 'world' }))
}
