import type { Duration } from '../options/index.ts'
import { invalid, requireDuration, requireOptions } from './checks.ts'

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

export interface BackoffTimes {
  initialMs: number
  factor: number
  maxMs: number
  jitter: number
}

const NAMES = ['initial', 'factor', 'max', 'jitter']

/** Throws FST_SWOOLE_OPTIONS_INVALID. */
export function backoffOf (path: string, given: Duration | Backoff): BackoffTimes {
  if (typeof given === 'number' || typeof given === 'string') {
    const ms = requireDuration(path, given, 0)
    return { initialMs: ms, factor: 1, maxMs: ms, jitter: 0 }
  }
  requireOptions(path, given, NAMES)
  const { initial = '1s', factor = 2, max = '60s', jitter = 0 } = given
  if (!(Number.isFinite(factor) && factor >= 1)) throw invalid(`${path}.factor`, factor, 'a number of 1 or more')
  if (!(typeof jitter === 'number' && jitter >= 0 && jitter <= 1)) throw invalid(`${path}.jitter`, jitter, 'a number from 0 to 1')
  return { initialMs: requireDuration(`${path}.initial`, initial, 0), factor, maxMs: requireDuration(`${path}.max`, max, 0), jitter }
}

/** How long an item waits after its `attempt`th attempt, from 1, has failed. */
export function backoffMs ({ initialMs, factor, maxMs, jitter }: BackoffTimes, attempt: number): number {
  // A large factor grows to Infinity, and 0 times that is no number.
  const grownMs = initialMs === 0 ? 0 : Math.min(maxMs, initialMs * factor ** (attempt - 1))
  return grownMs * (1 - jitter * Math.random())
}
