import { Redis } from 'ioredis'
import type { PeerOperation } from './lmdb.ts'
import { overKeys } from './loops.ts'
import type { Loop } from './loops.ts'
import type { Maps } from './rows.ts'

const HOST = '127.0.0.1'
const PORT = 6379

/** Keys of a benchmark that was killed go by themselves. */
const KEPT_SECONDS = 600

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

const numberKey = (key: string) => `number:${key}`

export async function fillRedis (redis: Redis, { rows }: Maps): Promise<void> {
  const pipeline = redis.pipeline()
  for (const [key, row] of rows) pipeline.hset(key, row).expire(key, KEPT_SECONDS).set(numberKey(key), row.n, 'EX', KEPT_SECONDS)
  await pipeline.exec()
}

export async function emptyRedis (redis: Redis, keys: Iterable<string>): Promise<void> {
  await redis.del([...keys].flatMap((key) => [key, numberKey(key)]))
}

export function redisLoop (operation: PeerOperation, redis: Redis, keys: string[], s: string): Loop {
  const numberKeys = keys.map(numberKey)
  switch (operation) {
    case 'get a row': return overKeys(keys, '+row.n + row.s.length', { redis }, 'const row = await redis.hgetall(key);')
    case 'get a number': return overKeys(numberKeys, '+await redis.get(key)', { redis })
    case 'set a row': return overKeys(keys, 'await redis.hset(key, { n, s })', { redis, s })
    case 'incr': return overKeys(numberKeys, 'await redis.incr(key)', { redis })
  }
}
