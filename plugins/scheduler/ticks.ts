import { Cron } from 'croner'
import { ScheduleInvalidError } from '../errors.ts'
import { parseDuration } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import { showValue } from '../options/show.ts'

export type Kind = 'interval' | 'cron' | 'once'

/**
 * When a job is due. A tick is known by its time in epoch milliseconds, and `anchorMs`, which all workers have from the
 * job's record, is where its schedule began: so all workers find the same ticks.
 */
export interface Ticks {
  readonly kind: Kind
  /** What two workers must have in common to have the same ticks. */
  readonly definition: string
  /** How far the clock may be behind the last tick before that means that it was put back and the job begins anew. */
  readonly patienceMs: number
  /** The first tick of all. */
  first (anchorMs: number): number
  /** The first tick after a time. Infinity: there is none. */
  next (afterMs: number, anchorMs: number): number
  /** The last tick up to now, when `dueMs` is one that has come. */
  latest (nowMs: number, anchorMs: number, dueMs: number): number
  /** How many ticks there are from one on and before another. */
  count (fromMs: number, beforeMs: number, anchorMs: number): number
}

const SECOND_MS = 1000
const DAY_MS = 86_400_000
/** A hundred years: all times can be dates. */
const LONGEST_MS = 36_525 * DAY_MS
/** So many ticks of a cron expression are counted one by one; after a longer outage the count is that much too low. */
const MOST_COUNTED = 1000

/** Ticks that lie on a grid, so that no delay of one is handed on to the next. Throws FST_SWOOLE_SCHEDULE_INVALID, _DURATION_INVALID. */
export function intervalTicks (job: string, interval: Duration): Ticks {
  const periodMs = parseDuration(interval, `The interval of the job "${job}"`)
  // Whole milliseconds, so that all workers compute the same ticks to the last bit.
  if (!Number.isInteger(periodMs) || periodMs < 1 || periodMs > LONGEST_MS) {
    throw new ScheduleInvalidError(job, `interval is ${showValue(interval)}, but must be whole milliseconds from 1 to 100 years`)
  }
  const latest = (nowMs: number, anchorMs: number) => anchorMs + Math.floor((nowMs - anchorMs) / periodMs) * periodMs
  return {
    kind: 'interval',
    definition: `every ${periodMs} ms`,
    patienceMs: SECOND_MS,
    latest,
    first: (anchorMs) => anchorMs + periodMs,
    next: (afterMs, anchorMs) => latest(afterMs, anchorMs) + periodMs,
    count: (fromMs, beforeMs) => (beforeMs - fromMs) / periodMs
  }
}

/**
 * The ticks of a cron expression of five fields, six with seconds, or seven with years. Without a time zone, that of the process.
 * In a night in which clocks change: docs/scheduler.md. Throws FST_SWOOLE_SCHEDULE_INVALID.
 */
export function cronTicks (job: string, expression: string, timezone?: string): Ticks {
  const cron = parseCron(job, expression, timezone)
  const next = (afterMs: number) => cron.nextRun(new Date(afterMs))?.getTime() ?? Infinity
  return {
    kind: 'cron',
    definition: `${expression} ${timezone ?? ''}`,
    patienceMs: DAY_MS,
    first: next,
    next,
    // It asks for what is before a whole second.
    latest: (nowMs, _anchorMs, dueMs) => cron.previousRuns(1, new Date(Math.floor(nowMs / SECOND_MS + 1) * SECOND_MS))[0]?.getTime() ?? dueMs,
    count (fromMs, beforeMs) {
      let count = 0
      for (let tickMs = fromMs; tickMs < beforeMs && count < MOST_COUNTED; tickMs = next(tickMs)) count++
      return count
    }
  }
}

/** One tick. Throws FST_SWOOLE_SCHEDULE_INVALID, _DURATION_INVALID. */
export function onceTicks (job: string, delay: Duration): Ticks {
  const delayMs = parseDuration(delay, `The delay of the job "${job}"`)
  if (delayMs > LONGEST_MS) throw new ScheduleInvalidError(job, `delay is ${showValue(delay)}, but must be at most 100 years`)
  return {
    kind: 'once',
    definition: `after ${delayMs} ms`,
    patienceMs: SECOND_MS,
    first: (anchorMs) => anchorMs + delayMs,
    next: () => Infinity,
    latest: (_nowMs, _anchorMs, dueMs) => dueMs,
    count: () => 0
  }
}

function parseCron (job: string, expression: string, timezone: string | undefined): Cron {
  if (typeof expression !== 'string') throw new ScheduleInvalidError(job, `cron is ${showValue(expression)}, but must be a string such as "0 30 3 * * *"`)
  if (timezone !== undefined) requireTimeZone(job, timezone)
  const cron = whole(job, expression, timezone)
  // It takes a date as well, which would be one tick and no cron expression.
  if (cron.getPattern() === undefined) throw new ScheduleInvalidError(job, `cron is ${showValue(expression)}, but must have five, six or seven fields; for one run there is scheduleOnce()`)
  if (cron.nextRun() === null) throw new ScheduleInvalidError(job, `cron is ${showValue(expression)}, which never comes`)
  return cron
}

function whole (job: string, expression: string, timezone: string | undefined): Cron {
  try {
    return new Cron(expression, { paused: true, ...(timezone === undefined ? {} : { timezone }) })
  } catch (error) {
    throw new ScheduleInvalidError(job, `cron is ${showValue(expression)}: ${(error as Error).message.replace(/^\w+: /, '')}`)
  }
}

function requireTimeZone (job: string, timezone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone }).format()
  } catch {
    throw new ScheduleInvalidError(job, `timezone is ${showValue(timezone)}, but must be one of the IANA's, such as "Europe/Paris"`)
  }
}
