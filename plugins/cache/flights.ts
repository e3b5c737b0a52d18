import { ClosedError } from '../errors.ts'
import { LruRecords, isAlive, slotOf, slotsUsed } from '../shared-memory/index.ts'
import type { EntrySpace, SharedMemory } from '../shared-memory/index.ts'

/** A computation of a key's value that goes on in some worker. */
export interface Flight {
  /** Whether this worker is to compute; else another one is at it. */
  readonly isLeader: boolean
  readonly space: EntrySpace
  readonly key: string
  readonly id: number
  /** How often one that took too long was joined by another that computes the same. */
  readonly turn: number
  readonly owner: number
  /** Where its record is, as long as that has this id. */
  readonly record: number
}

export interface FlightWait {
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
}

/** How many keys are computed at once at most; of more, some are computed twice. */
const MOST_FLIGHTS = 4096
/**
 * A tag of the worker that began last, an id that no other flight has, a bit for each worker that waits (of slots 32 apart, one bit), and how
 * many have begun beside the first.
 */
const RecordWord = { OWNER: 0, ID: 1, FOLLOWERS: 2, TURN: 3 } as const
const PAYLOAD_WORDS = 4
/** A Node timer with more fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Who computes which key, over all workers: the first one that asks leads, the others follow until it has ended or is dead.
 * (Single-flight, after golang.org/x/sync/singleflight.)
 */
export class Flights {
  readonly #memory: SharedMemory
  readonly #i32: Int32Array
  readonly #records: LruRecords
  readonly #waiting = new Map<Flight, () => void>()
  #evicted = 0
  #ids = 0

