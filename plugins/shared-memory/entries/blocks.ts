import { isAlive, slotOf, slotsUsed } from '../slots.ts'
import type { SlotIdentity } from '../slots.ts'
import { BODY_WORD, BLOCK_WORDS, BlockWord, HAND_WORDS, HandWord, HeaderWord } from './layout.ts'
import type { Arena } from './layout.ts'

const MOST_KEPT = 16
/** What all workers together may keep of the arena, about: more when workers come later. */
const KEPT_PART = 1 / 16

/**
 * Free blocks, and those that workers have in their hands while they write them. All but `kept`, `copyIn` and `copyOut` is for
 * inside the guard.
 */
export class Blocks {
  readonly #arena: Arena
  readonly #i32: Int32Array
  readonly #first: number
  readonly #hand: number
  readonly #tag: number

  constructor (arena: Arena, slot: SlotIdentity) {
    this.#arena = arena
    this.#i32 = arena.i32
    this.#first = arena.first
    this.#hand = this.#handOf(slot.index)
    this.#tag = slot.tag
  }

  /** Frees what the last worker of this slot had in its hand, before that is this worker's. */
  claim (): void {
    if (this.#i32[this.#hand + HandWord.TAG] === this.#tag) return
    this.#giveBack(this.#hand)
    this.#i32[this.#hand + HandWord.TAG] = this.#tag
  }

  /** Those that `take` can give. */
  get free (): number {
    return this.#i32[this.#first + HeaderWord.FREE_BLOCKS]!
  }

  /** Those that are kept by workers for what they write next. */
  keptByAll (): number {
    let blocks = 0
    for (const hand of this.#hands()) blocks += this.#i32[hand + HandWord.KEPT]!
    return blocks
  }

  /** A chain of so many blocks, in this worker's hand; there must be as many free. */
  take (count: number): number {
    const i32 = this.#i32
    let first = i32[this.#first + HeaderWord.FREE]!
    let last = 0
    let left = count
    for (let block = first; block !== 0 && left > 0; block = this.#next(block)) {
      last = block
      left--
    }
    if (last !== 0) i32[this.#first + HeaderWord.FREE] = this.#next(last)
    for (; left > 0; left--) {
      const block = i32[this.#first + HeaderWord.TOUCHED]! + 1
      i32[this.#first + HeaderWord.TOUCHED] = block
      if (last === 0) first = block
      else this.#join(last, block)
      last = block
    }
    this.#join(last, 0)
    i32[this.#first + HeaderWord.FREE_BLOCKS]! -= count
    i32[this.#hand + HandWord.FIRST] = first
    return first
  }

  /**
   * Keeps the chain of an entry that has gone in this worker's hand: what is written next is often as large, and needs to ask nobody
   * for blocks then. False: it is too long for that.
   */
  keep (first: number, last: number, count: number): boolean {
    if (count > MOST_KEPT || count * slotsUsed(this.#arena.region) > this.#arena.shape.blocks * KEPT_PART) return false
    // In a damaged file it may lead anywhere.
    let end = first
    for (let n = 1; n < count && this.#arena.isBlock(end); n++) end = this.#next(end)
    if (end !== last || !this.#arena.isBlock(last) || this.#next(last) !== 0) return false
    // Nobody may see the next value in these blocks before the end of the entry: `slotsUsed` above is a call of Atomics.
    this.#i32[this.#hand + HandWord.FIRST] = first
    this.#i32[this.#hand + HandWord.KEPT] = count
    return true
  }

  /** The chain that is kept, if it has so many blocks; else 0. It is no longer kept: after an exception it may be an entry. */
  kept (count: number): number {
    if (this.#i32[this.#hand + HandWord.KEPT] !== count) return 0
    this.#i32[this.#hand + HandWord.KEPT] = 0
    return this.#i32[this.#hand + HandWord.FIRST]!
  }

  /** What was in the hand is an entry now. */
  letGo (): void {
    this.#empty(this.#hand)
  }

  /** Frees what is in the hand. */
  giveBack (): void {
    this.#giveBack(this.#hand)
  }

  give (first: number, last: number, count: number): void {
    this.#join(last, this.#i32[this.#first + HeaderWord.FREE]!)
    this.#i32[this.#first + HeaderWord.FREE] = first
    this.#i32[this.#first + HeaderWord.FREE_BLOCKS]! += count
  }

  /** Frees what the dead had in their hands. */
  recover (): void {
    for (const hand of this.#hands()) {
      if (this.#i32[hand + HandWord.FIRST] !== 0 && !this.#isLive(hand)) this.#giveBack(hand)
    }
  }

  /** The first blocks of the chains in the hands of the living; those of the dead are emptied. */
  inHands (): number[] {
    const chains: number[] = []
    for (const hand of this.#hands()) {
      const first = this.#i32[hand + HandWord.FIRST]!
      if (first === 0) continue
      if (this.#isLive(hand) && this.#arena.isBlock(first) && !this.#arena.isEntry(first)) chains.push(first)
      else this.#empty(hand)
    }
    return chains
  }

  /** Writes words to a chain, from the given word of its first block on. Returns its last block that was written to. */
  copyIn (from: Int32Array, words: number, first: number, start: number): number {
    const i32 = this.#i32
    let block = first
    let at = this.#arena.wordOf(block) + start
    let room = BLOCK_WORDS - start
    for (let n = 0; ;) {
      for (const end = at + Math.min(words - n, room); at < end;) i32[at++] = from[n++]!
      if (n === words) return block
      block = this.#next(block)
      at = this.#arena.wordOf(block) + BODY_WORD
      room = BLOCK_WORDS - BODY_WORD
    }
  }

  /** Reads words of a chain. False: the chain is another by now. */
  copyOut (to: Int32Array, words: number, first: number, start: number): boolean {
    const i32 = this.#i32
    let block = first
    let at = this.#arena.wordOf(block) + start
    let room = BLOCK_WORDS - start
    for (let n = 0; ;) {
      for (const end = at + Math.min(words - n, room); at < end;) to[n++] = i32[at++]!
      if (n === words) return true
      block = this.#next(block)
      if (!this.#arena.isBlock(block)) return false
      at = this.#arena.wordOf(block) + BODY_WORD
      room = BLOCK_WORDS - BODY_WORD
    }
  }

  #giveBack (hand: number): void {
    const first = this.#i32[hand + HandWord.FIRST]!
    this.#empty(hand)
    // One that died between two stores of publishing it.
    if (!this.#arena.isBlock(first) || this.#arena.isEntry(first)) return
    let last = first
    let count = 1
    for (let next = this.#next(last); this.#arena.isBlock(next) && count < this.#arena.shape.blocks; next = this.#next(next)) {
      last = next
      count++
    }
    this.give(first, last, count)
  }

  #empty (hand: number): void {
    this.#i32[hand + HandWord.KEPT] = 0
    this.#i32[hand + HandWord.FIRST] = 0
  }

  * #hands (): Generator<number> {
    for (let index = 0; index < slotsUsed(this.#arena.region); index++) yield this.#handOf(index)
  }

  #isLive (hand: number): boolean {
    const tag = this.#i32[hand + HandWord.TAG]!
    return isAlive(this.#arena.region, tag) && this.#handOf(slotOf(tag)) === hand
  }

  #handOf (index: number): number {
    return this.#first + this.#arena.shape.handsAt + index * HAND_WORDS
  }

  #next (block: number): number {
    return this.#i32[this.#arena.wordOf(block) + BlockWord.NEXT]!
  }

  #join (block: number, next: number): void {
    this.#i32[this.#arena.wordOf(block) + BlockWord.NEXT] = next
  }
}
