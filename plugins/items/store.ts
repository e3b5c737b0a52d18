import { Header, REF_BYTES, WaitSet, loadAcquire } from '../shared-memory/index.ts'
import type { Ref, SharedMemory } from '../shared-memory/index.ts'
import { causeOf, valueBlock } from './blocks.ts'
import type { ItemIndex } from './item-index.ts'
import { INLINE_BYTES, QueueWord, REVIVED, Reason, RecordWord, SECOND_COUNT, State, isInFlight, payloadBytes } from './layout.ts'
import type { ItemsDefinition } from './layout.ts'
import { Ledger } from './ledger.ts'
import { Reader } from './reader.ts'
import { decode, isKind, read } from '../values/index.ts'
import type { Encoded } from '../values/index.ts'

/** An item that this worker has, and which of its deliveries that is. */
export interface Delivery {
  record: number
  delivery: number
  /** From 1. */
  attempt: number
  /** The last one. */
  mostAttempts: number
  /** It was a dead letter. */
  isRevived: boolean
  value: unknown
}

/** Where an item is, for as long as it is there. */
export interface Placed {
  record: number
  id: number
}

export type Whereabouts = 'waiting' | 'in flight' | 'gone' | { error: string, reason: number }

export interface WaitFor {
  /** Default: for ever. */
  timeoutMs?: number
  signal?: AbortSignal | undefined
  /** Ends the wait as the signal does, but asked only at `lookAgain`, and without an error: for who waits too often for a signal's listener. */
  isOver?: () => boolean
}

/** Sections inside the guard stay short: what is more than this is done in several. */
const MOST_PROMOTED = 256
const MOST_SWEPT = 1024

/** A queue's items, one guarded section for each change; whoever it concerns is woken behind the section. */
export class Store {
  readonly definition: ItemsDefinition
  readonly reader: Reader
  /** What the last `push` of this worker placed. */
  readonly pushed: Placed = { record: 0, id: 0 }
  #memory: SharedMemory
  #i32: Int32Array
  #queue: number
  #ledger: Ledger
  #index: ItemIndex
  #poppers: WaitSet
  #pushers: WaitSet
  #onDamage: (error: Error, attempt: number) => void

