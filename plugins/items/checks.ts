import { OptionsInvalidError } from '../errors.ts'
import { durationInMs } from '../options/duration.ts'
import { showValue } from '../options/show.ts'

const LONGEST_MS = 2 ** 31 - 1

/** What an error calls the options: text, or what makes it when there is an error, where that is asked for often. */
export type Path = string | (() => string)

const textOf = (path: Path): string => typeof path === 'string' ? path : path()

/** Throws FST_SWOOLE_OPTIONS_INVALID, as all of these. `path`: of the options, as in `queue("mail")`. */
export function requireOptions (path: Path, given: unknown, names: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalid(path, given, `an object with ${names.join(', ')}${textOf(path).endsWith('.backoff') ? ', or a duration' : ''}`)
  for (const name in given) {
    if (!names.includes(name)) throw new OptionsInvalidError(`${textOf(path)}.${name} is no option: there are ${names.join(', ')}`)
  }
}

export function requireInteger (path: Path, value: unknown, most: number): number {
  if (Number.isInteger(value) && value as number >= 1 && value as number <= most) return value as number
  throw invalid(path, value, `an integer from 1 to ${most}`)
}

/** In milliseconds. */
export function requireDuration (path: Path, value: unknown, leastMs: number): number {
  const ms = typeof value === 'string' ? durationInMs(value) : value
  if (typeof ms === 'number' && ms >= leastMs && ms <= LONGEST_MS) return ms
  throw invalid(path, value, `a duration of ${leastMs} to ${LONGEST_MS} ms: milliseconds, or a string such as "250ms", "5s", "1m"`)
}

export function invalid (path: Path, value: unknown, accepted: string): Error {
  return new OptionsInvalidError(`${textOf(path)} is ${showValue(value)}, but must be ${accepted}`)
}
