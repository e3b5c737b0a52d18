import { LruRecords } from '../shared-memory/index.ts'
import type { LruStats, SharedMemory, Space } from '../shared-memory/index.ts'

/** A record: a double that is the arrival of a token bucket, or the end of a window; and how many were counted in that. */
const PAYLOAD_WORDS = 4
const COUNT = 2

/** What all limiters of an application have in common: their keys, of which the least recently used go first. */
export class LimiterPool {
  readonly #i32: Int32Array
  readonly #f64: Float64Array
  readonly #records: LruRecords

  /** Throws FST_SWOOLE_SCHEMA_MISMATCH, _MEMORY_FULL. */
  constructor (memory: SharedMemory, maxKeys: number) {
    this.#i32 = memory.region.i32
    this.#f64 = memory.region.f64
    this.#records = new LruRecords(memory, { type: 'rate limits', name: 'all', records: maxKeys, payloadWords: PAYLOAD_WORDS })
  }

  space (name: string): Space {
    return this.#records.space(name)
  }

  /** Enters the key's critical section, which `leave` ends, and gives its payload, 0 when it has none. */
  enter (space: Space, id: string): number {
    this.#records.enter(space, id)
    return this.#records.find()
  }

  leave (): void {
    this.#records.leave()
  }

  /** The same payload, used just now, or a new one of zeros. */
  use (payload: number): number {
    if (payload === 0) return this.#records.add()
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

  setTime (payload: number, time: number): void {
    this.#f64[payload / 2] = time
  }

  setCount (payload: number, count: number): void {
    this.#i32[payload + COUNT] = count
  }

  stats (): LruStats {
    return this.#records.stats()
  }
}
