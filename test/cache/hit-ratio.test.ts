import t from 'tap'
import { SharedCache } from '../../plugins/cache/memory.ts'
import { CacheStore } from '../../plugins/cache/store.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import { traces } from './traces.ts'
import type { Trace } from './traces.ts'

const MEBIBYTE = 2 ** 20
const SIZE = 4 * MEBIBYTE
const TRACES = traces({ keys: 40_000, requests: 200_000, loop: 6000 })
/** Of the requests, before any counts: both are full then. */
const WARM_UP_PART = 0.25
const LOWER_AT_MOST = 0.005
const HIGHER_AT_LEAST = 0.005

const keyOf = (n: number) => `key:${n}`
/** One kilobyte as JSON. */
const valueOf = (n: number) => ({ n, text: String(n).padEnd(1004 - String(n).length, '.') })
const bytesOf = (n: number) => keyOf(n).length + JSON.stringify(valueOf(n)).length

async function hitRatio ({ requests }: Trace): Promise<number> {
  const store = new CacheStore(createLocalMemory(2 * SIZE), { size: SIZE, clearOnReload: false }, { warn () {} } as never)
  const cache = new SharedCache(store, { ttlMs: 3_600_000, computeTimeoutMs: 1000 })
  const warmUp = requests.length * WARM_UP_PART
  let hits = 0
  for (const [at, n] of requests.entries()) {
    if (await cache.get(keyOf(n)) === undefined) await cache.set(keyOf(n), valueOf(n))
    else if (at >= warmUp) hits++
  }
  return hits / (requests.length - warmUp)
}

/** An LRU of which keys and values alone take as many bytes as the cache takes with all that it needs beside them. */
function hitRatioOfLru ({ requests }: Trace): number {
  const entries = new Map<number, number>()
  const warmUp = requests.length * WARM_UP_PART
  let bytes = 0
  let hits = 0
  for (const [at, n] of requests.entries()) {
    let size = entries.get(n)
    if (size === undefined) bytes += size = bytesOf(n)
    else if (at >= warmUp) hits++
    entries.delete(n)
    entries.set(n, size)
    for (const [oldest, oldestBytes] of entries) {
      if (bytes <= SIZE) break
      entries.delete(oldest)
      bytes -= oldestBytes
    }
  }
  return hits / (requests.length - warmUp)
}

for (const trace of TRACES) {
  t.test(`${trace.name}: the cache finds ${trace.hasScans ? 'more than' : 'as much as'} an LRU of the same bytes`, async t => {
    const [ours, lru] = [await hitRatio(trace), hitRatioOfLru(trace)]
    t.comment(`hit ratio ${(ours * 100).toFixed(1)} %, LRU ${(lru * 100).toFixed(1)} %`)
    t.ok(ours >= lru + (trace.hasScans ? HIGHER_AT_LEAST : -LOWER_AT_MOST))
  })
}