  /** Throws FST_SWOOLE_MEMORY_FULL. */
  constructor (memory: SharedMemory) {
    this.#memory = memory
    this.#i32 = memory.region.i32
    const isSpent = (payload: number) => this.#isOpen(payload)
    // Who follows one that goes for another learns that it has ended.
    const evict = (payload: number) => { this.#evicted |= this.#i32[payload + RecordWord.FOLLOWERS]! }
    this.#records = new LruRecords(memory, { type: 'cache flights', name: 'flights', records: MOST_FLIGHTS, payloadWords: PAYLOAD_WORDS }, isSpent, evict)
    this.#ids = memory.open({ type: 'cache flights', name: 'ids', definition: {}, bytes: 64 }) / 4
  }

  /**
   * Begins to compute the key, or finds who has begun; `follows: false` says that nobody here will wait for that one. `beside`: a
   * flight that takes too long. One of those who waited computes as well then, and whoever is ready first ends it for all.
   */
  claim (space: EntrySpace, key: string, { follows = true, beside }: { follows?: boolean, beside?: Flight | undefined } = {}): Flight {
    const { slot } = this.#memory
    const i32 = this.#i32
    this.#records.enter(space.seeds, key)
    let record = this.#records.find()
    const isFirst = record === 0 || this.#isOpen(record)
    const isBeside = !isFirst && beside?.id === i32[record + RecordWord.ID] && beside?.turn === i32[record + RecordWord.TURN]
    if (record === 0) record = this.#records.add()
    if (isFirst) {
      // Who follows one that is dead follows this one from now on.
      i32[record + RecordWord.OWNER] = slot.tag
      i32[record + RecordWord.TURN] = 0
      Atomics.store(i32, record + RecordWord.ID, this.#nextId())
    } else if (isBeside) {
      // Who computes waits for the other ones, too.
      i32[record + RecordWord.FOLLOWERS]! |= bitOf(slotOf(i32[record + RecordWord.OWNER]!)) | bitOf(slot.index)
      i32[record + RecordWord.OWNER] = slot.tag
      i32[record + RecordWord.TURN]!++
    } else if (follows) {
      i32[record + RecordWord.FOLLOWERS]! |= bitOf(slot.index)
    }
    const flight = { isLeader: isFirst || isBeside, space, key, id: i32[record + RecordWord.ID]!, turn: i32[record + RecordWord.TURN]!, owner: i32[record + RecordWord.OWNER]!, record }
    const evicted = this.#evicted
    this.#evicted = 0
    const delayed = isFirst ? i32[record + RecordWord.FOLLOWERS]! : 0
    this.#records.leave()
    this.#wake(evicted | delayed)
    return flight
  }

  /** Nobody computes it: its worker is dead, or whoever ended it died before the record was free. */
  #isOpen (record: number): boolean {
    return this.#i32[record + RecordWord.ID] === 0 || !isAlive(this.#memory.region, this.#i32[record + RecordWord.OWNER]!)
  }

  #nextId (): number {
    return Atomics.add(this.#i32, this.#ids, 1) + 1 | 0 || this.#nextId()
  }

  /**
   * Ends what this worker led, and wakes who follows. When somebody does, `leave` is called first, once, to leave what
   * they will look for.
   */
  end (flight: Flight, leave?: () => void): void {
    try {
      if (leave !== undefined && !this.#end(flight, true)) leave()
    } finally {
      this.#end(flight, false)
    }
  }

  /** Ends whoever computes the key: what that makes is out of date. Who waits for it asks again. */
  cancel (space: EntrySpace, key: string): void {
    if (this.#records.isEmpty()) return
    this.#records.enter(space.seeds, key)
    const record = this.#records.find()
    const followers = record === 0 ? 0 : this.#remove(record)
    this.#records.leave()
    this.#wake(followers)
  }

  /** Whether it goes on, and nobody has cancelled it. */
  isCurrent ({ record, id }: Flight): boolean {
    return Atomics.load(this.#i32, record + RecordWord.ID) === id
  }

  /**
   * Waits for what another worker leads: true, it has ended, or its worker is dead; false after the time-out. Rejects with
   * the signal's reason, and with FST_SWOOLE_CLOSED when the application closes.
   */
  ended (flight: Flight, { timeoutMs, signal }: FlightWait = {}): Promise<boolean> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#isOver(flight)) return Promise.resolve(true)
    if (this.#memory.isClosed) return Promise.reject(new ClosedError('The cache'))
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#memory.offClose(close)
        this.#waiting.delete(flight)
        if (this.#waiting.size === 0) this.#memory.doorbell.offRing(this.#look)
        settle()
      }
      const abort = () => finish(() => reject(signal!.reason))
      const close = () => finish(() => reject(new ClosedError('The cache')))
      const timer = timeoutMs === undefined ? undefined : setTimeout(finish, Math.min(timeoutMs, LONGEST_TIMER_MS), () => resolve(false))
      if (this.#waiting.size === 0) this.#memory.doorbell.onRing(this.#look)
      this.#waiting.set(flight, () => finish(() => resolve(true)))
      signal?.addEventListener('abort', abort)
      this.#memory.onClose(close)
      // It may have ended before this listened.
      this.#look()
    })
  }

  #look = (): void => {
    for (const [flight, wake] of this.#waiting) {
      if (this.#isOver(flight)) wake()
    }
  }

  #isOver (flight: Flight): boolean {
    return !this.isCurrent(flight) || !isAlive(this.#memory.region, flight.owner)
  }

  /** False: somebody follows, and it goes on. */
  #end ({ space, key, id }: Flight, unlessFollowed: boolean): boolean {
    this.#records.enter(space.seeds, key)
    const record = this.#records.find()
    const isOurs = record !== 0 && this.#i32[record + RecordWord.ID] === id
    const isFollowed = isOurs && this.#i32[record + RecordWord.FOLLOWERS] !== 0
    const goesOn = unlessFollowed && isFollowed
    const followers = isOurs && !goesOn ? this.#remove(record) : 0
    this.#records.leave()
    this.#wake(followers)
    return !goesOn
  }

  #remove (record: number): number {
    const followers = this.#i32[record + RecordWord.FOLLOWERS]!
    Atomics.store(this.#i32, record + RecordWord.ID, 0)
    this.#records.remove(record)
    return followers
  }

  #wake (followers: number): void {
    if (followers === 0) return
    for (let index = 0; index < slotsUsed(this.#memory.region); index++) {
      if ((followers & bitOf(index)) !== 0) this.#memory.doorbell.ring(index)
    }
  }
}

const bitOf = (slot: number): number => 1 << (slot & 31)
