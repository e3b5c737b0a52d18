import { Ghosts } from './ghosts.ts'
import { BlockWord, EntryWord } from './layout.ts'
import type { Arena } from './layout.ts'
import type { Queues } from './queues.ts'

/** Which entries go when there is no room, for inside the guard. */
export interface Eviction {
  /** The queue of a new entry; `replaced` is the entry whose key it has, 0 when there was none. */
  admit (block: number, replaced: number): number
  /** The entry that goes next; 0: there is none. */
  victim (): number
  /** After an entry has been read, by anybody and without the guard. */
  read (entry: number): void
  /** An entry was used, inside the guard. */
  touch (block: number): void
}

const ONLY = 0
const SMALL = 0
const MAIN = 1

/** The least recently used goes. */
export function leastRecentlyUsed (_arena: Arena, queues: Queues): Eviction {
  return {
    admit: () => ONLY,
    victim: () => queues.oldest(ONLY),
    read () {},
    touch: (block) => queues.move(block, ONLY)
  }
}

/** Part of the blocks that entries have to themselves that were not asked for again. */
const SMALL_PART = 0.1
const MOST_USED = 3
/** How often it must have been read in the small queue to come to the main one. */
const USED_TO_STAY = 2
/** At so many entries in a row that were all read since, the next one goes all the same: what is inside a guard has an end. */
const MOST_MOVES = 256

/**
 * S3-FIFO (J. Yang, Y. Zhang, Z. Qiu, Y. Yue, R. Vinayak: FIFO queues are all you need for cache eviction, SOSP 2023).
 * A small queue lets go what is asked for once, so that a scan does not push out the rest; who goes there is remembered as
 * a ghost, and comes to the main queue at once if it is asked for again. To read an entry is one plain store at most.
 */
export function s3Fifo (arena: Arena, queues: Queues): Eviction {
  const { i32 } = arena
  const ghosts = new Ghosts(arena)
  const smallBlocks = Math.max(1, Math.floor(arena.shape.blocks * SMALL_PART))
  const used = (block: number) => i32[arena.wordOf(block) + BlockWord.USED]!
  const use = (entry: number) => {
    const count = i32[entry + BlockWord.USED]!
    if (count < MOST_USED) i32[entry + BlockWord.USED] = count + 1
  }

  const fromSmall = (): number => {
    for (let moves = 0; ; moves++) {
      const block = queues.oldest(SMALL)
      if (block === 0) return 0
      if (used(block) < USED_TO_STAY || moves === MOST_MOVES) {
        ghosts.add(arena.wordOf(block))
        return block
      }
      i32[arena.wordOf(block) + BlockWord.USED] = 0
      queues.move(block, MAIN)
    }
  }

  const fromMain = (): number => {
    let block = queues.oldest(MAIN)
    for (let moves = 0; moves < MOST_MOVES && block !== 0 && used(block) > 0; moves++) {
      i32[arena.wordOf(block) + BlockWord.USED]!--
      queues.move(block, MAIN)
      block = queues.oldest(MAIN)
    }
    return block
  }

  return {
    admit (block, replaced) {
      const entry = arena.wordOf(block)
      if (replaced !== 0) {
        i32[entry + BlockWord.USED] = Math.min(MOST_USED, used(replaced) + 1)
        return i32[arena.wordOf(replaced) + BlockWord.QUEUE]!
      }
      i32[entry + BlockWord.USED] = 0
      const isKnown = ghosts.take(entry, queues.count(MAIN))
      return isKnown || i32[entry + EntryWord.BLOCKS]! > smallBlocks ? MAIN : SMALL
    },
    victim () {
      if (queues.blocks(SMALL) >= smallBlocks || queues.count(MAIN) === 0) return fromSmall() || fromMain()
      return fromMain()
    },
    read: use,
    touch: (block) => use(arena.wordOf(block))
  }
}
