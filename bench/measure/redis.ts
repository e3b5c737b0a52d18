import { Redis } from 'ioredis'

const HOST = '127.0.0.1'
const PORT = 6379

/** Keys of a benchmark that was killed go by themselves. */
export const KEPT_SECONDS = 600

/** Throws with the way to get a Redis when none answers. */
export async function connectRedis (): Promise<Redis> {
  const redis = new Redis({ host: HOST, port: PORT, keyPrefix: `fastify-swoole-bench:${process.pid}:`, lazyConnect: true, retryStrategy: () => null })
  // Each command that fails rejects by itself.
  redis.on('error', () => {})
  try {
    await redis.connect()
  } catch (cause) {
    throw new Error(`This benchmark needs a Redis on ${HOST}:${PORT}: "apt-get install redis-server && redis-server --save ''", or any that is there; it leaves nothing behind`, { cause })
  }
  return redis
}

export async function redisVersion (): Promise<string> {
  const redis = await connectRedis()
  const information = await redis.info('server')
  redis.disconnect()
  return information.match(/redis_version:(\S+)/)?.[1] ?? 'unknown'
}
