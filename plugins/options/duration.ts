import { DurationInvalidError } from '../errors.ts'
import { showValue } from './show.ts'

/** A time span: milliseconds, or a number with a unit: '250ms', '1.5s', '1m', '2h', '1d'. */
export type Duration = number | string

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/
const MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * The schema of an option that is a duration. Its maximum is the longest a Node timer takes: one millisecond more and
 * the timer would fire at once.
 */
export const durationSchema = {
  type: ['number', 'string'],
  minimum: 0,
  maximum: 2_147_483_647,
  pattern: DURATION.source,
  unit: 'duration',
  accepts: 'a duration: milliseconds or "250ms", "5s", "1m"'
} as const

/**
 * The milliseconds of a {@link Duration}. `name` says in the error whose value it is.
 *
 * @throws FST_SWOOLE_DURATION_INVALID for what is negative, not finite, or no duration at all
 * @example parseDuration('1.5s', 'lock.timeout') // 1500
 */
export function parseDuration (value: unknown, name: string): number {
  const ms = typeof value === 'string' ? durationInMs(value) : value
  if (typeof ms !== 'number' || !Number.isFinite(ms) || ms < 0) {
    throw new DurationInvalidError(name, showValue(value, name.split('.')))
  }
  return ms
}

/** The milliseconds of a duration's string form, undefined for any other string. */
export function durationInMs (text: string): number | undefined {
  const match = DURATION.exec(text)
  if (match === null) return undefined

  const ms = Number(match[1]) * MS[match[2] as keyof typeof MS]
  // 1.005 * 1000 is 1004.9999999999999 in floating point
  return Math.round(ms * 1e6) / 1e6
}
