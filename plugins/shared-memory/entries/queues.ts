import { BlockWord, EntryWord, QueueWord } from './layout.ts'
import type { Arena } from './layout.ts'

/** Entries in the order in which they came, in one of several queues. For inside the guard. */
export class Queues {
  readonly #arena: Arena
  readonly #i32: Int32Array

  constructor (arena: Arena) {
    this.#arena = arena
    this.#i32 = arena.i32
  }

  oldest (queue: number): number {
    return this.#i32[this.#arena.queue(queue) + QueueWord.OLDEST]!
  }

  blocks (queue: number): number {
    return this.#i32[this.#arena.queue(queue) + QueueWord.BLOCKS]!
  }

  count (queue: number): number {
    return this.#i32[this.#arena.queue(queue) + QueueWord.COUNT]!
  }

  /** Makes it the newest of the queue that its QUEUE names. */
  add (block: number): void {
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const queue = this.#arena.queue(i32[entry + BlockWord.QUEUE]!)
    const newest = i32[queue + QueueWord.NEWEST]!
    i32[entry + EntryWord.NEWER] = 0
    i32[entry + EntryWord.OLDER] = newest
    if (newest === 0) i32[queue + QueueWord.OLDEST] = block
    else i32[this.#arena.wordOf(newest) + EntryWord.NEWER] = block
    i32[queue + QueueWord.NEWEST] = block
    i32[queue + QueueWord.BLOCKS]! += i32[entry + EntryWord.BLOCKS]!
    i32[queue + QueueWord.COUNT]!++
  }

  remove (block: number): void {
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const queue = this.#arena.queue(i32[entry + BlockWord.QUEUE]!)
    const newer = i32[entry + EntryWord.NEWER]!
    const older = i32[entry + EntryWord.OLDER]!
    i32[newer === 0 ? queue + QueueWord.NEWEST : this.#arena.wordOf(newer) + EntryWord.OLDER] = older
    i32[older === 0 ? queue + QueueWord.OLDEST : this.#arena.wordOf(older) + EntryWord.NEWER] = newer
    i32[queue + QueueWord.BLOCKS]! -= i32[entry + EntryWord.BLOCKS]!
    i32[queue + QueueWord.COUNT]!--
  }

  /** Makes it the newest of a queue, with the time of now. */
  move (block: number, queue: number): void {
    const entry = this.#arena.wordOf(block)
    this.remove(block)
    this.#i32[entry + BlockWord.QUEUE] = queue
    this.#i32[entry + EntryWord.SEQUENCE] = this.#arena.tick()
    this.add(block)
  }
}
