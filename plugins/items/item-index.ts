import type { SharedMemory } from '../shared-memory/index.ts'
import { Heap } from './heap.ts'
import { QueueWord, RecordWord, SECOND_COUNT, State, isInFlight } from './layout.ts'
import { Records } from './records.ts'

const COUNTS = { [State.READY]: QueueWord.READY, [State.DELAYED]: QueueWord.DELAYED, [State.DEAD]: QueueWord.DEAD } as Record<number, number>

/**
 * What finds the records of a queue: lists, heaps and counts, to be used inside the guard. It follows the records' states
 * and can be made anew from them, so its stores may be cut off anywhere.
 */
export class ItemIndex {
  readonly records: Records
  /** How many items became ready and how many went, since who has the guard set these to 0: so many are to be woken. */
  readied = 0
  freed = 0
  #i32: Int32Array
  #f64: Float64Array
  #queue: number
  #returned: Heap
  #timed: Heap

  constructor (memory: SharedMemory, payload: number) {
    const { region } = memory
    this.#i32 = region.i32
    this.#f64 = region.f64
    this.#queue = payload / 4
    this.records = new Records(memory, this.#queue)
    this.#returned = new Heap(region, this.records, this.#queue + QueueWord.RETURNED_SIZE, RecordWord.RETURNED_AT, RecordWord.SEQUENCE)
    this.#timed = new Heap(region, this.records, this.#queue + QueueWord.TIMED_SIZE, RecordWord.TIMED_AT, RecordWord.AT)
  }

  count (word: number): number {
    return this.#i32[this.#queue + word]!
  }

  set (word: number, value: number): void {
    this.#i32[this.#queue + word] = value
  }

  total (word: number): number {
    return this.#f64[(this.#queue + word) / 2]!
  }

  setTotal (word: number, value: number): void {
    this.#f64[(this.#queue + word) / 2] = value
  }

  grow (word: number, by: number): void {
    this.setTotal(word, this.total(word) + by)
  }

  /** How many items there are, wherever they are. */
  size (): number {
    return this.waiting() + this.count(QueueWord.IN_FLIGHT) + this.count(QueueWord.DEAD)
  }

  /** How many items wait to be taken, delayed ones included. */
  waiting (): number {
    return this.count(QueueWord.READY) + this.count(QueueWord.DELAYED)
  }

  /** The record of the item that is taken next, 0 when none is ready. */
  front (): number {
    return this.#returned.first() || this.count(QueueWord.READY_FIRST)
  }

  /** The record that the next item gets; its page may still have to be made. */
  nextFree (): number {
    return this.count(QueueWord.FREE_FIRST) || this.count(QueueWord.MADE) + 1
  }

  /** The record `n = nextFree()` is about to hold an item. */
  use (n: number, at: number): void {
    if (n > this.count(QueueWord.MADE)) this.set(QueueWord.MADE, n)
    else this.set(QueueWord.FREE_FIRST, this.#i32[at + RecordWord.NEXT]!)
  }

  release (n: number, at: number): void {
    // A late recoverer of a dead worker has the block for a moment; the record waits for the next repair.
    if (this.#i32[at + RecordWord.DATA] !== 0 || this.#i32[at + RecordWord.ERROR] !== 0) return
    this.#i32[at + RecordWord.NEXT] = this.count(QueueWord.FREE_FIRST)
    this.set(QueueWord.FREE_FIRST, n)
  }

  giveSequence (at: number): void {
    const sequence = this.total(QueueWord.SEQUENCE)
    this.#f64[(at + RecordWord.SEQUENCE) / 2] = sequence
    this.setTotal(QueueWord.SEQUENCE, sequence + 1)
  }

  /** A ready item that is younger than all others. */
  append (n: number, at: number): void {
    const last = this.count(QueueWord.READY_LAST)
    this.#i32[at + RecordWord.NEXT] = 0
    if (last === 0) this.set(QueueWord.READY_FIRST, n)
    else this.#i32[this.records.at(last) + RecordWord.NEXT] = n
    this.set(QueueWord.READY_LAST, n)
    this.#change(QueueWord.READY, 1)
    this.readied++
  }

  /** A ready item that was taken before, so that it is older than all that never were. */
  return (n: number): void {
    this.#returned.insert(n)
    this.#change(QueueWord.READY, 1)
    this.readied++
  }

  /** The item `n = front()` is not ready any more. */
  dropFront (n: number, at: number): void {
    this.#change(QueueWord.READY, -1)
    if (this.#returned.size !== 0) return this.#returned.remove(n)
    const next = this.#i32[at + RecordWord.NEXT]!
    this.set(QueueWord.READY_FIRST, next)
    if (next === 0) this.set(QueueWord.READY_LAST, 0)
  }

  /** An item is delayed. Who waits until the first one is due has to look again when that is this one. */
  delay (n: number): void {
    this.#change(QueueWord.DELAYED, 1)
    this.#timed.insert(n)
    if (this.#timed.first() === n) this.readied = Infinity
  }

  /** An item is in flight. */
  launch (n: number, at: number): void {
    this.#change(QueueWord.IN_FLIGHT, 1)
    if (this.#f64[(at + RecordWord.AT) / 2] !== 0) this.#timed.insert(n)
  }

  bury (): void {
    this.#change(QueueWord.DEAD, 1)
  }

  /** An item that was delayed, in flight or dead is so no more. To be called before its AT changes. */
  leave (n: number, at: number, state: number): void {
    if (this.#isTimed(at, state)) this.#timed.remove(n)
    this.#change(countOf(state), -1)
  }

  /** The record with the least AT, 0 when none has one. */
  firstTimed (): number {
    return this.#timed.first()
  }

  /** When the next item is due, or taken back: epoch milliseconds, or Infinity. */
  nextDue (): number {
    const n = this.#timed.first()
    return n === 0 ? Infinity : this.#f64[(this.records.at(n) + RecordWord.AT) / 2]!
  }

  /** Forgets all but how many records there are; each is to be given to `enlist`, and then `arrange` called. */
  empty (): void {
    for (const word of [QueueWord.FREE_FIRST, QueueWord.READY_FIRST, QueueWord.READY_LAST, QueueWord.READY, QueueWord.DELAYED, QueueWord.IN_FLIGHT, QueueWord.DEAD]) {
      this.set(word, 0)
    }
    this.setTotal(QueueWord.BYTES, 0)
    this.#returned.empty()
    this.#timed.empty()
  }

  /** Ready items all go to the heap: its order can be made in one pass, and what is pushed later is younger. */
  enlist (n: number, at: number): void {
    const state = this.#i32[at + RecordWord.STATE]! & ~SECOND_COUNT
    if (state === State.FREE) return this.release(n, at)
    if (state === State.READY) this.#returned.append(n)
    else if (this.#isTimed(at, state)) this.#timed.append(n)
    this.#change(countOf(state), 1)
    this.grow(QueueWord.BYTES, this.#i32[at + RecordWord.BYTES]!)
    this.setTotal(QueueWord.SEQUENCE, Math.max(this.total(QueueWord.SEQUENCE), this.#f64[(at + RecordWord.SEQUENCE) / 2]! + 1))
  }

  arrange (): void {
    this.#returned.arrange()
    this.#timed.arrange()
  }

  #isTimed (at: number, state: number): boolean {
    return (state & ~SECOND_COUNT) === State.DELAYED || (isInFlight(state) && this.#f64[(at + RecordWord.AT) / 2] !== 0)
  }

  #change (word: number, by: number): void {
    this.#i32[this.#queue + word] = this.count(word) + by
  }
}

function countOf (state: number): number {
  return COUNTS[state & ~SECOND_COUNT] ?? QueueWord.IN_FLIGHT
}
