import { isAlive, storeRelease } from '../shared-memory/index.ts'
import type { Ref, SharedMemory } from '../shared-memory/index.ts'
import { ItemIndex } from './item-index.ts'
import type { ItemsDefinition } from './layout.ts'
import { INLINE_BYTES, QueueWord, REVIVED, Reason, RecordWord, SECOND_COUNT, State, isInFlight } from './layout.ts'
import type { Encoded } from '../values/index.ts'

/**
 * The changes of a queue's items, each to be made inside the guard. Every one is committed by the store of STATE; the index
 * and the totals follow it, and `rebuild` makes them anew when a worker has died in between.
 */
export class Ledger {
  readonly index: ItemIndex
  #memory: SharedMemory
  #definition: ItemsDefinition
  #i32: Int32Array
  #f64: Float64Array

  constructor (memory: SharedMemory, payload: number, definition: ItemsDefinition) {
    this.index = new ItemIndex(memory, payload)
    this.#memory = memory
    this.#definition = definition
    this.#i32 = memory.region.i32
    this.#f64 = memory.region.f64
  }

  hasRoom (bytes: number): boolean {
    const { capacity, maxBytes } = this.#definition
    return this.index.size() < capacity && this.index.total(QueueWord.BYTES) + bytes <= maxBytes && this.index.nextFree() <= capacity
  }

  state (n: number): number {
    return this.#i32[this.#at(n) + RecordWord.STATE]!
  }

  /** How many attempts of an item ended. */
  attempts (n: number): number {
    const at = this.#at(n)
    return this.#i32[attemptsWord(at, this.#i32[at]!)]!
  }

  /** How often an item is tried. */
  mostAttempts (n: number): number {
    return this.#i32[this.#at(n) + RecordWord.MOST_ATTEMPTS]!
  }

  id (n: number): number {
    return this.#i32[this.#at(n) + RecordWord.ID]!
  }

  /** Which delivery of an item is the current one. */
  delivery (n: number): number {
    return this.#i32[this.#at(n) + RecordWord.DELIVERY]!
  }

  /** Whether the item is still in flight in this worker since that delivery. */
  isDelivered (n: number, delivery: number): boolean {
    return (this.state(n) & ~SECOND_COUNT) === this.#memory.slot.tag && this.delivery(n) === delivery
  }

