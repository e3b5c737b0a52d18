import type { Blocks } from './blocks.ts'
import { BlockWord, EntryDouble, EntryWord, HeaderDouble, HeaderWord } from './layout.ts'
import type { Arena } from './layout.ts'
import type { Queues } from './queues.ts'
import type { Tags } from './tags.ts'

/** Blocks that each write looks at for an entry that has expired: so they go before they are in anybody's way. */
const SWEPT_BLOCKS = 8

/** How entries go, for inside the guard. */
export class Removal {
  readonly #arena: Arena
  readonly #i32: Int32Array
  readonly #blocks: Blocks
  readonly #queues: Queues
  readonly #tags: Tags

  constructor (arena: Arena, blocks: Blocks, queues: Queues, tags: Tags) {
    this.#arena = arena
    this.#i32 = arena.i32
    this.#blocks = blocks
    this.#queues = queues
    this.#tags = tags
  }

  /** `isReplaced`: by what this worker writes, which will have use for the blocks. */
  remove (block: number, isReplaced = false): void {
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const unlinks = this.#arena.first + HeaderWord.UNLINKS
    // First of all: a reader that meets an entry which has ended must look again.
    Atomics.store(i32, unlinks, i32[unlinks]! + 1)
    Atomics.store(i32, entry + BlockWord.GEN, i32[entry + BlockWord.GEN]! + 1)
    this.#unchain(entry, block)
    Atomics.store(i32, unlinks, i32[unlinks]! + 1)
    this.#queues.remove(block)
    this.#tags.unlink(entry)
    i32[this.#arena.first + HeaderWord.ENTRIES]!--
    const [last, count] = [i32[entry + EntryWord.LAST]!, i32[entry + EntryWord.BLOCKS]!]
    if (!isReplaced || !this.#blocks.keep(block, last, count)) this.#blocks.give(block, last, count)
  }

  /** False: it has not expired, and stays. */
  removeExpired (block: number, nowMs: number): boolean {
    if (this.#arena.f64[this.#arena.wordOf(block) / 2 + EntryDouble.STALE]! > nowMs) return false
    this.#arena.count(HeaderDouble.EXPIRATIONS)
    this.remove(block)
    return true
  }

  /** Removes what has expired of some blocks; the next ones have their turn the next time. */
  sweepOn (nowMs: number): void {
    const cursor = this.#arena.first + HeaderWord.SWEEP
    const touched = this.#i32[this.#arena.first + HeaderWord.TOUCHED]!
    for (let n = 0; n < SWEPT_BLOCKS && n < touched; n++) {
      const block = this.#i32[cursor]! % touched + 1
      this.#i32[cursor] = block
      if (this.#arena.isEntry(block)) this.removeExpired(block, nowMs)
    }
  }

  #unchain (entry: number, block: number): void {
    const i32 = this.#i32
    let link = this.#arena.bucket(i32[entry + EntryWord.KEY_LOW]!)
    for (let left = this.#arena.shape.blocks; i32[link] !== block; left--) {
      // In a damaged file a chain may lead anywhere.
      if (left === 0 || !this.#arena.isBlock(i32[link]!)) return
      link = this.#arena.wordOf(i32[link]!) + EntryWord.CHAIN
    }
    i32[link] = i32[entry + EntryWord.CHAIN]!
  }
}
