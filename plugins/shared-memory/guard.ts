import { readFileSync } from 'node:fs'
import { Slot } from './layout.ts'
import { storeRelease } from './ordered.ts'
import type { Region } from './region.ts'
import { isAlive, slotOf, slotWord } from './slots.ts'
import type { SlotIdentity } from './slots.ts'

const SPINS_BEFORE_LOOK = 64
const SLEEP_AFTER_LOOKS = 4
const SLEEP_MS = 0.05

/** In a tag: never that of a living worker. */
const ABANDONED = 1 << 31

/** Some tenths of a second. */
const LOOKS_BEFORE_PID = 2000

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
  /** Those that this worker is inside of, the first `#inside` of them. */
  readonly #entered: number[] = [0, 0, 0, 0]
  #inside = 0
  /** Those that are still entered, or look so, though one that was entered before them has been left: an exception passed them. */
  readonly #leaked: number[] = []

  constructor (region: Region, slot: SlotIdentity) {
    this.#region = region
    this.#words = region.i32
    this.#tag = slot.tag
  }

  /** True: the last one died inside. */
  enter (word: number): boolean {
    this.#entered[this.#inside++] = word
    return Atomics.compareExchange(this.#words, word, 0, this.#tag) !== 0 && this.#enterBusy(word)
  }

  leave (word: number): void {
    storeRelease(this.#words, word, 0)
    if (this.#entered[--this.#inside] !== word) this.#leak(word)
  }

  /** The same, and everybody sees what was written before this returns: for what is read without the guard. */
  leaveSeen (word: number): void {
    Atomics.store(this.#words, word, 0)
    if (this.#entered[--this.#inside] !== word) this.#leak(word)
  }

  /**
   * Gives up what this worker has entered and, after an exception inside such as that of a full stack, has not left: the next one to enter repairs it
   * as if this worker had died there. For a turn of the event loop, which nobody begins inside.
   */
  abandon (): void {
    if (this.#inside === 0 && this.#leaked.length === 0) return
    for (const word of [...this.#leaked, ...this.#entered.slice(0, this.#inside)]) Atomics.compareExchange(this.#words, word, this.#tag, this.#tag | ABANDONED)
    this.#inside = 0
    this.#leaked.length = 0
  }

  /** Those that were entered after this one have not been left before it. */
  #leak (word: number): void {
    const at = this.#entered.lastIndexOf(word, Math.max(0, this.#inside))
    if (at !== -1) {
      this.#leaked.push(...this.#entered.slice(at + 1, this.#inside + 1))
      this.#inside = at
      return
    }
    // It was not an exception, and this one is left now.
    this.#inside++
    this.#leaked.splice(this.#leaked.indexOf(word) >>> 0, 1)
  }

  #enterBusy (word: number): boolean {
    for (let look = 0; ; look++) {
      for (let spin = 0; spin < SPINS_BEFORE_LOOK; spin++) {
        if (Atomics.load(this.#words, word) === 0 && Atomics.compareExchange(this.#words, word, 0, this.#tag) === 0) return false
        pause()
      }
      const holder = Atomics.load(this.#words, word)
      if (holder !== 0 && this.#isGone(holder, look) && Atomics.compareExchange(this.#words, word, holder, this.#tag) === holder) return true
      if (look >= SLEEP_AFTER_LOOKS) Atomics.wait(sleeper, 0, 0, SLEEP_MS)
    }
  }

  #isGone (holder: number, look: number): boolean {
    // The guard is not entered twice, so this worker's own tag is of an exception inside, such as a full stack.
    if (holder === this.#tag || !isAlive(this.#region, holder)) return true
    // With the launcher dead as well, nobody says so of the holder.
    return look % LOOKS_BEFORE_PID === LOOKS_BEFORE_PID - 1 && isProcessGone(this.#region, holder)
  }
}

function isProcessGone ({ i32 }: Region, tag: number): boolean {
  const pid = Atomics.load(i32, slotWord(slotOf(tag), Slot.PID))
  if (pid === 0) return false
  try {
    process.kill(pid, 0)
    return isZombie(pid)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** One that was killed and whose parent, which may be this very process, has not heard of it yet. */
function isZombie (pid: number): boolean {
  if (process.platform !== 'linux') return false
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}
