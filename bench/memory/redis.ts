import type { Redis } from 'ioredis'
import { KEPT_SECONDS } from '../measure/redis.ts'
import type { PeerOperation } from './lmdb.ts'
import { overKeys } from '../measure/loops.ts'
import type { Loop } from '../measure/loops.ts'
import type { Maps } from './rows.ts'

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
