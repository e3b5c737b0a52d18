import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { LRUCache } from 'lru-cache'
import { memoryOf } from '../../measure/process-tree.ts'
import type { Memory } from '../../measure/process-tree.ts'
import { makeRegion } from '../../measure/region.ts'
import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import { startApplication } from '../application.ts'
import { json, product } from '../objects.ts'

export const VALUES = {
  'a number': (n: number) => n,
  '1 kB': (n: number) => product(n),
  '64 kB': (n: number) => product(n, 65_536)
}
export type ValueKind = keyof typeof VALUES

/** What a full cache of so many bytes comes to. */
export interface EntryBytes {
  entries: number
  bytesPerEntry: number
}

const keyOf = (n: number) => `product:${n}`

/** Fills a cache with values of each kind until entries go for others. */
export async function measureEntryBytes ({ folder, bytes }: { folder: string, bytes: number }): Promise<Record<ValueKind, EntryBytes>> {
  const results = {} as Record<ValueKind, EntryBytes>
  for (const [kind, valueOf] of Object.entries(VALUES)) {
    const { cache } = await startApplication(makeRegion(folder, bytes * 2).launcher.memory, { cache: { size: bytes } })
    for (let n = 0; cache.stats().evictions === 0; n++) await cache.set(keyOf(n), valueOf(n))
    const { entries } = cache.stats()
    results[kind as ValueKind] = { entries, bytesPerEntry: bytes / entries }
  }
  return results
}

/** Fills the cache that all workers share, and says how many entries it has. */
export async function fillShared (memory: SharedMemory, bytes: number): Promise<number> {
  const { cache } = await startApplication(memory, { cache: { size: bytes } })
  let entries = 0
  for (; cache.stats().evictions === 0; entries++) await cache.set(keyOf(entries), product(entries))
  return entries
}

/** Reads all of the cache that all workers share. */
export async function readShared (memory: SharedMemory, bytes: number, entries: number): Promise<void> {
  const { cache } = await startApplication(memory, { cache: { size: bytes } })
  let found = 0
  for (let n = 0; n < entries; n++) {
    if (await cache.get(keyOf(n)) !== undefined) found++
  }
  if (found < entries * 0.9) throw new Error(`${found} of ${entries} entries were found`)
}

let lru: LRUCache<string, string> | undefined

/** The same, of an LRU of its own that has as much. */
export async function readOwn (memory: SharedMemory, bytes: number, entries: number): Promise<void> {
  await startApplication(memory, { cache: { size: bytes } })
  lru = new LRUCache({ max: entries })
  for (let n = 0; n < entries; n++) lru.set(keyOf(n), json(product(n)))
  for (let n = 0; n < entries; n++) JSON.parse(lru.get(keyOf(n))!)
}

/** What this process has, without what V8 would free anyhow. */
export function memoryAtRest (): Memory {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (options: object) => void
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  return memoryOf(process.pid)
}
