import { EntryWord, GHOSTS_PER_BUCKET, GHOST_WORDS, HeaderWord } from './layout.ts'
import type { Arena } from './layout.ts'

/** Of which ghost it is, and when it came. */
const GhostWord = { KEY: 0, SINCE: 1 } as const

/**
 * Keys of which the entry went after it was not asked for again: as many of the last ones as the main queue has entries.
 * A ghost is 32 bits of a key's hash; one that is taken for another moves an entry to the wrong queue, and no more. For
 * inside the guard.
 */
export class Ghosts {
  readonly #i32: Int32Array
  readonly #clock: number
  readonly #at: number
  readonly #mask: number

  constructor ({ i32, first, shape }: Arena) {
    this.#i32 = i32
    this.#clock = first + HeaderWord.GHOST_CLOCK
    this.#at = first + shape.ghostsAt
    this.#mask = shape.ghosts / GHOSTS_PER_BUCKET - 1
  }

  /** Takes the place of the oldest in its bucket. */
  add (entry: number): void {
    const i32 = this.#i32
    const now = i32[this.#clock]! + 1 | 0
    i32[this.#clock] = now
    const bucket = this.#bucket(entry)
    let oldest = bucket
    for (let ghost = bucket; ghost < bucket + GHOSTS_PER_BUCKET * GHOST_WORDS; ghost += GHOST_WORDS) {
      if (this.#age(ghost, now) > this.#age(oldest, now)) oldest = ghost
    }
    i32[oldest + GhostWord.KEY] = keyOf(i32[entry + EntryWord.KEY_LOW]!)
    i32[oldest + GhostWord.SINCE] = now
  }

  /** Whether the entry's key is one of the last `most`; it is none after that. */
  take (entry: number, most: number): boolean {
    const i32 = this.#i32
    const key = keyOf(i32[entry + EntryWord.KEY_LOW]!)
    const now = i32[this.#clock]!
    const bucket = this.#bucket(entry)
    for (let ghost = bucket; ghost < bucket + GHOSTS_PER_BUCKET * GHOST_WORDS; ghost += GHOST_WORDS) {
      if (i32[ghost + GhostWord.KEY] !== key) continue
      i32[ghost + GhostWord.KEY] = 0
      return this.#age(ghost, now) < most
    }
    return false
  }

  /** An empty place is as old as one can be. */
  #age (ghost: number, now: number): number {
    return this.#i32[ghost + GhostWord.KEY] === 0 ? Infinity : (now - this.#i32[ghost + GhostWord.SINCE]!) >>> 0
  }

  #bucket (entry: number): number {
    return this.#at + (this.#i32[entry + EntryWord.KEY_HIGH]! & this.#mask) * GHOSTS_PER_BUCKET * GHOST_WORDS
  }
}

const keyOf = (low: number): number => low === 0 ? 1 : low
