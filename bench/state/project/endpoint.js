/* An answer for which a product is looked up and kept again, within a limit; and the same out of the worker's own memory. */
import rateLimit from '@fastify/rate-limit'
import swoole from 'fastify-swoole'

const PRODUCTS = 1000
const MAX = 1_000_000_000
const TTL_SECONDS = 600

const schema = { response: { 200: { type: 'object', properties: { id: { type: 'integer' }, name: { type: 'string' } } } } }
const products = JSON.parse(process.env.PRODUCTS_JSON)
const keyOf = (n) => `fastify-swoole-bench:product:${n}`

const variants = {
  async bare () {
    return { find: async (n) => products[n % products.length], keep: async () => {}, config: {} }
  },
  async 'fastify-swoole' (fastify) {
    const { cache } = fastify
    return {
      find: (n) => cache.get(keyOf(n)),
      keep: (n, product) => cache.set(keyOf(n), product),
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
      keep: (n, product) => redis.set(keyOf(n), JSON.stringify(product), 'EX', TTL_SECONDS),
      config: { rateLimit: { max: MAX, timeWindow: '1 minute' } }
    }
  }
}

export const options = { logger: false }

export default async function app (fastify, _options) {
  await fastify.register(swoole, { cache: { size: '32mb' } })
  const { find, keep, config } = await variants[process.env.VARIANT](fastify)
  for (let n = 0; n < PRODUCTS; n++) await keep(n, products[n % products.length])
  let asked = 0
  fastify.get('/', { schema, config }, async () => {
    const n = asked++ % PRODUCTS
    const product = await find(n)
    await keep(n, product)
    return product
  })
}
