import { createRequire } from 'node:module'
import { Family } from '../../../plugins/rate-limiter/memory.ts'
import { LimiterPool } from '../../../plugins/rate-limiter/pool.ts'
import { FixedWindowStore } from '../../../plugins/rate-limiter/store.ts'
import { measureInTurn, overKeys } from '../../measure/loops.ts'
import type { Loop, Rounds, Samples } from '../../measure/loops.ts'
import { connectRedis } from '../../measure/redis.ts'
import { makeRegion } from '../../measure/region.ts'
import { makeKeys, makeMaps, mapLoop } from '../../memory/rows.ts'

export interface LimiterOptions extends Rounds {
  folder: string
  clients: number
  /** Of one sample; of Redis, so many of the clients once. */
  operations: number
  redisOperations: number
}

/** `@fastify/rate-limit` has no types for its stores. */
interface WindowStore {
  incr (key: string, callback: (error: Error | null, result?: { current: number }) => void, timeWindow: number, max: number): void
}

export const LIMITER_VARIANTS = ['Map.get', 'isAllowed', 'isAllowed, awaited', 'await of a promise', 'take', 'Store.incr', "@fastify/rate-limit's local store", "@fastify/rate-limit's Redis store"] as const
export type LimiterVariant = typeof LIMITER_VARIANTS[number]

// So much that nobody is refused, on any machine.
const RATE = { maxRequests: 1_000_000_000, window: '1m' }
const WINDOW_MS = 60_000

/** One request of each client, at each limiter in turn; and `Map.get` of a number of each. */
export async function measureLimiter ({ folder, clients, operations, redisOperations, ...rounds }: LimiterOptions): Promise<Samples> {
  const require = createRequire(import.meta.url)
  const LocalStore = require('@fastify/rate-limit/store/LocalStore')
  const RedisStore = require('@fastify/rate-limit/store/RedisStore')
  const { launcher: { memory } } = makeRegion(folder, 2 ** 25)
  const pool = new LimiterPool(memory, clients * 2)
  const limiter = new Family(() => pool, true).create('limiter', RATE)
  const redis = await connectRedis()
  const keys = makeKeys(clients)
  const redisStore = new RedisStore(false, false, redis, 'limits:')
  const loops: Record<LimiterVariant, Loop> = {
    'Map.get': mapLoop('get a number', makeMaps(keys), keys),
    isAllowed: overKeys(keys, '(limiter.isAllowed(key) === undefined ? 1 : 0)', { limiter }),
    'isAllowed, awaited': overKeys(keys, '(await limiter.isAllowed(key) ? 1 : 0)', { limiter }),
    'await of a promise': overKeys(keys, '(await promise ? 1 : 0)', { promise: Promise.resolve(true) }),
    take: overKeys(keys, 'limiter.take(key).remaining', { limiter }),
    'Store.incr': incrLoop(new FixedWindowStore(() => pool), keys),
    "@fastify/rate-limit's local store": incrLoop(new LocalStore(false, false, clients * 2), keys),
    "@fastify/rate-limit's Redis store": overKeys(keys.slice(0, redisOperations), 'await counted(key)', { counted: countedBy(redisStore) })
  }
  try {
    const variants = Object.entries(loops).map(([name, loop]) => ({ name, loop, passes: Math.ceil((loop.operations === clients ? operations : redisOperations) / loop.operations) }))
    return await measureInTurn(variants, rounds)
  } finally {
    redis.disconnect()
  }
}

function incrLoop (store: WindowStore, keys: string[]): Loop {
  const parameters = { store, windowMs: WINDOW_MS, max: RATE.maxRequests }
  return overKeys(keys, 'current', parameters, 'let current; store.incr(key, (error, result) => { current = result.current }, windowMs, max);')
}

/** The count that the store gives to its call-back. */
function countedBy (store: WindowStore): (key: string) => Promise<number> {
  return (key) => new Promise((resolve, reject) => {
    store.incr(key, (error, result) => error === null ? resolve(result!.current) : reject(error), WINDOW_MS, RATE.maxRequests)
  })
}
