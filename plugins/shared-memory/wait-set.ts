import { ClosedError, TooManyWaitersError } from '../errors.ts'
import { Header, REF_BYTES, SLOTS } from './layout.ts'
import type { SharedMemory } from './shared-memory.ts'
import { isAlive, slotsUsed } from './slots.ts'

export interface WaitOptions {
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
  /** The time-out does not keep the process alive. */
  isIdle?: boolean
}

interface Waiter {
  wake (): void
  /** Settles when what it waits for is true. */
  look (): void
  /** Rejects, unless a wake has chosen this waiter already. */
  close (): void
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
  #nextSlot = 0
  #deaths = 0

  /** `holder`: a word of the object, with an even index and 0 at first, that will refer to the waiters' words. */
  constructor (memory: SharedMemory, name: string, holder: number) {
    this.#memory = memory
    this.#name = name
    this.#holder = holder
  }

  /**
   * Waits until a `wake` chooses this waiter: true; false after the time-out. `isReady` is asked once the waiter can be
   * seen, so that a change just before is not missed. Rejects with the signal's reason when that aborts, with
   * FST_SWOOLE_CLOSED when the application closes, and with FST_SWOOLE_TOO_MANY_WAITERS and FST_SWOOLE_MEMORY_FULL.
   * A waiter that a wake has chosen is woken, whatever else happens to it before it hears: no wake is lost.
   */
  wait (isReady: () => boolean, { timeoutMs, signal, isIdle }: WaitOptions = {}): Promise<boolean> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (isReady()) return Promise.resolve(true)
    if (timeoutMs === 0) return Promise.resolve(false)
    if (this.#memory.isClosed) return Promise.reject(new ClosedError(this.#name))

    return new Promise<boolean>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const finish = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#waiters.delete(waiter)
        if (this.#waiters.size === 0) this.#rest()
      }
      const giveUp = (settle: () => void) => {
        finish()
        if (this.#leave()) resolve(true)
        else settle()
      }
      const abort = () => giveUp(() => reject(signal!.reason))
      const waiter: Waiter = {
        wake () {
          finish()
          resolve(true)
        },
        look () {
          if (isReady()) giveUp(() => resolve(true))
        },
        close: () => giveUp(() => reject(new ClosedError(this.#name)))
      }
      this.#enter(waiter)
      signal?.addEventListener('abort', abort)
      if (timeoutMs !== undefined && timeoutMs <= LONGEST_TIMER_MS) timer = setTimeout(giveUp, timeoutMs, () => resolve(false))
      if (isIdle) timer?.unref()
      waiter.look()
    })
  }

  /** Wakes up to `count` waiters of any worker, the own and live ones only, and says how many. */
  wake (count: number): number {
    const { i32 } = this.#memory.region
    const ref = Atomics.load(i32, this.#holder)
    if (ref === 0) return 0
    const slots = slotsUsed(this.#memory.region)
    const first = this.#nextSlot
    let woken = 0
    for (let n = 0; n < slots && woken < count; n++) {
      const index = (first + n) % slots
      const tagWord = this.#tagWord(ref, index)
      const tag = Atomics.load(i32, tagWord)
      if (tag === 0 || !isAlive(this.#memory.region, tag)) continue
      const granted = grant(i32, tagWord + 1, count - woken)
      if (granted === 0) continue
      woken += granted
      this.#nextSlot = index + 1
      this.#memory.doorbell.ring(index)
    }
    return woken
  }

  /** Asks the waiters of this worker whether what they wait for is true: something changed that no other worker sees. */
  look (): void {
    for (const waiter of this.#waiters) waiter.look()
  }

  #enter (waiter: Waiter): void {
    const { region: { i32 }, slot, doorbell } = this.#memory
    const tagWord = this.#tagWord(this.#openWords(), slot.index)
    if (Atomics.load(i32, tagWord) !== slot.tag) {
      Atomics.store(i32, tagWord + 1, 0)
      Atomics.store(i32, tagWord, slot.tag)
    }
    const counts = Atomics.load(i32, tagWord + 1)
    if ((counts & 0xffff) + (counts >>> 16) === MAX_WAITERS) throw new TooManyWaitersError(this.#name, MAX_WAITERS)
    if (this.#waiters.size === 0) {
      this.#deaths = Atomics.load(i32, Header.DEATHS)
      doorbell.onRing(this.#collect)
      this.#memory.onClose(this.#close)
    }
    this.#waiters.add(waiter)
    Atomics.add(i32, tagWord + 1, 1)
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
    // One that died may have made true what these wait for, and not have come to `wake`.
    const deaths = Atomics.load(i32, Header.DEATHS)
    if (deaths !== this.#deaths) {
      this.#deaths = deaths
      for (const waiter of this.#waiters) waiter.look()
    }
    const word = this.#tagWord(Atomics.load(i32, this.#holder), this.#memory.slot.index) + 1
    // Another application of this worker may wait for the same object, with a queue of its own: leave it the rest.
    let granted = Math.min(Atomics.load(i32, word) >>> 16, this.#waiters.size)
    if (granted === 0) return
    // Only this worker lowers `granted`, so what was read can be taken whatever wakers add meanwhile.
    Atomics.sub(i32, word, granted << 16)
    for (const waiter of this.#waiters) {
      if (granted-- === 0) break
      waiter.wake()
    }
  }

  #close = (): void => {
    for (const waiter of this.#waiters) waiter.close()
  }

  #rest (): void {
    this.#memory.doorbell.offRing(this.#collect)
    this.#memory.offClose(this.#close)
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
