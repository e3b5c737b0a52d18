/*
 * The jobs of an application in shared memory: one named object, a table of records of one size under one guard.
 *
 *     payload:  header, 64 bytes | a record for each job
 *     record:   words and doubles | name | text of the last error
 *
 * The heart of a record is NEXT, the time of the first tick that nobody has claimed. A worker claims it inside the guard,
 * by moving NEXT on, before it runs anything: so no tick runs twice, whoever believes to be the owner.
 *
 *     NEXT     T ──▶ the tick after T            claimed, by the owner
 *     RUNNER   0 ──▶ tag of the worker ──▶ 0     begun and ended; the tag of a dead worker is as good as 0
 *     WAITING  0 ──▶ T ──▶ 0                     a tick that is claimed and runs when RUNNER is free
 *
 * Stores are in such an order that a worker may die between any two: a tick that was claimed is then not run.
 */

export const HEADER_BYTES = 64

/** Words of the header. */
export const TableWord = {
  GUARD: 0,
  /** Grows by one with each change that the other workers have to look at. */
  CHANGES: 1,
  /** The ID of the next record. */
  IDS: 2
} as const

export const RECORD_BYTES = 512

/** Words of a record, relative to its first. */
export const JobWord = {
  /** 0: the record is free. Else the number of this use of it. Stored last when a job is made. */
  ID: 0,
  NAME_HASH: 1,
  NAME_BYTES: 2,
  /** An index into `KINDS`. */
  KIND: 3,
  /** A hash of what the ticks are computed from: tells new code with another schedule. */
  DEFINITION: 4,
  /** Tag of the worker that claims the ticks, 0: none. */
  OWNER: 5,
  /** Tag of the worker in which a run goes on, 0: none; and the number of that run. */
  RUNNER: 6,
  RUN: 7,
  /** Of the newest code that scheduled the job while it was loaded, 0: it was scheduled later, and only by who wanted that. */
  GENERATION: 8,
  /** The job does not run in code of this generation or an older one: it was unscheduled, or there are no more ticks. 0: it runs. */
  STOPPED: 9,
  /** Tag of the launcher, or of the process that is alone: tells what a file of the memory has kept from an earlier start. */
  LIFE: 10,
  ERROR_BYTES: 11
} as const

/** Doubles of a record, relative to its first. Times are epoch milliseconds. */
export const JobDouble = {
  ANCHOR: 8,
  /** The last tick that was claimed; at first the anchor. */
  CLAIMED: 9,
  /** Infinity: there are no more. */
  NEXT: 10,
  WAITING: 11,
  /** When the last run began, 0: none did. */
  LAST_RUN: 12,
  /** -1: no run has ended. */
  LAST_DURATION: 13,
  RUNS: 14,
  FAILURES: 15,
  SKIPPED: 16
} as const

/** Byte offsets in a record. */
export const NAME = 144
export const MOST_NAME_BYTES = 128
export const ERROR = NAME + MOST_NAME_BYTES
export const MOST_ERROR_BYTES = RECORD_BYTES - ERROR

export const KINDS = ['interval', 'cron', 'once'] as const
