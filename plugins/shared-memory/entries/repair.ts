import type { Blocks } from './blocks.ts'
import { BLOCK_WORDS, BODY_WORD, TAGS_PER_BLOCK, valueWord, BlockWord, EntryDouble, EntryWord, HeaderDouble, HeaderWord, MOST_KEY_BYTES, QUEUES, QUEUE_WORDS, DIGEST, MOST_TAGS, TAG_COUNT_SHIFT } from './layout.ts'
import type { Arena } from './layout.ts'
import type { Queues } from './queues.ts'
import type { Tags } from './tags.ts'

/**
 * Makes all that joins entries anew, after a worker died inside the guard; what the living have in their hands stays
 * theirs. What cannot be an entry of ours goes. Looks at each block once: half a second for 256 MB.
 */
export function repair (arena: Arena, blocks: Blocks, queues: Queues, tags: Tags): void {
  const { i32, first, shape } = arena
  const unlinks = first + HeaderWord.UNLINKS
  Atomics.store(i32, unlinks, i32[unlinks]! | 1)
  i32[first + HeaderWord.TOUCHED] = Math.min(Math.max(0, i32[first + HeaderWord.TOUCHED]!), shape.blocks)
  i32[first + HeaderWord.SWEEP] = 0
  const taken = new Uint8Array(shape.blocks + 1)
  for (const chain of blocks.inHands()) {
    for (let block = chain; arena.isBlock(block) && taken[block] === 0; block = nextOf(arena, block)) taken[block] = 1
  }
  const entries = soundEntries(arena, taken)

  i32.fill(0, first + shape.bucketsAt, first + shape.bucketsAt + shape.buckets)
  i32.fill(0, first + HeaderWord.QUEUES, first + HeaderWord.QUEUES + QUEUES * QUEUE_WORDS)
  tags.reset()
  const clock = i32[first + HeaderWord.CLOCK]!
  const age = (block: number) => (clock - i32[arena.wordOf(block) + EntryWord.SEQUENCE]!) >>> 0
  for (const block of entries.sort((a, b) => age(b) - age(a))) {
    const entry = arena.wordOf(block)
    const bucket = arena.bucket(i32[entry + EntryWord.KEY_LOW]!)
    i32[entry + EntryWord.CHAIN] = i32[bucket]!
    i32[bucket] = block
    queues.add(block)
    tags.adopt(block)
    tags.link(entry)
  }
  i32[first + HeaderWord.ENTRIES] = entries.length

  let free = 0
  let count = 0
  for (let block = i32[first + HeaderWord.TOUCHED]!; block > 0; block--) {
    if (taken[block] !== 0) continue
    i32[arena.wordOf(block) + BlockWord.NEXT] = free
    free = block
    count++
  }
  i32[first + HeaderWord.FREE] = free
  i32[first + HeaderWord.FREE_BLOCKS] = count + shape.blocks - i32[first + HeaderWord.TOUCHED]!
  Atomics.store(i32, unlinks, i32[unlinks]! + 1)
}

/** First blocks of entries, and marks their blocks. Of two with one key the later one, as its write was cut off. */
function soundEntries (arena: Arena, taken: Uint8Array): number[] {
  const { i32, first, shape } = arena
  i32.fill(0, first + shape.bucketsAt, first + shape.bucketsAt + shape.buckets)
  const found: number[] = []
  for (let block = 1; block <= i32[first + HeaderWord.TOUCHED]!; block++) {
    if (!arena.isEntry(block)) continue
    if (!isSound(arena, block, taken)) {
      arena.count(HeaderDouble.CORRUPT)
      end(arena, block)
      continue
    }
    const entry = arena.wordOf(block)
    const other = sameKey(arena, entry)
    if (other !== 0) {
      const isLater = (i32[entry + EntryWord.VERSION]! - i32[arena.wordOf(other) + EntryWord.VERSION]! | 0) > 0
      end(arena, isLater ? other : block)
      if (!isLater) continue
      mark(arena, other, taken, 0)
    }
    mark(arena, block, taken, 1)
    const bucket = arena.bucket(i32[entry + EntryWord.KEY_LOW]!)
    i32[entry + EntryWord.CHAIN] = i32[bucket]!
    i32[bucket] = block
    found.push(block)
  }
  return found.filter((block) => arena.isEntry(block))
}

/** An entry that was found before and has this one's key, 0 for none. */
function sameKey (arena: Arena, entry: number): number {
  const { i32 } = arena
  let block = i32[arena.bucket(i32[entry + EntryWord.KEY_LOW]!)]!
  for (; block !== 0; block = i32[arena.wordOf(block) + EntryWord.CHAIN]!) {
    const other = arena.wordOf(block)
    if (arena.isEntry(block) && KEY_WORDS.every((word) => i32[other + word] === i32[entry + word])) return block
  }
  return 0
}

const KEY_WORDS = [EntryWord.KEY_LOW, EntryWord.KEY_HIGH, EntryWord.SPACE]

/** Whether its words can be some that we wrote, and its blocks its own. */
function isSound (arena: Arena, block: number, taken: Uint8Array): boolean {
  const { i32, f64 } = arena
  const entry = arena.wordOf(block)
  const count = i32[entry + EntryWord.BLOCKS]!
  const queue = i32[entry + BlockWord.QUEUE]!
  const keyBytes = (i32[entry + EntryWord.KEY]! & (DIGEST - 1)) >>> 1
  const tagCount = i32[entry + EntryWord.META]! >>> TAG_COUNT_SHIFT
  if (queue < 0 || queue >= QUEUES || keyBytes > MOST_KEY_BYTES || tagCount > MOST_TAGS || Number.isNaN(f64[entry / 2 + EntryDouble.EXPIRES])) return false
  const bytes = i32[entry + EntryWord.BYTES]!
  const room = BLOCK_WORDS - valueWord(i32[entry + EntryWord.KEY]!) + (count - 1 - Math.ceil(tagCount / TAGS_PER_BLOCK)) * (BLOCK_WORDS - BODY_WORD)
  if (bytes < 0 || bytes > room * 4 || count > arena.shape.blocks) return false
  let last = block
  for (let n = 1; n < count; n++) {
    const next = nextOf(arena, last)
    if (!arena.isBlock(next) || taken[next] !== 0) return false
    last = next
  }
  return count > 0 && taken[block] === 0 && last === i32[entry + EntryWord.LAST]
}

function mark (arena: Arena, block: number, taken: Uint8Array, as: number): void {
  let left = arena.i32[arena.wordOf(block) + EntryWord.BLOCKS]!
  for (; left > 0; left--, block = nextOf(arena, block)) taken[block] = as
}

function end (arena: Arena, block: number): void {
  const gen = arena.wordOf(block) + BlockWord.GEN
  Atomics.store(arena.i32, gen, arena.i32[gen]! + 1)
}

const nextOf = (arena: Arena, block: number): number => arena.i32[arena.wordOf(block) + BlockWord.NEXT]!
