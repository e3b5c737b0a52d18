import { LRUCache } from 'lru-cache'
import { open } from 'lmdb'
import { measureInTurn, overKeys } from '../../measure/loops.ts'
import type { Loop, Rounds, Samples } from '../../measure/loops.ts'
import { KEPT_SECONDS, connectRedis } from '../../measure/redis.ts'
import { makeRegion } from '../../measure/region.ts'
import { makeKeys } from '../../memory/rows.ts'
import { startApplication } from '../application.ts'
import { json, product } from '../objects.ts'

export interface CacheOptions extends Rounds {
  folder: string
  lmdbFolder: string
  keys: number
  /** Of one sample of what is in memory; of the others so many of the keys, once. */
  operations: number
  peerOperations: Record<'lmdb' | 'Redis', number>
}

/** What is read again and again, which `cache` keeps as objects too. */
const HOT_KEYS = 100
const HOT_GET = `get of ${HOT_KEYS} keys` as const
export const CACHE_OPERATIONS = ['get', 'set', 'hit through get(key, compute)', HOT_GET] as const
export type CacheOperation = typeof CACHE_OPERATIONS[number]
export const CACHES = ['lru-cache', 'lru-cache + JSON', 'cache', 'lmdb + JSON', 'Redis + JSON'] as const
export type CacheName = typeof CACHES[number]

export const cacheVariant = (cache: CacheName, operation: CacheOperation) => `${cache}, ${operation}`

const SIZE = 2 ** 25
/** What is written, of as many objects, as if it had just been computed. */
const WRITTEN = 64

/** One process with objects of a kilobyte in each cache, in the same rounds. What an LRU gives as it is, is everybody's own object. */
export async function measureCache ({ folder, lmdbFolder, keys: count, operations, peerOperations, ...rounds }: CacheOptions): Promise<Samples> {
  const keys = makeKeys(count)
  const { cache } = await startApplication(makeRegion(folder, SIZE * 2).launcher.memory, { cache: { size: SIZE, ttl: '1d' } })
  const objects = new LRUCache<string, object>({ max: count, fetchMethod: neverFetch })
  const texts = new LRUCache<string, string>({ maxSize: SIZE, sizeCalculation: (value, key) => value.length + key.length, fetchMethod: neverFetch })
  const lmdb = open<string, string>({ path: lmdbFolder, noSync: true, encoding: 'string' })
  const redis = await connectRedis()
  const hotKeys = keys.slice(0, HOT_KEYS)
  const [lmdbKeys, redisKeys] = [keys.slice(0, peerOperations.lmdb), keys.slice(0, peerOperations.Redis)]
  try {
    for (const [n, key] of keys.entries()) {
      await cache.set(key, product(n))
      objects.set(key, product(n))
      texts.set(key, json(product(n)))
    }
    for (const [n, key] of lmdbKeys.entries()) lmdb.putSync(key, json(product(n)))
    for (const [n, key] of redisKeys.entries()) await redis.set(key, json(product(n)), 'EX', KEPT_SECONDS)

    const written = Array.from({ length: WRITTEN }, (_, n) => product(n))
    const of = { cache, objects, texts, lmdb, redis, written, compute: neverFetch }
    const object = `written[n % ${WRITTEN}]`
    const loops: Record<CacheName, Partial<Record<CacheOperation, Loop>>> = {
      'lru-cache': {
        get: overKeys(keys, 'objects.get(key).id', of),
        set: overKeys(keys, 'n', of, `objects.set(key, ${object});`),
        'hit through get(key, compute)': overKeys(keys, '(await objects.fetch(key)).id', of),
        [HOT_GET]: overKeys(hotKeys, 'objects.get(key).id', of)
      },
      'lru-cache + JSON': {
        get: overKeys(keys, 'JSON.parse(texts.get(key)).id', of),
        set: overKeys(keys, 'n', of, `texts.set(key, JSON.stringify(${object}));`),
        'hit through get(key, compute)': overKeys(keys, 'JSON.parse(await texts.fetch(key)).id', of),
        [HOT_GET]: overKeys(hotKeys, 'JSON.parse(texts.get(key)).id', of)
      },
      cache: {
        get: overKeys(keys, '(await cache.get(key)).id', of),
        set: overKeys(keys, 'n', of, `await cache.set(key, ${object});`),
        'hit through get(key, compute)': overKeys(keys, '(await cache.get(key, compute)).id', of),
        [HOT_GET]: overKeys(hotKeys, '(await cache.get(key)).id', of)
      },
      'lmdb + JSON': {
        get: overKeys(lmdbKeys, 'JSON.parse(lmdb.get(key)).id', of),
        set: overKeys(lmdbKeys, 'n', of, `lmdb.putSync(key, JSON.stringify(${object}));`)
      },
      'Redis + JSON': {
        get: overKeys(redisKeys, 'JSON.parse(await redis.get(key)).id', of),
        set: overKeys(redisKeys, 'n', of, `await redis.set(key, JSON.stringify(${object}), 'EX', ${KEPT_SECONDS});`)
      }
    }
    const variants = CACHES.flatMap((name) => Object.entries(loops[name]).map(([operation, loop]) => ({
      name: cacheVariant(name, operation as CacheOperation),
      loop,
      passes: Object.keys(peerOperations).some((peer) => name.startsWith(peer)) ? 1 : Math.ceil(operations / loop.operations)
    })))
    return await measureInTurn(variants, rounds)
  } finally {
    await redis.del(redisKeys)
    redis.disconnect()
  }
}

function neverFetch (): never {
  throw new Error('it was there a moment ago')
}
