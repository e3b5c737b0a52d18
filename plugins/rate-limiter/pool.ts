import { KeyNotes, LruRecords, NOTE_WORDS } from '../shared-memory/index.ts'
import type { LruStats, SharedMemory, Space } from '../shared-memory/index.ts'

/*
 * A record: a double that is the arrival of a token bucket, or the end of a window; how many were counted in that; and the
 * second from which the record tells no more than none would.
 */
const PAYLOAD_WORDS = 4
/** What a key takes, about: a record, its header, and its part of the index. */
export const BYTES_PER_KEY = 48
const MOST_BY_DEFAULT = 100_000
const COUNT = 2
const SPENT = 3

const secondsOf = (ms: number): number => Math.min(Math.ceil(ms / 1000), 2 ** 32 - 1) | 0

/** The keys that a limiter has to itself, and the hashes of those that this worker sees often. */
export interface LimitSpace {
  readonly space: Space
  readonly notes: KeyNotes
}

/** How many keys are remembered where nobody says it: the cache and the sessions have to fit beside them. */
export function defaultMaxKeys (memoryBytes: number): number {
  return Math.min(MOST_BY_DEFAULT, Math.floor(memoryBytes / 8 / BYTES_PER_KEY))
}

/** What all limiters of an application have in common: their keys, of which the least recently used go first. */
export class LimiterPool {
  readonly #i32: Int32Array
  readonly #f64: Float64Array
  readonly #records: LruRecords
  readonly #maxKeys: number
  #nowMs = 0

  /** With another number of keys it is another pool, so that new code may change it. Throws FST_SWOOLE_MEMORY_FULL. */
  constructor (memory: SharedMemory, maxKeys: number) {
    this.#maxKeys = maxKeys
    this.#i32 = memory.region.i32
    this.#f64 = memory.region.f64
    const isSpent = (payload: number) => (this.#i32[payload + SPENT]! >>> 0) * 1000 <= this.#nowMs
    this.#records = new LruRecords(memory, { type: 'rate limits', name: `${maxKeys} keys`, records: maxKeys, payloadWords: PAYLOAD_WORDS }, isSpent)
  }

  space (name: string): LimitSpace {
    return { space: this.#records.space(name), notes: new KeyNotes(this.#maxKeys, NOTE_WORDS) }
  }

  /** Enters the key's critical section, which `leave` ends, and gives its payload, 0 when it has none. */
  enter ({ space, notes }: LimitSpace, id: string): number {
    this.#records.enter(space, id, notes)
    return this.#records.find()
  }

  leave (): void {
    this.#records.leave()
  }

  /** The same payload, used just now, or a new one of zeros. */
  use (payload: number, nowMs: number): number {
    if (payload === 0) {
      this.#nowMs = nowMs
      return this.#records.add()
    }
    this.#records.touch(payload)
    return payload
  }

  forget (payload: number): void {
    this.#records.remove(payload)
  }

  time (payload: number): number {
    return this.#f64[payload / 2]!
  }

  count (payload: number): number {
    return this.#i32[payload + COUNT]!
  }

  /** `spentAtMs`: when the record may go for another without any loss. */
  setTime (payload: number, time: number, spentAtMs: number): void {
    this.#i32[payload + SPENT] = secondsOf(spentAtMs)
    this.#f64[payload / 2] = time
  }

  setCount (payload: number, count: number): void {
    this.#i32[payload + COUNT] = count
  }

  stats (): LruStats {
    return this.#records.stats()
  }
}
