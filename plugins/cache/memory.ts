import { setImmediate } from 'node:timers/promises'
import { KeyInvalidError, OptionsInvalidError, ValueInvalidError, ValueTooLongError } from '../errors.ts'
import { showValue } from '../options/show.ts'
import type { EntriesStats } from '../shared-memory/index.ts'
import { CacheItem, KEEP_NAMES, keepingOf, requireTags } from './item.ts'
import type { GetOptions, Keeping, KeepOptions } from './item.ts'
import type { Flight } from './flights.ts'
import { Runs, settled } from './runs.ts'
import type { Run } from './runs.ts'
import { isAfter } from './store.ts'
import type { CacheStore, Stored } from './store.ts'

export type Compute<T> = (item: CacheItem) => T | Promise<T>

export interface CacheTimes {
  /** How long a value is fresh that does not say. */
  ttlMs: number
  /** How long one waits for what another computes, before it computes that itself. */
  computeTimeoutMs: number
}

const LONGEST_PREFIX = 60
/** So long many entries are looked at before others have their turn. */
const TURN_MS = 2
/** Who waited for a value that is fresh for less may find that it has expired already. */
const SHORT_TTL_MS = 5000

/**
 * A cache that all workers share, in bounded memory. Values are data (see `Encoded.setData`), and each `get` gives a copy of
 * one's own. After Symfony's CacheInterface, and the original's `SwooleCacheAdapter`.
 */
export class SharedCache {
  readonly #store: CacheStore
  readonly #times: CacheTimes
  readonly #prefix: string
  readonly #runs: Runs
  /** The options that were looked at last: callers have the same ones, time and again. */
  #checked: GetOptions | undefined

  constructor (store: CacheStore, times: CacheTimes, prefix = '', runs = new Runs(store)) {
    this.#store = store
    this.#times = times
    this.#prefix = prefix
    this.#runs = runs
  }

