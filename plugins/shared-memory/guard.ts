import { storeRelease } from './ordered.ts'
import type { Region } from './region.ts'
import { isAlive } from './slots.ts'
import type { SlotIdentity } from './slots.ts'

const SPINS_BEFORE_LOOK = 64
const SLEEP_AFTER_LOOKS = 4
const SLEEP_MS = 0.05

const pause = (Atomics as { pause? (): void }).pause ?? (() => {})
/** A word that nobody wakes: waiting for it gives the processor to whoever holds the guard and was preempted. */
const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * Guards short critical sections of a shared structure: no call-back, no allocation, nothing of unbounded length inside.
 * The guard is a word: 0, or the tag of the worker inside. When that worker is dead the next one takes the guard over and is
 * told so; it then repairs what the dead one left half done, which must be possible after any prefix of its stores,
 * and after any prefix of a repair.
 */
export class Guard {
  #region: Region
  #words: Int32Array
  #tag: number

  constructor (region: Region, slot: SlotIdentity) {
    this.#region = region
    this.#words = region.i32
    this.#tag = slot.tag
  }

  /** True: the last one died inside. */
  enter (word: number): boolean {
    return Atomics.compareExchange(this.#words, word, 0, this.#tag) !== 0 && this.#enterBusy(word)
  }

  leave (word: number): void {
    storeRelease(this.#words, word, 0)
  }

  #enterBusy (word: number): boolean {
    for (let look = 0; ; look++) {
      for (let spin = 0; spin < SPINS_BEFORE_LOOK; spin++) {
        if (Atomics.load(this.#words, word) === 0 && Atomics.compareExchange(this.#words, word, 0, this.#tag) === 0) return false
        pause()
      }
      const holder = Atomics.load(this.#words, word)
      if (holder !== 0 && !isAlive(this.#region, holder) && Atomics.compareExchange(this.#words, word, holder, this.#tag) === holder) return true
      if (look >= SLEEP_AFTER_LOOKS) Atomics.wait(sleeper, 0, 0, SLEEP_MS)
    }
  }
}
