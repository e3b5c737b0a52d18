import { REF_BYTES, deathOf, fence, slotOf } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { INLINE_BYTES, Reason, RecordWord } from './layout.ts'
import type { Records } from './records.ts'
import { decode, read, readText } from '../values/index.ts'

/** What a record held: its value, or why that is damaged. */
export interface Copy {
  value: unknown
  damage: Error | undefined
}

/**
 * Copies values outside the guard, which must not be held for as long as a large one takes. An item's value never changes,
 * so a copy is good when the record still has the same state and sequence number behind it.
 */
export class Reader {
  #memory: SharedMemory
  #records: Records
  #i32: Int32Array
  #f64: Float64Array

  constructor (memory: SharedMemory, records: Records) {
    this.#memory = memory
    this.#records = records
    this.#i32 = memory.region.i32
    this.#f64 = memory.region.f64
  }

  sequence (n: number): number {
    return this.#f64[(this.#records.at(n) + RecordWord.SEQUENCE) / 2]!
  }

  /** Undefined: the record has changed meanwhile. */
  copy (n: number, state: number, sequence: number): Copy | undefined {
    const at = this.#records.at(n)
    const kind = this.#i32[at + RecordWord.KIND]!
    const bytes = this.#i32[at + RecordWord.BYTES]!
    const start = bytes <= INLINE_BYTES ? (at + RecordWord.INLINE) * 4 : Atomics.load(this.#i32, at + RecordWord.DATA) * REF_BYTES
    let value: unknown
    let damage: unknown
    try {
      value = read(this.#memory.region, kind, start, bytes)
    } catch (error) {
      damage = error
    }
    if (!this.#isStill(n, state, sequence)) return undefined
    try {
      if (damage === undefined) return { value: decode(kind, value), damage: undefined }
    } catch (error) {
      damage = error
    }
    return { value: undefined, damage: damage as Error }
  }

  /** Why a dead letter is dead. Undefined: the record has changed meanwhile. */
  cause (n: number, state: number, sequence: number, visibilityMs: number): string | undefined {
    const at = this.#records.at(n)
    const reason = this.#i32[at + RecordWord.REASON]!
    const bytes = this.#i32[at + RecordWord.ERROR_BYTES]!
    const start = Atomics.load(this.#i32, at + RecordWord.ERROR) * REF_BYTES
    const text = bytes === 0 ? '' : readText(this.#memory.region, start, bytes)
    if (!this.#isStill(n, state, sequence)) return undefined
    switch (reason) {
      case Reason.ERROR: return text
      case Reason.TIMED_OUT: return timedOut(visibilityMs)
      case Reason.UNDECODABLE: return 'its value is damaged'
      case Reason.NO_MEMORY: return 'its error had no room in the shared memory'
      default: return `the worker in slot ${slotOf(reason)} died${deathOf(this.#memory.region, reason)} while it had the item`
    }
  }

  /** The state first: a record that is used anew gets its sequence number before its state. */
  #isStill (n: number, state: number, sequence: number): boolean {
    fence()
    return Atomics.load(this.#i32, this.#records.at(n) + RecordWord.STATE) === state && this.sequence(n) === sequence
  }
}

export const timedOut = (visibilityMs: number) => `it was in flight for longer than ${visibilityMs} ms`
