/* A cache entry of a kilobyte beside lru-cache with JSON, which is what a copy costs at least, LMDB and Redis. */
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { joined } from '../../measure/loops.ts'
import type { Samples } from '../../measure/loops.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import { ratio, spread } from '../../measure/rounds.ts'
import { CACHES, CACHE_OPERATIONS, cacheVariant } from '../jobs/cache.ts'
import type { CacheName, CacheOperation } from '../jobs/cache.ts'
import { startWorker } from '../workers.ts'

const SETTINGS = { processes: 3, keys: 10_000, operations: 20_000, peerOperations: { lmdb: 2000, Redis: 500 }, warmUps: 3, rounds: 6 }
const OF_LRU_AT_MOST = 2

export async function compareCache ({ folder, inMemory }: Folders): Promise<Part> {
  const { processes, ...options } = SETTINGS
  const all: Samples[] = []
  for (let n = 0; n < processes; n++) {
    await using worker = startWorker()
    all.push(await worker.call('cache', { folder, lmdbFolder: mkdtempSync(join(inMemory, 'cache-')), ...options }))
  }
  const samples = joined(all)
  const figure = (cache: CacheName, operation: CacheOperation) => samples[cacheVariant(cache, operation)]
  const ofLru = (operation: CacheOperation) => ratio(figure('cache', operation)!, figure('lru-cache + JSON', operation)!)
  printTable(`ns per operation on an object of 1 kB, one worker, ${options.keys} keys: ${processes} processes × ${options.rounds} rounds`,
    ['', ...CACHES, 'cache / lru-cache + JSON'],
    CACHE_OPERATIONS.map((operation) => [
      operation,
      ...CACHES.map((cache) => figure(cache, operation)).map((values) => values === undefined ? '' : formatSpread(spread(values))),
      formatSpread(ofLru(operation))
    ]))
  return {
    settings: SETTINGS,
    targets: [{ what: 'cache get of 1 kB / lru-cache.get + JSON.parse', measured: ofLru('get').median, atMost: OF_LRU_AT_MOST }],
    results: summarised(samples)
  }
}
