import { REF_BYTES, SLOTS } from '../layout.ts'
import type { Region } from '../region.ts'

/*
 * An arena of entries: values of any size by key, in blocks of one size, so that what is freed fits whatever comes next.
 *
 *     header | hands and counts of each worker | epochs of tags | buckets of keys | buckets of tags | ghosts | blocks
 *
 * An entry is a chain of blocks. Its first one says what it is, and holds the key and the beginning of the value; the last
 * ones hold its tags, if it has any:
 *
 *     first:   GEN NEXT USED QUEUE | what the entry is | key | value …
 *     then:    GEN NEXT  -    -    | … value …
 *     last:    GEN NEXT  -   OWNER | tag | tag | …
 *
 * Blocks are numbered from 1, 0 is none. GEN decides: odd, an entry begins here, and its blocks do not change; even, none
 * does. Whatever joins entries (chains, queues, free blocks, counts) can be made from that.
 */
export const BLOCK_BYTES = 256
export const BLOCK_WORDS = BLOCK_BYTES / 4

/** In each block. USED may be written by a reader that is late, so no data is ever there. */
export const BlockWord = { GEN: 0, NEXT: 1, USED: 2, QUEUE: 3, OWNER: 3 } as const
/** Where data begins in a block that is not the first. */
export const BODY_WORD = 4

export const EntryWord = {
  KEY_LOW: 4,
  KEY_HIGH: 5,
  SPACE: 6,
  /** Shape of the key's text (see `keyShape`), and DIGEST when that stands for a longer key. */
  KEY: 7,
  BYTES: 14,
  /** Kind of the value, and the number of tags above it. */
  META: 15,
  CHAIN: 16,
  NEWER: 17,
  OLDER: 18,
  /** Of the entry's place in its queue. */
  SEQUENCE: 19,
  /** Of its value: no two writes of a key have the same. */
  VERSION: 20,
  COMPUTE_MS: 21,
  /** First block with tags. */
  TAGS: 22,
  BLOCKS: 23,
  LAST: 24
} as const

/** Doubles, relative to the double that the first block begins at. */
export const EntryDouble = { EXPIRES: 4, STALE: 5, CREATED: 6 } as const

/** Where the key begins; the value begins behind it, at an even word. */
export const KEY_WORD = 26
export const MOST_KEY_BYTES = (BLOCK_WORDS - KEY_WORD) * 4
export const DIGEST = 2 ** 20
export const TAG_COUNT_SHIFT = 8
export const KIND_MASK = 2 ** TAG_COUNT_SHIFT - 1

/** A tag of an entry: a node in the chain of its bucket. Nodes are numbered `block * 16 + place`, from place 1. */
export const TagWord = { LOW: 0, HIGH: 1, NEXT: 2, PREVIOUS: 3 } as const
export const TAG_WORDS = 4
export const TAGS_PER_BLOCK = (BLOCK_WORDS - BODY_WORD) / TAG_WORDS
export const MOST_TAGS = 60

export const HeaderWord = {
  GUARD: 0,
  FREE: 1,
  /** Blocks above this one were never used, and are free. */
  TOUCHED: 2,
  FREE_BLOCKS: 3,
  ENTRIES: 4,
  /** Grows with each write and each move in a queue. */
  CLOCK: 5,
  /** The block that is looked at next for an entry that has expired. */
  SWEEP: 6,
  /** Odd while an entry is taken out of its chain. */
  UNLINKS: 7,
  /** Of the first queue; four words a queue. */
  QUEUES: 8,
  GHOST_CLOCK: 16,
  /** Grows with each invalidation of a tag. */
  INVALIDATIONS: 17,
  /** The value of INVALIDATIONS when all was cleared last. */
  CLEARED: 18
} as const
export const HeaderDouble = { EVICTIONS: 10, EXPIRATIONS: 11, CORRUPT: 12 } as const
const HEADER_WORDS = 64

export const QueueWord = { NEWEST: 0, OLDEST: 1, BLOCKS: 2, COUNT: 3 } as const
export const QUEUE_WORDS = 4
export const QUEUES = 2

