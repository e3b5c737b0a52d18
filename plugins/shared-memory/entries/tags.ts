import type { Space } from '../lru-records.ts'
import { hashKey, otherHalf } from '../keys.ts'
import { BLOCK_WORDS, BODY_WORD, BlockWord, EntryWord, HeaderWord, KIND_MASK, TAGS_PER_BLOCK, TAG_COUNT_SHIFT, TAG_EPOCHS, TAG_WORDS, TagWord } from './layout.ts'
import type { Arena } from './layout.ts'

const FORGOTTEN_AFTER = 2 ** 28
const PLACES = BLOCK_WORDS / TAG_WORDS

/**
 * Which entries have a tag: chains of their tags, by 64 bits of a keyed hash. And when each tag was invalidated last, for
 * values that were on their way then. For inside the guard, but for `write` and `epoch`.
 */
export class Tags {
  readonly #arena: Arena
  readonly #i32: Int32Array
  readonly #space: Space

  constructor (arena: Arena, space: Space) {
    this.#arena = arena
    this.#i32 = arena.i32
    this.#space = space
  }

  /** Writes tags to the blocks of a chain that nobody sees yet, behind `block`. Returns the last one. */
  write (tags: readonly string[], owner: number, block: number): number {
    const i32 = this.#i32
    for (let n = 0; n < tags.length; n++) {
      if (n % TAGS_PER_BLOCK === 0) {
        block = i32[this.#arena.wordOf(block) + BlockWord.NEXT]!
        i32[this.#arena.wordOf(block) + BlockWord.OWNER] = owner
        if (n === 0) i32[this.#arena.wordOf(owner) + EntryWord.TAGS] = block
      }
      const node = this.#arena.wordOf(block) + BODY_WORD + n % TAGS_PER_BLOCK * TAG_WORDS
      i32[node + TagWord.LOW] = hashKey(tags[n]!, this.#space[0], this.#space[1])
      i32[node + TagWord.HIGH] = otherHalf()
    }
    return block
  }

  /** Makes the blocks with the entry's tags tell whose they are, as they must. */
  adopt (owner: number): void {
    const entry = this.#arena.wordOf(owner)
    const blocks = Math.ceil((this.#i32[entry + EntryWord.META]! >>> TAG_COUNT_SHIFT) / TAGS_PER_BLOCK)
    let block = owner
    for (let n = this.#i32[entry + EntryWord.BLOCKS]! - blocks; n > 0; n--) block = this.#i32[this.#arena.wordOf(block) + BlockWord.NEXT]!
    if (blocks > 0) this.#i32[entry + EntryWord.TAGS] = block
    for (let n = 0; n < blocks; n++, block = this.#i32[this.#arena.wordOf(block) + BlockWord.NEXT]!) this.#i32[this.#arena.wordOf(block) + BlockWord.OWNER] = owner
  }

  link (entry: number): void {
    for (const number of this.#nodesOf(entry)) {
      const node = this.#wordOf(number)
      const bucket = this.#bucketOf(this.#i32[node + TagWord.LOW]!)
      const head = this.#i32[bucket]!
      this.#i32[node + TagWord.NEXT] = head
      this.#i32[node + TagWord.PREVIOUS] = 0
      if (head !== 0) this.#i32[this.#wordOf(head) + TagWord.PREVIOUS] = number
      this.#i32[bucket] = number
    }
  }

  unlink (entry: number): void {
    for (const number of this.#nodesOf(entry)) {
      const node = this.#wordOf(number)
      const next = this.#i32[node + TagWord.NEXT]!
      const previous = this.#i32[node + TagWord.PREVIOUS]!
      this.#i32[previous === 0 ? this.#bucketOf(this.#i32[node + TagWord.LOW]!) : this.#wordOf(previous) + TagWord.NEXT] = next
      if (next !== 0) this.#i32[this.#wordOf(next) + TagWord.PREVIOUS] = previous
    }
  }

  /** An entry with the tag, 0 for none. */
  find (tag: string): number {
    const low = hashKey(tag, this.#space[0], this.#space[1])
    const high = otherHalf()
    for (let number = this.#i32[this.#bucketOf(low)]!; number !== 0; number = this.#i32[this.#wordOf(number) + TagWord.NEXT]!) {
      const node = this.#wordOf(number)
      if (this.#i32[node + TagWord.LOW] === low && this.#i32[node + TagWord.HIGH] === high) {
        return this.#i32[this.#arena.wordOf(Math.floor(number / PLACES)) + BlockWord.OWNER]!
      }
    }
    return 0
  }

  /** The time, in invalidations. */
  epoch (): number {
    return Atomics.load(this.#i32, this.#arena.first + HeaderWord.INVALIDATIONS)
  }

  invalidate (tag: string): void {
    Atomics.store(this.#i32, this.#epochOf(hashKey(tag, this.#space[0], this.#space[1])), this.#nextEpoch())
  }

  /** All that there is was cleared. */
  invalidateAll (): void {
    Atomics.store(this.#i32, this.#arena.first + HeaderWord.CLEARED, this.#nextEpoch())
  }

  /** Whether one of the entry's tags, or all entries, were invalidated since. Of two tags in one place both count. */
  invalidatedSince (epoch: number, entry: number): boolean {
    return this.#clearedSince(epoch) || this.#nodesOf(entry).some((number) => this.#changedSince(epoch, this.#i32[this.#wordOf(number) + TagWord.LOW]!))
  }

  /** The same for tags that no entry has. */
  anyInvalidatedSince (epoch: number, tags: readonly string[]): boolean {
    return this.#clearedSince(epoch) || tags.some((tag) => this.#changedSince(epoch, hashKey(tag, this.#space[0], this.#space[1])))
  }

  #clearedSince (epoch: number): boolean {
    return isAfter(Atomics.load(this.#i32, this.#arena.first + HeaderWord.CLEARED), epoch)
  }

  #changedSince (epoch: number, low: number): boolean {
    return isAfter(Atomics.load(this.#i32, this.#epochOf(low)), epoch)
  }

  /** Forgets all chains. */
  reset (): void {
    const { first, shape: { tagBucketsAt, tagBuckets } } = this.#arena
    this.#i32.fill(0, first + tagBucketsAt, first + tagBucketsAt + tagBuckets)
  }

  #nextEpoch (): number {
    const now = Atomics.add(this.#i32, this.#arena.first + HeaderWord.INVALIDATIONS, 1) + 1 | 0
    if (now % FORGOTTEN_AFTER === 0) this.#forgetOld(now)
    return now
  }

  /** Else an epoch would seem to be later than all others once it is older than half of them. */
  #forgetOld (now: number): void {
    const { first, shape: { epochsAt } } = this.#arena
    const epochs = [first + HeaderWord.CLEARED, ...Array.from({ length: TAG_EPOCHS }, (_, n) => first + epochsAt + n)]
    for (const epoch of epochs) {
      if ((now - this.#i32[epoch]!) >>> 0 > FORGOTTEN_AFTER) Atomics.store(this.#i32, epoch, now - FORGOTTEN_AFTER | 0)
    }
  }

  #nodesOf (entry: number): number[] {
    const count = this.#i32[entry + EntryWord.META]! >>> TAG_COUNT_SHIFT
    if (count === 0) return NONE
    const nodes: number[] = []
    let block = this.#i32[entry + EntryWord.TAGS]!
    for (let n = 0; n < count; n++) {
      if (n > 0 && n % TAGS_PER_BLOCK === 0) block = this.#i32[this.#arena.wordOf(block) + BlockWord.NEXT]!
      nodes.push(block * PLACES + 1 + n % TAGS_PER_BLOCK)
    }
    return nodes
  }

  #wordOf (node: number): number {
    return this.#arena.wordOf(Math.floor(node / PLACES)) + node % PLACES * TAG_WORDS
  }

  #bucketOf (low: number): number {
    return this.#arena.first + this.#arena.shape.tagBucketsAt + (low & (this.#arena.shape.tagBuckets - 1))
  }

  #epochOf (low: number): number {
    return this.#arena.first + this.#arena.shape.epochsAt + (low & (TAG_EPOCHS - 1))
  }
}

const NONE: number[] = []
const isAfter = (epoch: number, other: number): boolean => (epoch - other | 0) > 0

export const metaOf = (kind: number, tags: number): number => kind | tags << TAG_COUNT_SHIFT
export const kindOf = (meta: number): number => meta & KIND_MASK
