/* How often the cache finds what is asked for, beside lru-cache. Nothing of it depends on time. */
import { LRUCache } from 'lru-cache'
import { SharedCache } from '../../../plugins/cache/memory.ts'
import { CacheStore } from '../../../plugins/cache/store.ts'
import { createLocalMemory } from '../../../plugins/shared-memory/index.ts'
import { traces } from '../../../test/cache/traces.ts'
import type { Trace } from '../../../test/cache/traces.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { printTable } from '../../measure/report.ts'
import type { Target } from '../../measure/report.ts'
import { json, product } from '../objects.ts'

const SETTINGS = { bytes: 2 ** 22, keys: 40_000, requests: 400_000, loop: 6000 }
const LOWER_AT_MOST_POINTS = 0.5

interface Ratios {
  cache: number
  /** Entries in it at the end. */
  entries: number
  /** An LRU of which keys and values alone take as many bytes as the cache takes with all that it needs beside them. */
  lru: number
  /** An LRU of as many entries: what the choice of victims gives. */
  lruOfEntries: number
}

export async function compareHitRatio (_folders: Folders): Promise<Part> {
  const { keys, requests, loop, bytes } = SETTINGS
  const results: Record<string, Ratios> = {}
  const targets: Target[] = []
  for (const trace of traces({ keys, requests, loop })) {
    const { ratio, entries } = await ofCache(trace, bytes)
    const found = {
      cache: ratio,
      entries,
      lru: ofLru(trace, { maxSize: bytes, sizeCalculation: (size) => size }),
      lruOfEntries: ofLru(trace, { max: entries })
    }
    results[trace.name] = found
    const measured = (found.cache - found.lru) * 100
    targets.push({ what: `hit ratio on ${trace.name}, points above an LRU of the same bytes`, measured, atLeast: trace.hasScans ? 0 : -LOWER_AT_MOST_POINTS })
  }
  printTable(`Hit ratio, % of ${requests} requests for objects of 1 kB, ${bytes / 2 ** 20} MiB`,
    ['', 'cache', 'LRU of the same bytes', 'LRU of as many entries'],
    Object.entries(results).map(([name, { cache, lru, lruOfEntries }]) =>
      [name, ...[cache, lru, lruOfEntries].map((ratio) => (ratio * 100).toFixed(1))]))
  return { settings: SETTINGS, targets, results }
}

const keyOf = (n: number) => `product:${n}`

async function ofCache ({ requests }: Trace, bytes: number): Promise<{ ratio: number, entries: number }> {
  const store = new CacheStore(createLocalMemory(bytes * 2), { size: bytes, clearOnReload: false }, console as never)
  const cache = new SharedCache(store, { ttlMs: Infinity, computeTimeoutMs: 1000 })
  let hits = 0
  for (const n of requests) {
    if (await cache.get(keyOf(n)) === undefined) await cache.set(keyOf(n), product(n))
    else hits++
  }
  return { ratio: hits / requests.length, entries: cache.stats().entries }
}

/** Its values are the bytes of key and JSON. */
function ofLru ({ requests }: Trace, options: LRUCache.Options<number, number, unknown>): number {
  const lru = new LRUCache<number, number>(options)
  let hits = 0
  for (const n of requests) {
    if (lru.get(n) === undefined) lru.set(n, keyOf(n).length + json(product(n)).length)
    else hits++
  }
  return hits / requests.length
}
