/*
 * The layout of a region: one flat block of bytes that holds no pointer, only offsets, so that each process may map it
 * where it likes and a file of it can be mapped again after a restart.
 *
 *     0          header               one page
 *     4 KiB      slots                SLOTS × SLOT_BYTES, one per worker
 *                directory            DIRECTORY_ENTRIES × 8: references of named objects
 *                chunk records        chunks × CHUNK_RECORD_BYTES
 *                block states         chunks × BLOCKS_PER_CHUNK × 4
 *     64 KiB ×n  chunks               where the objects are
 *
 * A **reference** (`Ref`) is a byte offset divided by 64, so it fits one 32-bit word; 0 is "none".
 * A **word** is an index into the region seen as an Int32Array.
 * A **tag** names a worker in one of its lives: `epoch << 10 | slot`. It stands in whatever the worker holds, so that
 * what a dead worker held can be told. A tag is at least 1024, smaller values are free for states.
 */

export const LAYOUT_VERSION = 2
export const MAGIC = [0x77737466, 0x656c6f6f] as const

export const PAGE_BYTES = 4096
export const CHUNK_BYTES = 65536
export const REF_BYTES = 64

export const SLOTS = 1024
export const SLOT_BYTES = 256
export const SLOT_WORDS = SLOT_BYTES / 4
export const EPOCH_LIMIT = 1 << 20

export const DIRECTORY_ENTRIES = 16384
export const DIRECTORY_ENTRY_BYTES = 8
export const CHUNK_RECORD_BYTES = 16
export const CHUNK_RECORD_WORDS = CHUNK_RECORD_BYTES / 4
export const BLOCKS_PER_CHUNK = CHUNK_BYTES / REF_BYTES

/** Words of the header. Those up to `CHECKSUM` never change after the region is made. */
export const Header = {
  MAGIC_0: 0,
  MAGIC_1: 1,
  VERSION: 2,
  CHUNKS: 3,
  SEED_0: 4,
  SEED_1: 5,
  CHECKSUM: 6,
  /** Grows by one with each successful reload. */
  GENERATION: 9,
  /** Slots at or above this were never used: loops over slots end here. */
  SLOTS_USED: 10,
  /** Grows by one with each recovery of a dead worker's slot. */
  DEATHS: 11,
  /** Grows by one with each start and each reload that clears caches, before the first new worker starts; the number of the newest code. */
  CACHE_RELOADS: 12,
  /** Grows by one with each clearing without a reload. */
  CACHE_CLEARS: 13,
  /** Guards the making of large objects. */
  CREATING: 14
} as const

/** Words of a slot, relative to its first. Doubles stand at even words. */
export const Slot = {
  /** `epoch << 2 | state` in one word, so that who is late with a dead worker's slot does not free the next one's. */
  LIFE: 0,
  /** How the slot's last worker that died came to its end: `epoch << 9 | how`; stays when another has the slot. */
  DEATH: 1,
  PID: 2,
  ROLE: 3,
  WORKER_ID: 4,
  GENERATION: 5,
  /** Tag of who rang last, 0 when the worker has looked since. */
  BELL: 6,
  /** Number of turns that the worker's heartbeat made; the launcher sees an event loop that is stuck. */
  HEARTBEAT: 7,
  IN_FLIGHT: 8,
  CONNECTIONS: 9,
  STARTED_AT: 10,
  REQUESTS: 12,
  RSS: 14,
  LOOP_UTILIZATION: 16,
  LOOP_DELAY_P99: 18,
  /** What `Header.CACHE_RELOADS` was for the code of this worker. */
  CACHE_RELOADS: 20,
  /** What the worker has in its hands: pairs of a state word and the word that will refer to it. */
  INTENTS: 32
} as const

export const INTENTS = 8

export const SlotState = { FREE: 0, STARTING: 1, READY: 2, DRAINING: 3 } as const
export const SlotRole = { PRIMARY: 0, HTTP: 1, TASK: 2, STANDALONE: 3 } as const

export const SLOTS_OFFSET = PAGE_BYTES
export const DIRECTORY_OFFSET = SLOTS_OFFSET + SLOTS * SLOT_BYTES
export const CHUNK_RECORDS_OFFSET = DIRECTORY_OFFSET + DIRECTORY_ENTRIES * DIRECTORY_ENTRY_BYTES

export interface Sections {
  chunks: number
  chunkRecords: number
  blockStates: number
  heap: number
}

/** Where the sections of a region of `bytes` begin, as byte offsets. Fewer than 1 chunk: the region is too small. */
export function sectionsOf (bytes: number): Sections {
  const perChunk = CHUNK_BYTES + CHUNK_RECORD_BYTES + BLOCKS_PER_CHUNK * 4
  const chunks = Math.floor((bytes - CHUNK_RECORDS_OFFSET - CHUNK_BYTES) / perChunk)
  const blockStates = CHUNK_RECORDS_OFFSET + chunks * CHUNK_RECORD_BYTES
  const end = blockStates + chunks * BLOCKS_PER_CHUNK * 4
  return { chunks, chunkRecords: CHUNK_RECORDS_OFFSET, blockStates, heap: Math.ceil(end / CHUNK_BYTES) * CHUNK_BYTES }
}
