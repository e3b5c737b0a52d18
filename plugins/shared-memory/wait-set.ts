import { ClosedError, TooManyWaitersError } from '../errors.ts'
import { REF_BYTES, SLOTS } from './layout.ts'
import type { SharedMemory } from './shared-memory.ts'
import { isAlive, slotsUsed } from './slots.ts'

export interface WaitOptions {
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
}

interface Waiter {
  settle (woken: boolean): void
  fail (error: Error): void
}

const MAX_WAITERS = 0xffff
/** A Node timer with more fires at once; 24 days are as good as none. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/*
 * Waiters of one object over all workers. Each worker keeps its own waiters in a local queue and shows how many they
 * are in two words that only its own slot uses:
 *
 *     tag of the worker | waiting (low 16 bits), granted (high 16 bits)
 *
 * A waker moves n from `waiting` to `granted` in one compare-and-swap and rings; the worker takes what is granted and
 * settles that many. So each grant goes to exactly one waiter, one that times out either leaves `waiting` or uses up a
 * grant, and what a dead worker left there carries a dead tag. The words are made when somebody first waits.
 */
export class WaitSet {
  #memory: SharedMemory
  #name: string
  #holder: number
  #waiters = new Set<Waiter>()
  #firstWaker = 0

  /** `holder`: a word of the object, with an even index and 0 at first, that will refer to the waiters' words. */
  constructor (memory: SharedMemory, name: string, holder: number) {
    this.#memory = memory
    this.#name = name
    this.#holder = holder
  }

  /**
   * Waits until a `wake` chooses this waiter: true; false after the time-out. `isReady` is asked once the waiter can be
   * seen, so that a change just before is not missed. Rejects with the signal's reason when that aborts, and with
   * FST_SWOOLE_CLOSED when the application closes.
   */
  wait (isReady: () => boolean, { timeoutMs, signal }: WaitOptions = {}): Promise<boolean> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (isReady()) return Promise.resolve(true)
    if (timeoutMs === 0) return Promise.resolve(false)
    if (this.#memory.isClosed) return Promise.reject(new ClosedError(this.#name))
    if (this.#waiters.size === MAX_WAITERS) return Promise.reject(new TooManyWaitersError(this.#name, MAX_WAITERS))

    return new Promise<boolean>((resolve, reject) => {
      const abort = () => {
        finish()
        this.#leave()
        reject(signal!.reason)
      }
      const timer = timeoutMs === undefined || timeoutMs > LONGEST_TIMER_MS
        ? undefined
        : setTimeout(() => {
          finish()
          resolve(this.#leave())
        }, timeoutMs)
      const finish = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#waiters.delete(waiter)
        if (this.#waiters.size === 0) this.#rest()
      }
      const waiter: Waiter = {
        settle (woken) {
          finish()
          resolve(woken)
        },
        fail (error) {
          finish()
          reject(error)
        }
      }
      signal?.addEventListener('abort', abort)
      this.#enter(waiter)
      if (isReady() && this.#waiters.has(waiter)) {
        finish()
        this.#leave()
        resolve(true)
      }
    })
  }

  /** Wakes up to `count` waiters of any worker, the own and live ones only, and says how many. */
  wake (count: number): number {
    const { i32 } = this.#memory.region
    const ref = Atomics.load(i32, this.#holder)
    if (ref === 0) return 0
    const slots = slotsUsed(this.#memory.region)
    let woken = 0
    for (let n = 0; n < slots && woken < count; n++) {
      const index = (this.#firstWaker + n) % slots
      const tagWord = this.#tagWord(ref, index)
      const tag = Atomics.load(i32, tagWord)
      if (tag === 0 || !isAlive(this.#memory.region, tag)) continue
      const granted = grant(i32, tagWord + 1, count - woken)
      if (granted === 0) continue
      woken += granted
      this.#firstWaker = index + 1
      this.#memory.doorbell.ring(index)
    }
    return woken
  }

  #enter (waiter: Waiter): void {
    const { region, slot, doorbell } = this.#memory
    const tagWord = this.#tagWord(this.#openWords(), slot.index)
    if (this.#waiters.size === 0) {
      doorbell.onRing(this.#collect)
      this.#memory.onClose(this.#fail)
    }
    this.#waiters.add(waiter)
    if (Atomics.load(region.i32, tagWord) !== slot.tag) {
      Atomics.store(region.i32, tagWord + 1, 0)
      Atomics.store(region.i32, tagWord, slot.tag)
    }
    Atomics.add(region.i32, tagWord + 1, 1)
  }

  /** One waiter goes. True: all that are left were granted, so it was woken after all and uses up a grant. */
  #leave (): boolean {
    const { i32 } = this.#memory.region
    const word = this.#tagWord(Atomics.load(i32, this.#holder), this.#memory.slot.index) + 1
    for (;;) {
      const counts = Atomics.load(i32, word)
      const isGranted = (counts & 0xffff) === 0
      const next = isGranted ? counts - 0x10000 : counts - 1
      if (Atomics.compareExchange(i32, word, counts, next | 0) === counts) return isGranted
    }
  }

  #collect = (): void => {
    const { i32 } = this.#memory.region
    const word = this.#tagWord(Atomics.load(i32, this.#holder), this.#memory.slot.index) + 1
    const counts = Atomics.load(i32, word)
    let granted = counts >>> 16
    if (granted === 0) return
    // Only this worker lowers `granted`, so what was read can be taken whatever wakers add meanwhile.
    Atomics.sub(i32, word, granted << 16)
    for (const waiter of this.#waiters) {
      if (granted-- === 0) break
      waiter.settle(true)
    }
  }

  #fail = (): void => {
    for (const waiter of this.#waiters) waiter.fail(new ClosedError(this.#name))
  }

  #rest (): void {
    this.#memory.doorbell.offRing(this.#collect)
    this.#memory.offClose(this.#fail)
  }

  #openWords (): number {
    const { region, allocator } = this.#memory
    const ref = Atomics.load(region.i32, this.#holder)
    if (ref !== 0) return ref
    const created = allocator.allocate(SLOTS * 8)
    if (allocator.publish(created, this.#holder)) return created
    allocator.free(created)
    return Atomics.load(region.i32, this.#holder)
  }

  #tagWord (ref: number, slotIndex: number): number {
    return ref * REF_BYTES / 4 + slotIndex * 2
  }
}

function grant (i32: Int32Array, word: number, most: number): number {
  for (;;) {
    const counts = Atomics.load(i32, word)
    const n = Math.min(counts & 0xffff, most)
    if (n === 0) return 0
    if (Atomics.compareExchange(i32, word, counts, (counts - n + (n << 16)) | 0) === counts) return n
  }
}
