import { backoffOf } from '../items/index.ts'
import type { Backoff, BackoffTimes, ItemsDefinition } from '../items/index.ts'
import { invalid, requireDuration, requireInteger, requireOptions } from '../items/index.ts'
import { parseBytes } from '../options/index.ts'
import type { Bytes, Duration } from '../options/index.ts'
import { showValue } from '../options/show.ts'

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
export interface Definition extends ItemsDefinition {
  backoff: BackoffTimes
}

const MOST_ITEMS = 2 ** 24
const MOST_ATTEMPTS = 2 ** 30
const NAMES = ['capacity', 'maxBytes', 'maxAttempts', 'backoff', 'visibilityTimeout']

/** Throws FST_SWOOLE_OPTIONS_INVALID. */
export function definitionOf (name: string, options: QueueOptions = {}): Definition {
  const path = `queue(${showValue(name)})`
  requireOptions(path, options, NAMES)
  const { capacity = 100_000, maxBytes = '16mb', maxAttempts = 3, backoff = {}, visibilityTimeout } = options
  const bytes = parseBytes(maxBytes, `${path}.maxBytes`)
  if (bytes === 0) throw invalid(`${path}.maxBytes`, maxBytes, 'at least 1 byte')
  return {
    capacity: requireInteger(`${path}.capacity`, capacity, MOST_ITEMS),
    maxBytes: bytes,
    maxAttempts: requireInteger(`${path}.maxAttempts`, maxAttempts, MOST_ATTEMPTS),
    backoff: backoffOf(`${path}.backoff`, backoff),
    visibilityMs: visibilityTimeout === undefined ? 0 : requireDuration(`${path}.visibilityTimeout`, visibilityTimeout, 1)
  }
}