  /** A new item in the record `n = nextFree()`. `due`: epoch milliseconds, 0 for at once. `block`: in hand, with the value. */
  add (n: number, value: Encoded, block: Ref, due: number, mostAttempts = this.#definition.maxAttempts): void {
    const at = this.#at(n)
    this.index.use(n, at)
    this.#i32[at + RecordWord.KIND] = value.kind
    this.#i32[at + RecordWord.BYTES] = value.bytes
    this.#i32[at + RecordWord.ATTEMPTS] = 0
    this.#i32[at + RecordWord.MOST_ATTEMPTS] = mostAttempts
    this.#i32[at + RecordWord.ID] = this.index.total(QueueWord.PUSHED)
    this.#f64[(at + RecordWord.AT) / 2] = due
    if (block === 0) value.write(this.#memory.region, (at + RecordWord.INLINE) * 4)
    else this.#memory.allocator.publish(block, at + RecordWord.DATA)
    this.index.giveSequence(at)
    if (due === 0) {
      this.#commit(at, State.READY)
      this.index.append(n, at)
    } else {
      this.#commit(at, State.DELAYED)
      this.index.delay(n)
    }
    this.index.grow(QueueWord.BYTES, value.bytes)
    this.index.grow(QueueWord.PUSHED, 1)
  }

  /** The item `n = front()` is this worker's, until `until` (epoch milliseconds; 0: as long as it lives). */
  take (n: number, until: number): void {
    const at = this.#at(n)
    this.#i32[at + RecordWord.DELIVERY] = this.#i32[at + RecordWord.DELIVERY]! + 1
    this.#f64[(at + RecordWord.AT) / 2] = until
    this.#commit(at, this.#memory.slot.tag | (this.#i32[at]! & SECOND_COUNT))
    this.index.dropFront(n, at)
    this.index.launch(n, at)
  }

  /** The item `n = front()` leaves the queue. */
  removeFront (n: number, counter: number): void {
    const block = this.popFront(n, counter)
    if (block !== 0) this.#memory.allocator.free(block)
  }

  /**
   * The same. The block with its value is in this worker's hands then; 0: it has none, or a late recoverer of a dead worker has
   * it for a moment, and it stays with the record until the next repair. What the record and the block hold is untouched inside the guard.
   */
  popFront (n: number, counter: number): Ref {
    const at = this.#at(n)
    this.#commit(at, State.FREE)
    this.index.dropFront(n, at)
    const block = this.#i32[at + RecordWord.BYTES]! > INLINE_BYTES ? this.#takeBlock(at + RecordWord.DATA) : 0
    this.#recycle(n, at, counter)
    return block
  }

  /** An item that is in flight, delayed or dead leaves the queue. */
  remove (n: number, counter: number): void {
    const at = this.#at(n)
    const before = this.#i32[at]!
    this.#commit(at, State.FREE)
    this.index.leave(n, at, before)
    this.#recycle(n, at, counter)
  }

  /** An item in flight is ready again, before all that were pushed after it, and its attempt does not count. */
  putBack (n: number): void {
    const at = this.#at(n)
    const before = this.#i32[at]!
    this.#commit(at, State.READY | (before & SECOND_COUNT))
    this.index.leave(n, at, before)
    this.index.return(n)
  }

  /** The same, but the attempt counts. */
  fail (n: number): void {
    const at = this.#at(n)
    const before = this.#i32[at]!
    this.#commit(at, State.READY | this.#withAttempts(at, this.attempts(n) + 1))
    this.index.leave(n, at, before)
    this.index.return(n)
    this.index.grow(QueueWord.FAILED, 1)
  }

  /** The attempt of an item in flight failed, and it is tried again at `due`. */
  postpone (n: number, due: number): void {
    const at = this.#at(n)
    this.index.leave(n, at, this.#i32[at]!)
    this.#f64[(at + RecordWord.AT) / 2] = due
    this.#commit(at, State.DELAYED | this.#withAttempts(at, this.attempts(n) + 1))
    this.index.delay(n)
    this.index.grow(QueueWord.FAILED, 1)
  }

  /** The last attempt of an item in flight failed. `text`: a block in hand with the error's text of so many bytes, or 0. */
  bury (n: number, reason: number, text: Ref = 0, bytes = 0): void {
    const at = this.#at(n)
    const before = this.#i32[at]!
    this.#i32[at + RecordWord.REASON] = reason
    this.#i32[at + RecordWord.ERROR_BYTES] = bytes
    if (text !== 0) this.#memory.allocator.publish(text, at + RecordWord.ERROR)
    this.#commit(at, State.DEAD | this.#withAttempts(at, this.attempts(n) + 1))
    this.index.leave(n, at, before)
    this.index.bury()
    this.index.grow(QueueWord.FAILED, 1)
    this.index.grow(QueueWord.BURIED, 1)
  }

  /** A dead letter is ready again at the end of the queue, as if it had not been tried. */
  revive (n: number): void {
    const at = this.#at(n)
    const before = this.#i32[at]!
    this.index.giveSequence(at)
    this.#i32[at + RecordWord.ID] = REVIVED
    this.#commit(at, State.READY | this.#withAttempts(at, 0))
    this.index.leave(n, at, before)
    this.index.append(n, at)
    this.#dropBlock(at + RecordWord.ERROR)
  }

  /** Makes ready what is due and takes back what is in flight for too long, up to `most` items. */
  promoteDue (now: number, most: number): void {
    for (let left = most; left > 0 && this.index.nextDue() <= now; left--) {
      const n = this.index.firstTimed()
      if (isInFlight(this.state(n))) this.#takeBack(n, Reason.TIMED_OUT)
      else this.#promote(n)
    }
  }

  /** Takes back what dead workers had, of the records from `first` to `last`. */
  takeBackFromDead (first: number, last: number): void {
    for (let n = first; n <= last; n++) {
      const state = this.state(n)
      const holder = state & ~SECOND_COUNT
      if (isInFlight(state) && !isAlive(this.#memory.region, holder)) this.#takeBack(n, holder)
    }
  }

  /** Makes everything but the records anew. */
  rebuild (): void {
    this.index.empty()
    for (let n = this.index.count(QueueWord.MADE); n > 0; n--) {
      const at = this.#at(n)
      const state = this.#i32[at]! & ~SECOND_COUNT
      if (state !== State.DEAD) this.#dropBlock(at + RecordWord.ERROR)
      if (state === State.FREE) this.#dropBlock(at + RecordWord.DATA)
      this.index.enlist(n, at)
    }
    this.index.arrange()
    this.#recount()
  }

  /** A change is counted after its commit, so one that is not counted shows in how many items there are. */
  #recount (): void {
    const { index } = this
    const missing = index.total(QueueWord.PUSHED) - index.total(QueueWord.POPPED) - index.total(QueueWord.CLEARED) - index.size()
    if (missing < 0) index.grow(QueueWord.PUSHED, -missing)
    if (missing > 0) index.grow(index.count(QueueWord.CLEARING) === 1 ? QueueWord.CLEARED : QueueWord.POPPED, missing)
    index.set(QueueWord.CLEARING, 0)
  }

  #promote (n: number): void {
    const at = this.#at(n)
    const before = this.#i32[at]!
    this.index.giveSequence(at)
    this.#commit(at, State.READY | (before & SECOND_COUNT))
    this.index.leave(n, at, before)
    this.index.append(n, at)
  }

  #takeBack (n: number, reason: number): void {
    if (this.attempts(n) + 1 < this.mostAttempts(n)) this.fail(n)
    else this.bury(n, reason)
  }

  #at (n: number): number {
    return this.index.records.at(n)
  }

  #commit (at: number, state: number): void {
    storeRelease(this.#i32, at + RecordWord.STATE, state)
  }

  /** Writes the count of attempts that is not in force, and returns the bit with which it is. */
  #withAttempts (at: number, attempts: number): number {
    const bit = (this.#i32[at]! & SECOND_COUNT) ^ SECOND_COUNT
    this.#i32[attemptsWord(at, bit)] = attempts
    return bit
  }

  #recycle (n: number, at: number, counter: number): void {
    this.index.freed++
    this.index.grow(counter, 1)
    this.index.grow(QueueWord.BYTES, -this.#i32[at + RecordWord.BYTES]!)
    if (this.#i32[at + RecordWord.BYTES]! > INLINE_BYTES) this.#dropBlock(at + RecordWord.DATA)
    if (this.#i32[at + RecordWord.ERROR] !== 0) this.#dropBlock(at + RecordWord.ERROR)
    this.index.release(n, at)
  }

  #dropBlock (holder: number): void {
    const block = this.#takeBlock(holder)
    if (block !== 0) this.#memory.allocator.free(block)
  }

  #takeBlock (holder: number): Ref {
    const ref = this.#i32[holder]!
    return ref !== 0 && this.#memory.allocator.retract(ref, holder) ? ref : 0
  }
}

function attemptsWord (at: number, state: number): number {
  return at + RecordWord.ATTEMPTS + ((state & SECOND_COUNT) === 0 ? 0 : 1)
}
