/* An answer for which a value is looked up and kept again, within a limit; and the same out of the worker's own memory. */
import rateLimit from '@fastify/rate-limit'
import swoole from 'fastify-swoole'

const KEYS = 1000
const NAME = 'Product'
const MAX = 1_000_000_000
const TTL_SECONDS = 600

const schema = { response: { 200: { type: 'object', properties: { id: { type: 'integer' }, name: { type: 'string' } } } } }
const values = JSON.parse(process.env.VALUES_JSON)
const keyOf = (n) => `fastify-swoole-bench:product:${n}`

const variants = {
  async bare () {
    return { find: async (n) => values[n % values.length], keep: async () => {}, config: {} }
  },
  // What no cache can be without: text of each value, and three fields of a limit. Shared with nobody, and never full.
  async 'own Map' (fastify) {
    await fastify.register(rateLimit, { global: false })
    const texts = new Map()
    return {
      find: async (n) => JSON.parse(texts.get(keyOf(n))),
      keep: async (n, value) => { texts.set(keyOf(n), JSON.stringify(value)) },
      config: { rateLimit: { max: MAX, timeWindow: '1 minute' } }
    }
  },
  async 'fastify-swoole' (fastify) {
    const { cache } = fastify
    return {
      find: (n) => cache.get(keyOf(n)),
      keep: (n, value) => cache.set(keyOf(n), value),
      config: { rateLimiter: { maxRequests: MAX, window: '1m' } }
    }
  },
  async Redis (fastify) {
    const { Redis } = await import('ioredis')
    const redis = new Redis({ host: '127.0.0.1' })
    fastify.addHook('onClose', () => redis.disconnect())
    await fastify.register(rateLimit, { global: false, redis, nameSpace: 'fastify-swoole-bench:' })
    return {
      find: async (n) => JSON.parse(await redis.get(keyOf(n))),
      keep: (n, value) => redis.set(keyOf(n), JSON.stringify(value), 'EX', TTL_SECONDS),
      config: { rateLimit: { max: MAX, timeWindow: '1 minute' } }
    }
  }
}

export const options = { logger: false }

export default async function app (fastify, _options) {
  await fastify.register(swoole, { cache: { size: '32mb' } })
  const { find, keep, config } = await variants[process.env.VARIANT](fastify)
  for (let n = 0; n < KEYS; n++) await keep(n, values[n % values.length])
  let asked = 0
  fastify.get('/', { schema, config }, async () => {
    const n = asked++ % KEYS
    const value = await find(n)
    await keep(n, value)
    return { id: n, name: NAME }
  })
}