  /** `onDamage` is told of a value that does not decode; it is a dead letter by then. */
  constructor (memory: SharedMemory, name: string, definition: ItemsDefinition, onDamage: (error: Error, attempt: number) => void, type = 'queue') {
    const payload = memory.open({ type, name, definition, bytes: payloadBytes(definition.capacity) })
    this.definition = definition
    this.#memory = memory
    this.#i32 = memory.region.i32
    this.#queue = payload / 4
    this.#ledger = new Ledger(memory, payload, definition)
    this.#index = this.#ledger.index
    this.reader = new Reader(memory, this.#index.records)
    this.#poppers = new WaitSet(memory, `${type} ${name}`, this.#queue + QueueWord.POPPERS)
    this.#pushers = new WaitSet(memory, `${type} ${name}`, this.#queue + QueueWord.PUSHERS)
    this.#onDamage = onDamage
    // A memory file keeps what the workers of its last use had, and has counted no deaths of theirs.
    this.#sweep()
  }

  /** False: there is no room. `due`: epoch milliseconds, 0 for at once. Throws FST_SWOOLE_MEMORY_FULL. */
  push (value: Encoded, due: number, mostAttempts?: number): boolean {
    const block = value.bytes > INLINE_BYTES ? this.#blockFor(value) : 0
    if (block === undefined) return false
    for (;;) {
      this.#enter()
      const hasRoom = this.#ledger.hasRoom(value.bytes)
      const n = this.#index.nextFree()
      const isPlaced = hasRoom && this.#index.records.has(n)
      if (isPlaced) {
        this.#ledger.add(n, value, block, due, mostAttempts)
        this.pushed.record = n
        this.pushed.id = this.#ledger.id(n)
      }
      this.#leave()
      if (isPlaced) return true
      if (!hasRoom) {
        if (block !== 0) this.#memory.allocator.free(block)
        return false
      }
      this.#makePage(n, block)
    }
  }

  /** The next item, which is gone from the queue; undefined when none is ready. */
  pop (): unknown {
    for (;;) {
      const n = this.#enterAtFront()
      if (n === 0) return undefined
      const at = this.#index.records.at(n)
      const kind = this.#i32[at + RecordWord.KIND]!
      const bytes = this.#i32[at + RecordWord.BYTES]!
      if (!isKind(kind)) {
        this.#deliver(n, 0)
        continue
      }
      // One step, so that the item is in the queue or popped, and never on its way.
      const start = bytes <= INLINE_BYTES ? (at + RecordWord.INLINE) * 4 : this.#i32[at + RecordWord.DATA]! * REF_BYTES
      const attempt = this.#ledger.attempts(n) + 1
      const block = this.#ledger.popFront(n, QueueWord.POPPED)
      // A block that is not in hand now will be freed by somebody's repair, which cannot be while this is inside.
      let copy = block === 0 ? read(this.#memory.region, kind, start, bytes) : undefined
      this.#leave()
      if (block !== 0) {
        copy = read(this.#memory.region, kind, start, bytes)
        this.#memory.allocator.free(block)
      }
      try {
        return decode(kind, copy)
      } catch (error) {
        this.#onDamage(error as Error, attempt)
      }
    }
  }

  /** The next item, in flight in this worker for so long, 0 for as long as it lives; undefined when none is ready. */
  take (visibilityMs = this.definition.visibilityMs): Delivery | undefined {
    for (;;) {
      const n = this.#enterAtFront()
      if (n === 0) return undefined
      const taken = this.#deliver(n, visibilityMs === 0 ? 0 : Date.now() + visibilityMs)
      if (taken !== undefined) return taken
    }
  }

  /** The value of the next item, which stays where it is; undefined when none is ready. */
  peek (): unknown {
    for (;;) {
      const n = this.#enterAtFront()
      if (n === 0) return undefined
      const state = this.#ledger.state(n)
      const sequence = this.reader.sequence(n)
      this.#leave()
      const copy = this.reader.copy(n, state, sequence)
      if (copy === undefined) continue
      if (copy.damage === undefined) return copy.value
      const next = this.take()
      if (next !== undefined) this.putBack(next)
    }
  }

  /** The item is done. False: too late, it was taken back. */
  acknowledge (taken: Delivery): boolean {
    if (!this.#enterWith(taken)) return false
    this.#ledger.remove(taken.record, QueueWord.POPPED)
    this.#leave()
    return true
  }

  /** The attempt failed; the next one is in `waitMs`, undefined for none. True: it was the last. Nothing happens to an item that was taken back. */
  fail (taken: Delivery, error: string, waitMs: number | undefined): boolean {
    if (waitMs === undefined || taken.attempt >= taken.mostAttempts) return this.#bury(taken, error)
    if (!this.#enterWith(taken)) return false
    if (waitMs > 0) this.#ledger.postpone(taken.record, Date.now() + waitMs)
    else this.#ledger.fail(taken.record)
    this.#leave()
    return false
  }

  /** The item is ready again, in its old place, and was not tried. */
  putBack (taken: Delivery): void {
    if (!this.#enterWith(taken)) return
    this.#ledger.putBack(taken.record)
    this.#leave()
  }

  /** Whether the item is in flight here still; false once it was taken back. */
  has (taken: Delivery): boolean {
    this.#enterUpToDate()
    const isDelivered = this.#ledger.isDelivered(taken.record, taken.delivery)
    this.#leave()
    return isDelivered
  }

  /** What has become of an item; what is dead, with why: the error's text, and a `Reason` or the tag of a worker that died. */
  whereabouts ({ record, id }: Placed): Whereabouts {
    this.#enterUpToDate()
    const isThere = this.#ledger.id(record) === id
    const state = this.#ledger.state(record)
    const sequence = this.reader.sequence(record)
    const reason = this.#i32[this.#index.records.at(record) + RecordWord.REASON]!
    this.#leave()
    const plain = state & ~SECOND_COUNT
    if (!isThere || plain === State.FREE) return 'gone'
    if (isInFlight(state)) return 'in flight'
    if (plain !== State.DEAD) return 'waiting'
    const error = this.reader.cause(record, state, sequence, this.definition.visibilityMs)
    return error === undefined ? this.whereabouts({ record, id }) : { error, reason }
  }

  /** How many items wait to be taken, delayed ones included; as it was a moment ago, and asked without the guard. */
  get waiting (): number {
    return this.#index.waiting()
  }

  /** Whether an item seems to be ready; asked without the guard, and it does not know of those that have come due. */
  get isAnyReady (): boolean {
    return Atomics.load(this.#i32, this.#queue + QueueWord.READY) > 0
  }

  /** Does something short with all that is due and all that dead workers had put in order. */
  inside<T> (act: (ledger: Ledger) => T): T {
    this.#enterUpToDate()
    const result = act(this.#ledger)
    this.#leave()
    return result
  }

  /** The same; what `act` removes is counted as cleared, even if this worker dies meanwhile. */
  clearing<T> (act: (ledger: Ledger) => T): T {
    return this.inside((ledger) => {
      ledger.index.set(QueueWord.CLEARING, 1)
      const result = act(ledger)
      ledger.index.set(QueueWord.CLEARING, 0)
      return result
    })
  }

  /** Waits until it is worth looking for an item. Rejects as `WaitSet.wait`. */
  async waitForItem ({ timeoutMs = Infinity, signal, isOver }: WaitFor): Promise<void> {
    const due = this.inside((ledger) => ledger.index.nextDue())
    const { visibilityMs } = this.definition
    // Who takes an item tells nobody when it is taken back, so each waiter looks once in that time.
    const lookMs = Math.min(Math.max(due - Date.now(), 1), visibilityMs || Infinity, timeoutMs)
    const isReady = () => isOver?.() === true || this.inside((ledger) => ledger.index.front() !== 0 || ledger.index.nextDue() < due)
    await this.#poppers.wait(isReady, { timeoutMs: lookMs === Infinity ? undefined : lookMs, signal, isIdle: isOver !== undefined && due === Infinity })
    // It may have been chosen to take an item that it will not take.
    if (this.#memory.isClosed || signal?.aborted || isOver?.() === true) this.#poppers.wake(1)
  }

  /** Whoever of this worker waits for an item, and is over, is told so. */
  lookAgain (): void {
    this.#poppers.look()
  }

  /** Waits until it is worth trying to push so many bytes. Rejects as `WaitSet.wait`. */
  async waitForRoom (bytes: number, { timeoutMs, signal }: WaitFor): Promise<void> {
    await this.#pushers.wait(() => this.inside((ledger) => ledger.hasRoom(bytes)), { timeoutMs, signal })
    if (this.#memory.isClosed || signal?.aborted) this.#pushers.wake(1)
  }

  /** One that waited for room has used it, or will not: the next one may try what is left. */
  offerRoom (): void {
    if (this.inside((ledger) => ledger.hasRoom(0))) this.#pushers.wake(1)
  }

  /** Leaves the guard with `n = front()` in flight, and copies its value. Undefined: it is gone, or was damaged and is dead. */
  #deliver (n: number, until: number): Delivery | undefined {
    this.#ledger.take(n, until)
    const state = this.#ledger.state(n)
    const sequence = this.reader.sequence(n)
    const taken: Delivery = { record: n, delivery: this.#ledger.delivery(n), attempt: this.#ledger.attempts(n) + 1, mostAttempts: this.#ledger.mostAttempts(n), isRevived: this.#ledger.id(n) === REVIVED, value: undefined }
    this.#leave()
    const copy = this.reader.copy(n, state, sequence)
    if (copy === undefined) return undefined
    if (copy.damage !== undefined) {
      this.#buryDamaged(taken, copy.damage)
      return undefined
    }
    taken.value = copy.value
    return taken
  }

  #buryDamaged (taken: Delivery, damage: Error): void {
    if (!this.#enterWith(taken)) return
    this.#ledger.bury(taken.record, Reason.UNDECODABLE)
    this.#leave()
    this.#onDamage(damage, taken.attempt)
  }

  #bury (taken: Delivery, error: string): boolean {
    const { block, bytes, reason } = causeOf(this.#memory, error)
    if (!this.#enterWith(taken)) {
      if (block !== 0) this.#memory.allocator.free(block)
      return false
    }
    this.#ledger.bury(taken.record, reason, block, bytes)
    this.#leave()
    return true
  }

  /** A block in hand with the value. Undefined: there is no room in the queue, so none in the memory is looked for. */
  #blockFor (value: Encoded): Ref | undefined {
    if (!this.inside((ledger) => ledger.hasRoom(value.bytes))) return undefined
    return valueBlock(this.#memory, value)
  }

  #makePage (n: number, block: Ref): void {
    try {
      this.#index.records.make(n)
    } catch (error) {
      if (block !== 0) this.#memory.allocator.free(block)
      throw error
    }
  }

  #sweep (): void {
    const deaths = Atomics.load(this.#i32, Header.DEATHS)
    let first = 1
    let made
    do {
      this.#enter()
      made = this.#index.count(QueueWord.MADE)
      const last = this.#index.count(QueueWord.IN_FLIGHT) === 0 ? made : Math.min(made, first + MOST_SWEPT - 1)
      if (this.#index.count(QueueWord.IN_FLIGHT) !== 0) this.#ledger.takeBackFromDead(first, last)
      first = last + 1
      if (first > made) this.#index.set(QueueWord.SWEPT, deaths)
      this.#leave()
    } while (first <= made)
  }

  #enter (): void {
    if (this.#memory.guard.enter(this.#queue + QueueWord.GUARD)) this.#ledger.rebuild()
  }

  #enterUpToDate (): void {
    this.#enter()
    while (this.#i32[this.#queue + QueueWord.SWEPT] !== this.#i32[Header.DEATHS]) {
      this.#leave()
      this.#sweep()
      this.#enter()
    }
    if (this.#index.firstTimed() !== 0) this.#ledger.promoteDue(Date.now(), MOST_PROMOTED)
  }

  /** The next item, inside the guard. 0: none is ready, and the guard is left. */
  #enterAtFront (): number {
    this.#enterUpToDate()
    const n = this.#index.front()
    if (n === 0) this.#leave()
    return n
  }

  /** Enters only if the item is in flight here. */
  #enterWith (taken: Delivery): boolean {
    this.#enter()
    if (this.#ledger.isDelivered(taken.record, taken.delivery)) return true
    this.#leave()
    return false
  }

  #leave (): void {
    const { readied, freed } = this.#index
    this.#index.readied = 0
    this.#index.freed = 0
    this.#memory.guard.leave(this.#queue + QueueWord.GUARD)
    // A waiter is counted before it enters the guard to look, so it sees the change, or is seen here.
    if (readied !== 0 && loadAcquire(this.#i32, this.#queue + QueueWord.POPPERS) !== 0) this.#poppers.wake(readied)
    if (freed !== 0 && loadAcquire(this.#i32, this.#queue + QueueWord.PUSHERS) !== 0) this.#pushers.wake(freed)
  }
}
