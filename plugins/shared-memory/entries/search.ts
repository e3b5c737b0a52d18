import { createHash } from 'node:crypto'
import { hashKey, hashedShape, isKey, otherHalf, writeKey } from '../keys.ts'
import { fence, loadAcquire } from '../ordered.ts'
import { BlockWord, DIGEST, EntryWord, HeaderWord, KEY_WORD, MOST_KEY_BYTES } from './layout.ts'
import type { Arena } from './layout.ts'
import type { EntrySpace } from './types.ts'

const LONGEST_WALK = 1000
const WALKS = 3
/** So many characters of a key that is too long for its block stand there before the digest of all of it. */
const KEPT_CHARACTERS = 60
const DIGEST_BYTES = 16

/** The key that is looked for, and where its entry is. */
export class Search {
  /** Of the key as it stands in its block; DIGEST when that stands for a longer one. */
  shape = 0
  /** Of the entry that was found. */
  generation = 0
  readonly #arena: Arena
  readonly #i32: Int32Array
  #key: string | undefined
  #spaceId = 0
  #low = 0
  #high = 0
  #text = ''

  constructor (arena: Arena) {
    this.#arena = arena
    this.#i32 = arena.i32
  }

  /** The key that all else is about from now on. */
  seek (space: EntrySpace, key: string): void {
    // What is read is often written next, or looked for again.
    if (key === this.#key && space.id === this.#spaceId) return
    // An exception, such as a full stack, must not leave it with another key's hash.
    this.#key = undefined
    // Whatever its characters are, a key that is longer has no room.
    const isTooLong = key.length > MOST_KEY_BYTES || !this.#hash(space, key)
    if (isTooLong) {
      this.#hash(space, shortened(key))
      this.shape += DIGEST
    }
    this.#spaceId = space.id
    this.#key = key
  }

  /** The block of its entry, without the guard; 0: there is none; undefined: it cannot be told but inside the guard. */
  find (): number | undefined {
    // Most are found at once, and need not ask for the header, which each writer takes away from all others' caches; a miss walks twice for it.
    const found = this.walk()
    if (found !== 0) return found
    const unlinks = this.#arena.first + HeaderWord.UNLINKS
    for (let walk = 0; walk < WALKS; walk++) {
      const before = loadAcquire(this.#i32, unlinks)
      const block = this.walk()
      if (block !== 0) return block
      // A miss is right only if no entry was taken out of a chain meanwhile.
      fence()
      if ((before & 1) === 0 && Atomics.load(this.#i32, unlinks) === before) return 0
    }
    return undefined
  }

  /** The same inside the guard; without it the entry may be another by the time it is read, which its GEN tells. */
  walk (): number {
    const i32 = this.#i32
    let block = loadAcquire(i32, this.#arena.bucket(this.#low))
    for (let step = 0; step < LONGEST_WALK && this.#arena.isBlock(block); step++) {
      const entry = this.#arena.wordOf(block)
      if (i32[entry + EntryWord.KEY_LOW] === this.#low && i32[entry + EntryWord.KEY_HIGH] === this.#high) {
        const generation = loadAcquire(i32, entry + BlockWord.GEN)
        if ((generation & 1) === 1 && this.#isSought(entry)) {
          this.generation = generation
          return block
        }
      }
      block = i32[entry + EntryWord.CHAIN]!
    }
    return 0
  }

  /** Makes it the key of an entry that nobody sees yet. */
  writeTo (entry: number): void {
    const i32 = this.#i32
    i32[entry + EntryWord.KEY_LOW] = this.#low
    i32[entry + EntryWord.KEY_HIGH] = this.#high
    i32[entry + EntryWord.SPACE] = this.#spaceId
    i32[entry + EntryWord.KEY] = this.shape
    writeKey(this.#arena.region.buffer, (entry + KEY_WORD) * 4, this.shape & (DIGEST - 1), this.#text)
  }

  /** False: the text is too long for a block. */
  #hash ({ seeds: [seed0, seed1] }: EntrySpace, text: string): boolean {
    this.#text = text
    this.#low = hashKey(text, seed0, seed1)
    this.#high = otherHalf()
    this.shape = hashedShape()
    return this.shape >>> 1 <= MOST_KEY_BYTES
  }

  #isSought (entry: number): boolean {
    return this.#i32[entry + EntryWord.SPACE] === this.#spaceId && this.#i32[entry + EntryWord.KEY] === this.shape &&
      isKey(this.#arena.region.u8, (entry + KEY_WORD) * 4, this.shape & (DIGEST - 1), this.#text)
  }
}

/** The text that stands in the block for a key that is too long for it. */
export function shortened (key: string): string {
  const digest = createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('latin1').slice(0, DIGEST_BYTES)
  return key.slice(0, KEPT_CHARACTERS) + digest
}
