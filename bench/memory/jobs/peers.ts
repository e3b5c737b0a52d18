import { PEER_OPERATIONS, fillLmdb, lmdbLoop, openLmdb } from '../lmdb.ts'
import type { PeerOperation } from '../lmdb.ts'
import { measureInTurn } from '../../measure/loops.ts'
import type { Loop, Rounds, Samples, Variant } from '../../measure/loops.ts'
import { connectRedis } from '../../measure/redis.ts'
import { emptyRedis, fillRedis, redisLoop } from '../redis.ts'
import { makeRegion } from '../../measure/region.ts'
import { fillTables, makeKeys, makeMaps, mapLoop, openTables, regionBytesFor, tableLoop, text } from '../rows.ts'

export const STORES = ['Map', 'table', 'lmdb', 'Redis'] as const
export type Store = typeof STORES[number]

export interface PeersOptions extends Rounds {
  folder: string
  lmdbFolder: string
  keys: number
  fill: number
  /** Of one sample of a Map and a table. */
  operations: number
  /** Of one sample of the others, which are slower: so many of the keys, once. */
  peerOperations: Record<'lmdb' | 'Redis', number>
}

export const peerVariant = (store: Store, operation: PeerOperation) => `${store}, ${operation}`

/** One process with a Map, a table, LMDB and Redis of the same rows, in the same rounds. */
export async function measurePeers ({ folder, lmdbFolder, keys: count, fill, operations, peerOperations, ...rounds }: PeersOptions): Promise<Samples> {
  const keys = makeKeys(count)
  const maps = makeMaps(keys)
  const tables = openTables(makeRegion(folder, regionBytesFor(count, fill)).launcher.memory, count, fill)
  const lmdb = openLmdb(lmdbFolder)
  const redis = await connectRedis()
  try {
    fillTables(tables, maps)
    fillLmdb(lmdb, maps)
    await fillRedis(redis, maps)
    const written = text(0)
    const loopOf: Record<Store, (operation: PeerOperation) => Loop | undefined> = {
      Map: (operation) => operation === 'get a row' || operation === 'get a number' ? mapLoop(operation, maps, keys) : undefined,
      table: (operation) => tableLoop(operation, tables, keys),
      lmdb: (operation) => lmdbLoop(operation, lmdb, keys.slice(0, peerOperations.lmdb), written),
      Redis: (operation) => redisLoop(operation, redis, keys.slice(0, peerOperations.Redis), written)
    }
    const variants: Variant[] = []
    for (const operation of PEER_OPERATIONS) {
      for (const store of STORES) {
        const loop = loopOf[store](operation)
        const passes = store === 'Map' || store === 'table' ? Math.ceil(operations / count) : 1
        if (loop !== undefined) variants.push({ name: peerVariant(store, operation), loop, passes })
      }
    }
    return await measureInTurn(variants, rounds)
  } finally {
    await emptyRedis(redis, keys)
    redis.disconnect()
  }
}
