import type { Space } from '../lru-records.ts'
import type { Scratch } from './scratch.ts'

/** Keys of their own. */
export interface EntrySpace {
  readonly id: number
  readonly seeds: Space
}

export interface EntriesOptions {
  /** Name space and name in the directory of objects. */
  type: string
  name: string
  /** All of the memory that it takes. */
  bytes: number
  eviction: 'lru' | 's3-fifo'
}

/** What is to be written: a value made ready, such as `Encoded` of plugins/values. */
export interface Writable {
  readonly kind: number
  readonly bytes: number
  write (target: Scratch, start: number): void
}

export interface WriteOptions {
  nowMs: number
  /** From when on it is not found; Infinity: never. */
  expiresMs: number
  /** Until when `read` gives it after that, as stale. */
  staleMs?: number
  /** How long it took to make. */
  computeMs?: number
  tags?: readonly string[]
  /** Write only over the entry that has this version; 0: only where there is none. */
  ifVersion?: number
  /** Nothing is written over an entry that is not past its time, but over the one that has this version. */
  unlessOther?: number
  /** Looked at inside the guard, when nobody can come between: false, nothing is written. Bounded, and calls nobody. */
  isWanted?: () => boolean
  /** Nothing is written if one of the tags was invalidated, or all cleared, since this time of `epoch()`. */
  sinceEpoch?: number
}

/** What of values a worker has at hand already. */
export interface Near {
  has (block: number, generation: number): boolean
}

/** What `read` found. */
export interface Found {
  /** Where it is; no two entries have been in the same block in the same generation. */
  block: number
  generation: number
  /** Its value is at hand, and was not copied. */
  isNear: boolean
  kind: number
  bytes: number
  version: number
  expiresMs: number
  staleMs: number
  createdMs: number
  computeMs: number
}

export interface EntriesStats {
  entries: number
  /** Bytes of the blocks that entries have, and of all blocks. */
  bytes: number
  capacity: number
  hits: number
  misses: number
  /** Entries that went for others before they had expired. */
  evictions: number
  expirations: number
  /** Entries that could not be read, and were removed. */
  corrupt: number
}
