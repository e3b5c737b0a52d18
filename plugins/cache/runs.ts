import type { EntrySpace } from '../shared-memory/index.ts'
import { LONGEST_TIMER_MS } from './flights.ts'
import type { Flight } from './flights.ts'
import type { CacheStore } from './store.ts'

/** A computation of a key's value in this worker, or its wait for another's. */
export interface Run {
  readonly space: EntrySpace
  /** When it began, in invalidations. */
  epoch: number
  flight: Flight | undefined
  /** When it began to compute, by `performance.now()`; until then it waits for another worker. */
  computesSinceMs: number | undefined
  value: Promise<unknown>
}

/** A key whose value could not be computed anew is left alone for so long. */
const REST_MS = 1000
const WARNING_EVERY_MS = 60_000

/** What is computed in this worker: one run at a time for a key. */
export class Runs {
  readonly #store: CacheStore
  readonly #runs = new Map<string, Run>()
  readonly #resting = new Set<string>()
  #warnedAtMs = -WARNING_EVERY_MS

  constructor (store: CacheStore) {
    this.#store = store
  }

  has (key: string): boolean {
    return this.#runs.has(key)
  }

  /** The run of the key, unless the key was deleted, or anything invalidated, since it began: that is not for who asks after that. */
  joinable (key: string): Run | undefined {
    const run = this.#runs.get(key)
    if (run === undefined || run.space !== this.#store.values || run.epoch !== this.#store.epoch()) return undefined
    return run.flight === undefined || this.#store.flights.isCurrent(run.flight) ? run : undefined
  }

  start (key: string, work: (run: Run) => Promise<unknown>, flight?: Flight): Run {
    const run: Run = { space: this.#store.values, epoch: this.#store.epoch(), flight, computesSinceMs: undefined, value: NEVER }
    run.value = work(run)
    this.#runs.set(key, run)
    const end = () => { if (this.#runs.get(key) === run) this.#runs.delete(key) }
    run.value.then(end, end)
    return run
  }

  forget (key: string): void {
    if (this.#runs.size > 0) this.#runs.delete(key)
  }

  forgetAll (prefix: string): void {
    for (const key of this.#runs.keys()) if (key.startsWith(prefix)) this.#runs.delete(key)
  }

  isResting (key: string): boolean {
    return this.#resting.has(key)
  }

  rest (key: string): void {
    this.#resting.add(key)
    setTimeout(() => this.#resting.delete(key), REST_MS).unref()
  }

  warnOfSize (key: string, value: unknown): void {
    const nowMs = performance.now()
    if (nowMs - this.#warnedAtMs < WARNING_EVERY_MS) return
    this.#warnedAtMs = nowMs
    this.#store.log.warn({ key, bytes: this.#store.sizeOf(value), maxBytes: this.#store.maxBytes }, 'a value is too large for the cache and was not kept: raise cache.size')
  }
}

const NEVER = Promise.resolve()

/** Rejects as the promise does; false when that takes longer. */
export async function settled (promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([promise.then(() => true), new Promise<boolean>((resolve) => { timer = setTimeout(resolve, Math.min(timeoutMs, LONGEST_TIMER_MS), false) })])
  } finally {
    clearTimeout(timer)
  }
}