  /**
   * The value of the key. Without `compute`: undefined when there is none that is fresh. With it: what that makes, which
   * is kept; of all that ask at the same time, in all workers, one computes and the others wait. When its worker dies, another
   * one computes; its error goes to all and is not kept.
   *
   * Rejects with what `compute` throws, and with FST_SWOOLE_KEY_INVALID, _OPTIONS_INVALID, _DURATION_INVALID, _VALUE_INVALID (a value
   * that is not data), _MEMORY_FULL, _CLOSED. A value that is too large is given, not kept, and logged.
   */
  get<T> (key: string): Promise<T | undefined>
  get<T> (key: string, compute: Compute<T>, options?: GetOptions): Promise<T>
  get (key: string, compute?: Compute<unknown>, options?: GetOptions): Promise<unknown> {
    try {
      const full = this.#keyOf(key)
      if (compute !== undefined && typeof compute !== 'function') throw new ValueInvalidError(`What computes the key ${showValue(key)} of the cache`, showValue(compute), 'a function')
      // Also of a value that is there: else what is wrong with them shows on the day that it is not.
      if (options !== undefined && options !== this.#checked) {
        keepingOf(options, this.#times.ttlMs)
        this.#checked = options
      }
      const nowMs = Date.now()
      const found = this.#store.read(this.#store.values, full, nowMs)
      if (compute === undefined) return Promise.resolve(found === undefined || found.isStale ? undefined : found.value)
      if (found === undefined) return this.#compute(full, compute, options)
      if (options?.beta === Infinity) return this.#compute(full, compute, options, found.version)
      if (found.isStale) this.#refresh(full, compute, options)
      else if (options?.beta && isDue(found, options.beta, nowMs)) this.#refresh(full, compute, options, found.version)
      return Promise.resolve(found.value)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Keeps a value. Rejects with FST_SWOOLE_KEY_INVALID, _VALUE_INVALID, _VALUE_TOO_LONG (more than a quarter of the cache),
   * _OPTIONS_INVALID, _DURATION_INVALID, _MEMORY_FULL.
   */
  async set (key: string, value: unknown, options?: KeepOptions): Promise<void> {
    const full = this.#keyOf(key)
    const { ttlMs, tags } = keepingOf(options, this.#times.ttlMs, KEEP_NAMES)
    const store = this.#store
    this.#runs.forget(full)
    if (ttlMs === 0) {
      store.delete(store.values, full)
      return
    }
    store.deleteLater(store.values, full)
    store.flights.cancel(store.values, full)
    if (store.write(store.values, full, value, { nowMs: Date.now(), ttlMs, tags: this.#tagsOf(tags) }) === 'too large') {
      throw new ValueTooLongError(`The value for the key ${showValue(key)} of the cache`, store.sizeOf(value), store.maxBytes)
    }
  }

  /** Whether there is a fresh value. Rejects with FST_SWOOLE_KEY_INVALID. */
  async has (key: string): Promise<boolean> {
    return this.#store.has(this.#store.values, this.#keyOf(key), Date.now())
  }

  /** How many of them there were. What is computed for one of them at the moment is not kept. Rejects with FST_SWOOLE_KEY_INVALID. */
  async delete (...keys: string[]): Promise<number> {
    let deleted = 0
    for (const full of keys.map((key) => this.#keyOf(key))) {
      this.#runs.forget(full)
      if (this.#store.delete(this.#store.values, full)) deleted++
    }
    return deleted
  }

  /**
   * Removes all values and HTTP answers that have one of the tags, and says how many. What is being computed and comes to have
   * one is not kept. Rejects with FST_SWOOLE_OPTIONS_INVALID.
   */
  async invalidateTags (...tags: string[]): Promise<number> {
    let removed = 0
    for (const tag of this.#tagsOf(requireTags(tags, Infinity))) removed += await this.#sum(this.#store.invalidate(tag))
    return removed
  }

  /** Removes all values and HTTP answers; of a namespace all of its values. */
  async clear (): Promise<void> {
    const { values, answers } = this.#store
    this.#runs.forgetAll(this.#prefix)
    await this.#sum(this.#store.clear(this.#prefix === '' ? [values, answers] : [values], this.#prefix))
  }

  /**
   * The same cache with `prefix` before all keys and tags; its `clear` removes what begins so. Prefixes of namespaces in one
   * another may have 60 characters in all. Throws FST_SWOOLE_OPTIONS_INVALID.
   */
  namespace (prefix: string): SharedCache {
    const full = typeof prefix === 'string' ? this.#prefix + prefix : ''
    if (full === this.#prefix || full.length > LONGEST_PREFIX) {
      throw new OptionsInvalidError(`The prefix of a namespace of the cache is ${showValue(prefix)}, but must be a string of at least one character, and no more than ${LONGEST_PREFIX} with those it is in`)
    }
    return new SharedCache(this.#store, this.#times, full, this.#runs)
  }

  /** Of the whole cache, over all workers. */
  stats (): EntriesStats {
    return this.#store.stats()
  }

  /** `notVersion`: of a fresh value that will not do. */
  async #compute (key: string, compute: Compute<unknown>, options: GetOptions | undefined, notVersion?: number): Promise<unknown> {
    const keeping = keepingOf(options, this.#times.ttlMs)
    let slow: Run | undefined
    for (let run = this.#runs.joinable(key); run !== undefined; run = this.#runs.joinable(key)) {
      if (await settled(run.value, Math.max(0, this.#leftMs(run)))) return this.#fresh(run, key, notVersion)?.value ?? this.#store.copyOf(await run.value)
      // It takes too long. Of all that waited one computes as well.
      if (this.#runs.joinable(key) !== run || run.computesSinceMs === undefined || this.#leftMs(run) > 0) continue
      slow = run
      break
    }
    return await this.#runs.start(key, (run) => {
      const led = this.#lead(run, key, compute, keeping, notVersion, slow?.flight)
      return slow === undefined ? led : Promise.race([led, slow.value.then((value) => this.#store.copyOf(value))])
    }).value
  }

  /** Until others no longer wait for it alone. */
  #leftMs ({ computesSinceMs = performance.now() }: Run): number {
    return computesSinceMs + this.#times.computeTimeoutMs - performance.now()
  }

  /** In the background, unless some worker is at it. */
  #refresh (key: string, compute: Compute<unknown>, options: GetOptions | undefined, notVersion?: number): void {
    if (this.#runs.has(key) || this.#runs.isResting(key)) return
    const keeping = keepingOf(options, this.#times.ttlMs)
    const flight = this.#store.flights.claim(this.#store.values, key, { follows: false })
    if (!flight.isLeader) return
    this.#runs.start(key, (run) => this.#make(run, key, compute, keeping, notVersion), flight).value.catch((error) => {
      this.#runs.rest(key)
      this.#store.log.warn({ key, err: error }, 'a value of the cache could not be computed anew: the old one is given until it is too old')
    })
  }

  /** Computes, or waits for whoever does; `slow` is a flight that takes too long. */
  async #lead (run: Run, key: string, compute: Compute<unknown>, keeping: Keeping, notVersion: number | undefined, slow: Flight | undefined): Promise<unknown> {
    const { flights } = this.#store
    for (let beside = slow; ;) {
      const flight = flights.claim(run.space, key, { beside })
      if (flight.isLeader) {
        run.flight = flight
        run.epoch = this.#store.epoch()
        // Another may have ended between the look and the claim.
        const found = this.#fresh(run, key, notVersion)
        if (found === undefined) {
          const made = this.#make(run, key, compute, keeping, notVersion)
          // Until then nobody computes it as well.
          if (beside === undefined && await settled(made, this.#times.computeTimeoutMs)) return await made
          return await this.#madeFirst(made, flight, run, key, notVersion)
        }
        flights.end(flight)
        return found.value
      }
      const isOver = await flights.ended(flight, { timeoutMs: this.#times.computeTimeoutMs })
      beside = isOver ? undefined : flight
      const got = this.#gotOf(flight, isOver, run, key, notVersion)
      if (got === 'nothing') continue
      if (got !== 'alone') return got.value
      // No flight would tell of a deletion in another worker: what is made now is not for who asks from now on.
      this.#runs.forget(key)
      return await this.#make(run, key, compute, keeping, notVersion)
    }
  }

  /** What is made here, or what another that computes the same has made first. */
  async #madeFirst (made: Promise<unknown>, flight: Flight, run: Run, key: string, notVersion: number | undefined): Promise<unknown> {
    const isMade = new AbortController()
    const others = this.#store.flights.ended(flight, { signal: isMade.signal }).then(() => {
      const got = this.#gotOf(flight, true, run, key, notVersion)
      return typeof got === 'object' ? got.value : made
    }, () => made)
    try {
      return await Promise.race([made, others])
    } finally {
      isMade.abort()
    }
  }

  /** What others have of a flight. Throws its error. */
  #gotOf (flight: Flight, isOver: boolean, run: Run, key: string, notVersion: number | undefined): { value: unknown } | 'alone' | 'nothing' {
    const found = this.#fresh(run, key, notVersion)
    if (found !== undefined) return found
    const outcome = isOver ? this.#store.outcome(flight) : undefined
    if (outcome === undefined) return 'nothing'
    if ('alone' in outcome) return 'alone'
    if (isAfter(run.epoch, outcome.epoch)) return 'nothing'
    if ('error' in outcome) throw outcome.error
    return outcome
  }

  #fresh ({ space }: Run, key: string, notVersion: number | undefined): Stored | undefined {
    const found = this.#store.look(space, key, Date.now())
    return found === undefined || found.isStale || found.version === notVersion ? undefined : found
  }

  /** Computes, and keeps it unless somebody wrote another meanwhile. Without a flight it is computed for its caller alone. */
  async #make (run: Run, key: string, compute: Compute<unknown>, keeping: Keeping, notVersion = 0): Promise<unknown> {
    const store = this.#store
    const { flight, space, epoch } = run
    run.computesSinceMs = performance.now()
    const item = new CacheItem(key.slice(this.#prefix.length), keeping.ttlMs, keeping.tags, this.#times.ttlMs)
    const validUntil = () => store.validUntil(epoch, this.#tagsOf(item.tags))
    let leave: (() => void) | undefined
    try {
      const startedAt = performance.now()
      const value = await compute(item)
      const computeMs = Math.min(Math.round(performance.now() - startedAt), 2 ** 31 - 1)
      const { ttlMs } = item
      if (ttlMs < SHORT_TTL_MS) leave = () => store.leave(flight!, { value, epoch: validUntil() })
      if (ttlMs === 0) {
        store.requireData(value)
        return value
      }
      const tags = this.#tagsOf(item.tags)
      const outcome = store.write(space, key, value, { nowMs: Date.now(), ttlMs, staleMs: keeping.staleMs, tags, computeMs, flight, sinceEpoch: epoch, unlessOther: notVersion })
      if (outcome === 'conflict') leave = undefined
      if (outcome === 'too large') {
        this.#runs.warnOfSize(key, value)
        leave = () => store.leave(flight!, { alone: true })
      }
      return value
    } catch (error) {
      leave = () => store.leave(flight!, { error, epoch: validUntil() })
      throw error
    } finally {
      if (flight !== undefined) store.flights.end(flight, leave)
    }
  }

  async #sum (counts: Iterable<number>): Promise<number> {
    let sum = 0
    let turn = performance.now()
    for (const count of counts) {
      sum += count
      if (performance.now() - turn < TURN_MS) continue
      await setImmediate()
      turn = performance.now()
    }
    return sum
  }

  #keyOf (key: string): string {
    if (typeof key !== 'string') throw new KeyInvalidError('the cache', showValue(key), 'a string')
    return this.#prefix === '' ? key : this.#prefix + key
  }

  #tagsOf (tags: string[]): string[] {
    return this.#prefix === '' ? tags : tags.map((tag) => this.#prefix + tag)
  }
}

/** Whether to compute it anew before it expires. */
function isDue ({ expiresMs, computeMs }: Stored, beta: number, nowMs: number): boolean {
  return nowMs - computeMs * beta * Math.log(Math.random()) >= expiresMs
}