/**
 * What a worker has in its hands, and its counts, which nobody else writes. KEPT: how many blocks the chain has that nothing is
 * written to yet.
 */
export const HandWord = { TAG: 0, FIRST: 1, KEPT: 6 } as const
export const HandDouble = { HITS: 1, MISSES: 2 } as const
export const HAND_WORDS = 8

export const TAG_EPOCHS = 1024
export const GHOST_WORDS = 2
export const GHOSTS_PER_BUCKET = 4

/** Where each part begins, in words from the first, and how many there are. */
export interface EntriesShape {
  blocks: number
  buckets: number
  tagBuckets: number
  ghosts: number
  handsAt: number
  epochsAt: number
  bucketsAt: number
  tagBucketsAt: number
  ghostsAt: number
  /** Of block 0, which does not exist. */
  blocksAt: number
  words: number
}

/** The shape of an arena that takes so many bytes, all of it; with fewer than 64 blocks it is too small. */
export function shapeOf (bytes: number): EntriesShape {
  const words = Math.floor(bytes / REF_BYTES) * REF_BYTES / 4
  const most = Math.max(1, words / BLOCK_WORDS)
  // Two single blocks to a bucket at most; as many ghosts as the main queue has entries of two blocks.
  const buckets = 2 ** Math.ceil(Math.log2(most / 2))
  const tagBuckets = Math.max(16, buckets / 4)
  const ghosts = Math.max(GHOSTS_PER_BUCKET, buckets)
  const handsAt = HEADER_WORDS
  const epochsAt = handsAt + SLOTS * HAND_WORDS
  const bucketsAt = epochsAt + TAG_EPOCHS
  const tagBucketsAt = bucketsAt + buckets
  const ghostsAt = tagBucketsAt + tagBuckets
  const firstBlock = Math.ceil((ghostsAt + ghosts * GHOST_WORDS) / BLOCK_WORDS) * BLOCK_WORDS
  const blocks = Math.max(0, Math.floor((words - firstBlock) / BLOCK_WORDS))
  return { blocks, buckets, tagBuckets, ghosts, handsAt, epochsAt, bucketsAt, tagBucketsAt, ghostsAt, blocksAt: firstBlock - BLOCK_WORDS, words }
}

/** The views of the region, and where things are in it. */
export class Arena {
  readonly region: Region
  readonly i32: Int32Array
  readonly f64: Float64Array
  readonly shape: EntriesShape
  /** The word that the arena begins at. */
  readonly first: number
  readonly #blocks: number

  constructor (region: Region, shape: EntriesShape, first: number) {
    this.region = region
    this.i32 = region.i32
    this.f64 = region.f64
    this.shape = shape
    this.first = first
    this.#blocks = first + shape.blocksAt
  }

  /** The word that a block begins at. */
  wordOf (block: number): number {
    return this.#blocks + block * BLOCK_WORDS
  }

  isBlock (number: number): boolean {
    return number > 0 && number <= this.shape.blocks
  }

  /** Whether an entry begins there. */
  isEntry (block: number): boolean {
    return (this.i32[this.wordOf(block) + BlockWord.GEN]! & 1) === 1
  }

  /** Where the chain of keys with this hash begins. */
  bucket (keyLow: number): number {
    return this.first + this.shape.bucketsAt + (keyLow & (this.shape.buckets - 1))
  }

  queue (number: number): number {
    return this.first + HeaderWord.QUEUES + number * QUEUE_WORDS
  }

  count (double: number): void {
    this.f64[this.first / 2 + double]!++
  }

  /** Never 0, also when it has come round. */
  tick (): number {
    const clock = this.i32[this.first + HeaderWord.CLOCK]! + 1 | 0 || 1
    this.i32[this.first + HeaderWord.CLOCK] = clock
    return clock
  }
}

/** The word that the value of an entry with this key begins at, from its first block's. */
export const valueWord = (shape: number): number => KEY_WORD + (((shape & (DIGEST - 1)) >>> 1) + 7 >>> 3) * 2
