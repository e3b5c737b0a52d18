import type { Blocks } from './blocks.ts'
import { BlockWord, EntryDouble, EntryWord, HeaderDouble, HeaderWord, KEY_WORD, MOST_KEY_BYTES, QUEUES, QUEUE_WORDS, DIGEST, MOST_TAGS, TAG_COUNT_SHIFT } from './layout.ts'
import type { Arena } from './layout.ts'
import type { Queues } from './queues.ts'
import type { Tags } from './tags.ts'

/**
 * Makes all that joins entries anew, after a worker died inside the guard; what the living have in their hands stays
 * theirs. What cannot be an entry of ours goes. Looks at each block once: some milliseconds for 64 MB.
 */
export function repair (arena: Arena, blocks: Blocks, queues: Queues, tags: Tags): void {
  const { i32, first, shape } = arena
  const unlinks = first + HeaderWord.UNLINKS
  Atomics.store(i32, unlinks, i32[unlinks]! | 1)
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
    const bucket = bucketOf(arena, entry)
    i32[entry + EntryWord.CHAIN] = i32[bucket]!
    i32[bucket] = block
    queues.add(block)
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

export const bucketOf = ({ i32, first, shape }: Arena, entry: number): number =>
  first + shape.bucketsAt + (i32[entry + EntryWord.KEY_LOW]! & (shape.buckets - 1))

/** First blocks of entries, and marks their blocks. Of two with one key the later one, as its write was cut off. */
function soundEntries (arena: Arena, taken: Uint8Array): number[] {
  const { i32, first } = arena
  const latest = new Map<string, number>()
  for (let block = 1; block <= i32[first + HeaderWord.TOUCHED]!; block++) {
    const entry = arena.wordOf(block)
    if ((i32[entry + BlockWord.GEN]! & 1) === 0) continue
    if (!isSound(arena, block, taken)) {
      arena.count(HeaderDouble.CORRUPT)
      end(arena, block)
      continue
    }
    const key = [EntryWord.SPACE, EntryWord.KEY_LOW, EntryWord.KEY_HIGH].map((word) => i32[entry + word]).join()
    const other = latest.get(key)
    const isLater = other === undefined || (i32[entry + EntryWord.VERSION]! - i32[arena.wordOf(other) + EntryWord.VERSION]! | 0) > 0
    if (other !== undefined) end(arena, isLater ? other : block)
    if (isLater) latest.set(key, block)
  }
  for (const block of latest.values()) mark(arena, block, taken, 1)
  return [...latest.values()]
}

/** Whether its words can be some that we wrote, and its blocks its own. */
function isSound (arena: Arena, block: number, taken: Uint8Array): boolean {
  const { i32, f64 } = arena
  const entry = arena.wordOf(block)
  const count = i32[entry + EntryWord.BLOCKS]!
  const queue = i32[entry + BlockWord.QUEUE]!
  const keyBytes = (i32[entry + EntryWord.KEY]! & (DIGEST - 1)) >>> 1
  const tagCount = i32[entry + EntryWord.META]! >>> TAG_COUNT_SHIFT
  if (queue < 0 || queue >= QUEUES || keyBytes > MOST_KEY_BYTES || tagCount > MOST_TAGS || Number.isNaN(f64[entry / 2 + EntryDouble.EXPIRES])) return false
  if (i32[entry + EntryWord.BYTES]! < 0 || KEY_WORD > i32.length) return false
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
