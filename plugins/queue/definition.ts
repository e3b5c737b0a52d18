import { OptionsInvalidError } from '../errors.ts'
import { parseBytes } from '../options/index.ts'
import type { Bytes, Duration } from '../options/index.ts'
import { durationInMs } from '../options/duration.ts'
import { showValue } from '../options/show.ts'

/** The wait before an item that failed is tried again: `initial × factor^(attempt - 1)`, at most `max`. */
export interface Backoff {
  /** Default 1s. */
  initial?: Duration
  /** Default 2; 1 or more. */
  factor?: number
  /** Default 60s. */
  max?: Duration
  /** The share of the wait, 0 to 1, that is cut at random, so that what failed together is not tried together. Default 0. */
  jitter?: number
}

/** All workers that use a queue must give the same options, or none; otherwise FST_SWOOLE_SCHEMA_MISMATCH. */
export interface QueueOptions {
  /** How many items the queue holds, those in flight and dead letters included: 1 to 16,777,216. Default 100,000. */
  capacity?: number
  /** How many bytes the values have together, as the queue stores them. Default 16 MiB. */
  maxBytes?: Bytes
  /** How often a consumed item is tried before it is a dead letter: 1 or more. Default 3. */
  maxAttempts?: number
  /** The wait before the next attempt: a constant one, or one that grows. Default `{ initial: '1s', factor: 2, max: '60s' }`. */
  backoff?: Duration | Backoff
  /** How long a consumer may have an item before it is given to another. Default: as long as the consumer lives. */
  visibilityTimeout?: Duration
}

/** The options with defaults, in milliseconds and bytes: what all users of a queue must agree on. */
export interface Definition {
  capacity: number
  maxBytes: number
  maxAttempts: number
  backoff: { initialMs: number, factor: number, maxMs: number, jitter: number }
  /** 0: none. */
  visibilityMs: number
}

const MOST_ITEMS = 2 ** 24
const MOST_ATTEMPTS = 2 ** 30
const LONGEST_MS = 2 ** 31 - 1
const NAMES = ['capacity', 'maxBytes', 'maxAttempts', 'backoff', 'visibilityTimeout']
const BACKOFF_NAMES = ['initial', 'factor', 'max', 'jitter']

/** Throws FST_SWOOLE_OPTIONS_INVALID. */
export function definitionOf (name: string, options: QueueOptions = {}): Definition {
  const path = `queue(${showValue(name)})`
  requireNames(path, options, NAMES)
  const { capacity = 100_000, maxBytes = '16mb', maxAttempts = 3, backoff = {}, visibilityTimeout } = options
  const bytes = parseBytes(maxBytes, `${path}.maxBytes`)
  if (bytes === 0) throw invalid(`${path}.maxBytes`, maxBytes, 'at least 1 byte')
  return {
    capacity: integer(`${path}.capacity`, capacity, MOST_ITEMS),
    maxBytes: bytes,
    maxAttempts: integer(`${path}.maxAttempts`, maxAttempts, MOST_ATTEMPTS),
    backoff: backoffOf(`${path}.backoff`, backoff),
    visibilityMs: visibilityTimeout === undefined ? 0 : duration(`${path}.visibilityTimeout`, visibilityTimeout, 1)
  }
}

/** How long an item waits after its `attempt`th attempt, from 1, has failed. */
export function backoffMs ({ backoff }: Definition, attempt: number): number {
  const { initialMs, factor, maxMs, jitter } = backoff
  // A large factor grows to Infinity, and 0 times that is no number.
  const grownMs = initialMs === 0 ? 0 : Math.min(maxMs, initialMs * factor ** (attempt - 1))
  return grownMs * (1 - jitter * Math.random())
}

function backoffOf (path: string, given: Duration | Backoff): Definition['backoff'] {
  if (typeof given === 'number' || typeof given === 'string') {
    const ms = duration(path, given, 0)
    return { initialMs: ms, factor: 1, maxMs: ms, jitter: 0 }
  }
  requireNames(path, given, BACKOFF_NAMES)
  const { initial = '1s', factor = 2, max = '60s', jitter = 0 } = given
  if (!(Number.isFinite(factor) && factor >= 1)) throw invalid(`${path}.factor`, factor, 'a number of 1 or more')
  if (!(typeof jitter === 'number' && jitter >= 0 && jitter <= 1)) throw invalid(`${path}.jitter`, jitter, 'a number from 0 to 1')
  return { initialMs: duration(`${path}.initial`, initial, 0), factor, maxMs: duration(`${path}.max`, max, 0), jitter }
}

function requireNames (path: string, given: unknown, names: string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalid(path, given, `an object with ${names.join(', ')}${path.endsWith('.backoff') ? ', or a duration' : ''}`)
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw new OptionsInvalidError(`${path}.${name} is no option: there are ${names.join(', ')}`)
  }
}

function integer (path: string, value: unknown, most: number): number {
  if (Number.isInteger(value) && value as number >= 1 && value as number <= most) return value as number
  throw invalid(path, value, `an integer from 1 to ${most}`)
}

function duration (path: string, value: unknown, leastMs: number): number {
  const ms = typeof value === 'string' ? durationInMs(value) : value
  if (typeof ms === 'number' && ms >= leastMs && ms <= LONGEST_MS) return ms
  throw invalid(path, value, `a duration of ${leastMs} to ${LONGEST_MS} ms: milliseconds, or a string such as "250ms", "5s", "1m"`)
}

function invalid (path: string, value: unknown, accepted: string): Error {
  return new OptionsInvalidError(`${path} is ${showValue(value)}, but must be ${accepted}`)
}
