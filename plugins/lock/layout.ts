import { isAlive } from '../shared-memory/index.ts'
import type { Region } from '../shared-memory/index.ts'
import { SLOTS } from '../shared-memory/layout.ts'

/*
 * A lock in shared memory. Its payload, in words of 32 bit:
 *
 *     GUARD       tag of the worker in the slow path
 *     WAITERS     not 0: somebody may wait, so who takes or gives back takes the slow path
 *     TICKETS     the last ticket given out; 1 to 2^31 - 1, and round again
 *     CONTENDED   how often somebody had to wait
 *     ABANDONED   how often a holder was gone without having given back
 *     NAME_BYTES
 *     TOKEN       the last fencing token: a double that the one holder writes; with several holders a 64-bit integer
 *     PERMITS     a word for each permit: mutex, spinlock and rwlock (its write side) have one
 *     pages       SLOTS / 32 references, each at an even word, of a page with the entries of 32 workers
 *     name        UTF-8
 *
 * A permit:
 *
 *                 take                    give back
 *         FREE ─────────▶ tag of holder ─────────────▶ FREE
 *          │                  ▲      │ its application closes, or it dies
 *          │ another          │      ▼
 *          │ worker     takes │   LEFT, or a tag of the dead: free, and who takes it next is told
 *          ▼ grants    notice │
 *         tag + GRANT ────────┘
 *
 * A grant is one store, so a worker that dies has granted or has not. That the permit was left behind goes with the grant
 * as its sign bit, INHERITED.
 *
 * An entry is a worker's place in the line. It shows the first of the worker's waiters only; the others wait behind it
 * in the worker's own memory with tickets of their own:
 *
 *     TAG         whose entry it is; that of a dead worker counts nothing, whatever else stands in it
 *     HEAD        0, or ticket << 1 | kind of the first waiter
 *     WAITING     how many wait, for `stats`
 *     GRANTED     1 + the permit that was granted last; it is granted still if that permit says so
 *     READERS     rwlock: how many readers the worker has, + GRANT when one of them has not taken notice yet
 */
export const Field = { GUARD: 0, WAITERS: 1, TICKETS: 2, CONTENDED: 3, ABANDONED: 4, NAME_BYTES: 5, TOKEN: 6, PERMITS: 8 } as const
export const Entry = { TAG: 0, HEAD: 1, WAITING: 2, GRANTED: 3, READERS: 4 } as const

export type LockType = 'mutex' | 'rwlock' | 'spinlock' | 'semaphore'

export const EXCLUSIVE = 0
export const SHARED = 1
export type Kind = typeof EXCLUSIVE | typeof SHARED

export const FREE = 0
export const LEFT = 1
export const GRANT = 2 ** 30
export const INHERITED = -(2 ** 31)
const TAG_MASK = GRANT - 1

/** What somebody took: the index of a permit, or READ, each with WAS_LEFT or without; or nothing. */
export const NOTHING = -1
export const READ = 2 ** 16
export const WAS_LEFT = 2 ** 17
export type Taken = number
/** A permit's index, or READ. */
export type Unit = number

export const ENTRIES_PER_PAGE = 32
const PAGES = SLOTS / ENTRIES_PER_PAGE

/** Readers of one worker write into their entry all the time, so there each has a cache line of its own. */
export const entryWords = (type: LockType) => type === 'rwlock' ? 16 : 8

export const pagesAt = (permits: number) => Field.PERMITS + permits + permits % 2
const nameAt = (permits: number) => (pagesAt(permits) + PAGES * 2) * 4

export interface LockDefinition {
  type: LockType
  permits: number
}

export function payloadBytes ({ permits }: LockDefinition, name: string): number {
  return nameAt(permits) + Buffer.byteLength(name)
}

export function writeName (region: Region, payload: number, { permits }: LockDefinition, name: string): void {
  const bytes = Buffer.byteLength(name)
  region.i32[payload / 4 + Field.NAME_BYTES] = bytes
  region.buffer.write(name, payload + nameAt(permits), bytes, 'utf8')
}

export function readName (region: Region, payload: number, permits: number): string {
  const start = payload + nameAt(permits)
  return region.buffer.toString('utf8', start, start + region.i32[payload / 4 + Field.NAME_BYTES]!)
}

export const tagOf = (permit: number) => permit & TAG_MASK
export const isGrant = (permit: number) => (permit & GRANT) !== 0

/** Whether a permit is anybody's to take. */
export function isFree (region: Region, permit: number): boolean {
  return permit === FREE || permit === LEFT || !isAlive(region, tagOf(permit))
}

/** Of a permit that is free: its holder died with it. One that died before it noticed a grant has never held it. */
export const isOfDead = (permit: number) => permit > LEFT && !isGrant(permit)

/** Of a permit that is free: it was not given back. */
export const wasLeft = (permit: number) => permit === LEFT || permit < 0 || isOfDead(permit)

/** Whether the first of two heads has the earlier ticket; tickets go round. */
export const isEarlier = (head: number, other: number) => (head - other | 0) < 0
