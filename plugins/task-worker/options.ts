import { OptionsInvalidError } from '../errors.ts'
import { backoffOf, requireDuration, requireInteger, requireOptions } from '../items/index.ts'
import type { Backoff, BackoffTimes } from '../items/index.ts'
import type { Duration } from '../options/index.ts'
import { showValue } from '../options/show.ts'

/** How tasks of a type are run. */
export interface HandlerOptions {
  /** How often a task is tried before it is a dead letter: 1 or more. Default 3. */
  attempts?: number
  /** How long an attempt may take; then its `signal` aborts and it has failed. Default: as long as it likes. */
  timeout?: Duration
  /** How many run at once in each task worker: 1 to 65,535. Default 1. */
  concurrency?: number
  /** The wait before the next attempt: a constant one, or one that grows. Default `{ initial: '1s', factor: 2, max: '60s' }`. */
  backoff?: Duration | Backoff
}

export interface DispatchOptions {
  /** Instead of the handler's own. */
  attempts?: number
  /** The task is not run before so long. Default 0. */
  delay?: Duration
}

export interface Wait {
  /** How long to wait for the result. Default '5s'. */
  timeout?: Duration
  /** Ends the wait; the task is run all the same. */
  signal?: AbortSignal
}

/** The options with defaults, in milliseconds. */
export interface HandlerSettings {
  attempts: number
  /** 0: none. */
  timeoutMs: number
  concurrency: number
  backoff: BackoffTimes
}

const DISPATCH_NAMES = ['attempts', 'delay']
const WAIT_NAMES = ['timeout', 'signal']
const MOST_ATTEMPTS = 2 ** 30
const MOST_CONCURRENT = 65_535
export const DEFAULT_ATTEMPTS = 3
export const DEFAULT_WAIT_MS = 5000

/** Throws FST_SWOOLE_OPTIONS_INVALID, as the others. */
export function handlerSettings (type: string, options: HandlerOptions = {}): HandlerSettings {
  const path = `registerHandler(${showValue(type)})`
  requireOptions(path, options, ['attempts', 'timeout', 'concurrency', 'backoff'])
  const { attempts = DEFAULT_ATTEMPTS, timeout, concurrency = 1, backoff = {} } = options
  return {
    attempts: requireInteger(`${path}.attempts`, attempts, MOST_ATTEMPTS),
    timeoutMs: timeout === undefined ? 0 : requireDuration(`${path}.timeout`, timeout, 1),
    concurrency: requireInteger(`${path}.concurrency`, concurrency, MOST_CONCURRENT),
    backoff: backoffOf(`${path}.backoff`, backoff)
  }
}

export function dispatchSettings (type: string, options: DispatchOptions | undefined): { attempts: number | undefined, delayMs: number } {
  if (options === undefined) return { attempts: undefined, delayMs: 0 }
  const path = (option = '') => `dispatch(${showValue(type)})${option}`
  requireOptions(path, options, DISPATCH_NAMES)
  const { attempts, delay = 0 } = options
  return {
    attempts: attempts === undefined ? undefined : requireInteger(() => path('.attempts'), attempts, MOST_ATTEMPTS),
    delayMs: requireDuration(() => path('.delay'), delay, 0)
  }
}

export function waitSettings (type: string, options: Wait | undefined): { timeoutMs: number, signal: AbortSignal | undefined } {
  if (options === undefined) return { timeoutMs: DEFAULT_WAIT_MS, signal: undefined }
  const path = (option = '') => `dispatchSync(${showValue(type)})${option}`
  requireOptions(path, options, WAIT_NAMES)
  const { timeout = DEFAULT_WAIT_MS, signal } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new OptionsInvalidError(`${path('.signal')} is ${showValue(signal)}, but must be an AbortSignal`)
  return { timeoutMs: requireDuration(() => path('.timeout'), timeout, 1), signal }
}
