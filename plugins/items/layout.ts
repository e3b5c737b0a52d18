/** What all that use the items of a name must agree on. */
export interface ItemsDefinition {
  /** How many items there are at most, those in flight and dead letters included. */
  capacity: number
  /** How many bytes their values have together. */
  maxBytes: number
  /** How often an item is tried that does not say. */
  maxAttempts: number
  /** How long one may be in flight that is taken without saying; 0: as long as its worker lives. */
  visibilityMs: number
}

/*
 * A queue in shared memory: one named object with the queue's words, and pages of 256 records, made when they are first
 * needed and kept. A record's number counts from 1; record 0 is not used, so that 0 is "none".
 *
 *     payload:  words of the queue | a reference for each page
 *
 * The STATE of a record is one word, and its store is what commits each change of an item:
 *
 *                  push               take                    acknowledge
 *          FREE ──────────▶ READY ──────────▶ tag, in flight ─────────────▶ FREE
 *            │ push, delayed   ▲                │    │    │
 *            └──────▶ DELAYED ─┘ due     return │    │    └─ fails for the last time ─▶ DEAD ─▶ READY or FREE
 *                        ▲       ▲──────────────┘    │
 *                        └───────────────────────────┘ fails, tried again later
 *
 * Everything else is an index over the records and can be rebuilt from them:
 *
 *     free list        FREE records, linked by NEXT
 *     ready list       READY records in the order of SEQUENCE, linked by NEXT; grows at its end only
 *     returned heap    READY records that were in flight before, by SEQUENCE: each is older than the whole ready list
 *     timed heap       DELAYED records, and those in flight that are taken back at some time, by AT
 *
 * A heap keeps the record at its place p in a word of record p, so it has room for as many as there are records.
 */

/** Words of the queue, relative to its payload. Doubles stand at even words, and so do words that refer to blocks. */
export const QueueWord = {
  GUARD: 0,
  /** How many records were ever made. */
  MADE: 1,
  FREE_FIRST: 2,
  READY_FIRST: 3,
  READY_LAST: 4,
  RETURNED_SIZE: 5,
  TIMED_SIZE: 6,
  READY: 7,
  DELAYED: 8,
  IN_FLIGHT: 9,
  DEAD: 10,
  /** Up to which of the memory's DEATHS the items of dead workers have been returned. */
  SWEPT: 11,
  /** 1 while items are removed that nobody took. */
  CLEARING: 12,
  /** Bytes of all values. */
  BYTES: 14,
  /** The SEQUENCE of the next item at the end of the ready list. */
  SEQUENCE: 16,
  PUSHED: 18,
  POPPED: 20,
  CLEARED: 22,
  FAILED: 24,
  /** Items that became dead letters. */
  BURIED: 26,
  /** The waiters' words, on a cache line that only a first wait writes. */
  POPPERS: 32,
  PUSHERS: 34,
  PAGES: 36
} as const

/** Words of a record, relative to its first. */
export const RecordWord = {
  /** A `State` or the tag of the worker that has the item, and the `SECOND_COUNT` bit. */
  STATE: 0,
  NEXT: 1,
  /** Order of the ready items. */
  SEQUENCE: 2,
  /** Epoch milliseconds: when a DELAYED item is due, when one in flight is taken back (0: never). */
  AT: 4,
  /** How many attempts ended, in the one of two words that STATE names; so a return stores the other, then STATE. */
  ATTEMPTS: 6,
  /** Grows with each time that the item is taken, and tells a late acknowledgement. */
  DELIVERY: 8,
  /** The record's place in the heap that it is in. */
  PLACE: 9,
  RETURNED_AT: 10,
  TIMED_AT: 11,
  KIND: 12,
  BYTES: 13,
  /** The block with the value, when that is not inline. */
  DATA: 14,
  /** Why a dead letter is dead: a `Reason` or the tag of a worker that died. */
  REASON: 15,
  /** The block with the error's text. */
  ERROR: 16,
  ERROR_BYTES: 17,
  /** How often it is tried before it is a dead letter. */
  MOST_ATTEMPTS: 18,
  /** Tells it from the other items that the record had; REVIVED: it was dead. */
  ID: 19,
  INLINE: 20
} as const

export const State = { FREE: 0, READY: 1, DELAYED: 2, DEAD: 3 } as const
export const SECOND_COUNT = 2 ** 30

/** Tags are at least 1024. */
export const Reason = { ERROR: 0, TIMED_OUT: 1, UNDECODABLE: 2, NO_MEMORY: 3 } as const

/** Ids count from 0. */
export const REVIVED = -1

export const RECORD_WORDS = 64
export const INLINE_BYTES = (RECORD_WORDS - RecordWord.INLINE) * 4
export const RECORDS_PER_PAGE = 256
export const PAGE_BYTES = RECORDS_PER_PAGE * RECORD_WORDS * 4

export function payloadBytes (capacity: number): number {
  return (QueueWord.PAGES + pagesOf(capacity) * 2) * 4
}

export function pagesOf (capacity: number): number {
  return Math.ceil((capacity + 1) / RECORDS_PER_PAGE)
}

export const isInFlight = (state: number) => (state & ~SECOND_COUNT) > State.DEAD
