import { OptionsInvalidError, SchemaMismatchError, ValueInvalidError } from '../errors.ts'
import { parseDuration } from '../options/index.ts'
import { requireNames } from '../options/method-options.ts'
import { showValue } from '../options/show.ts'
import type { LruStats } from '../shared-memory/index.ts'
import { BusyClock } from './busy-clock.ts'
import { NO_ARRIVAL, isSameRate, latestArrival, millisecondsOf, taken, tokensAt, tokensOut } from './gcra.ts'
import type { Rate } from './gcra.ts'
import type { LimitSpace, LimiterPool } from './pool.ts'

export interface RateOptions {
  /** Tokens in a full bucket, and how many it gets in a window: 1 to 2^31 - 1. */
  maxRequests: number
  /** Milliseconds, or a string such as '1m'. */
  window: number | string
}

export interface LimitInfo {
  /** Whether a request of cost 1 would be admitted now. */
  allowed: boolean
  /** Whole tokens in the bucket. */
  remaining: number
  /** When the bucket is full again. */
  resetAt: Date
  /** Tokens that are out: `maxRequests - remaining`. */
  currentCount: number
  /** Until a request of cost 1 is admitted; 0 when it is now. */
  retryAfterMs: number
}

/** What became of a request, in milliseconds. */
export interface Verdict {
  allowed: boolean
  remaining: number
  resetMs: number
  retryAfterMs: number
}

const MOST_REQUESTS = 2 ** 31 - 1
/** Times are doubles that count from an epoch: 5000 ms can be so much more than that. */
const ROUNDING_MS = 1e-3
// Nothing is allocated for the answer to each request.
const ALLOWED = Promise.resolve(true)
const REFUSED = Promise.resolve(false)

/**
 * A token bucket for each id, over all workers: it holds `maxRequests` tokens and gets as many in a window, evenly. A
 * clock that is put back gives no tokens until it has caught up, at most a window.
 * After the original's `RateLimiter`.
 */
export class SharedRateLimiter {
  readonly name: string
  readonly rate: Rate
  readonly #family: Family
  #space: LimitSpace | undefined
  // Of the last `#take` or `#look`.
  #before = 0
  #now = 0

  constructor (name: string, rate: Rate, family: Family) {
    this.name = name
    this.rate = rate
    this.#family = family
  }

  /**
   * Takes `cost` tokens of the id's bucket, all or none; false: there were too few. `cost` defaults to 1; one that is
   * more than `maxRequests` is never admitted.
   * Rejects with FST_SWOOLE_VALUE_INVALID, _MEMORY_FULL.
   */
  isAllowed (id: string, cost: number = 1): Promise<boolean> {
    try {
      this.#require(id, cost)
      if (!this.#family.isEnabled) return ALLOWED
      const arrival = this.#take(id, cost)
      return arrival === arrival ? ALLOWED : REFUSED // eslint-disable-line no-self-compare -- NaN is refused
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The same at once, with what to tell the client. Throws what `isAllowed` rejects with. */
  take (id: string, cost: number = 1): Verdict {
    this.#require(id, cost)
    if (!this.#family.isEnabled) return { allowed: true, remaining: this.rate.maxRequests, resetMs: 0, retryAfterMs: 0 }
    const arrival = this.#take(id, cost)
    const allowed = !Number.isNaN(arrival)
    return this.#verdict(allowed, tokensOut(allowed ? arrival : this.#before, this.#now), cost)
  }

  /** Whole tokens in the id's bucket. Rejects with FST_SWOOLE_VALUE_INVALID, _MEMORY_FULL. */
  async getRemaining (id: string): Promise<number> {
    return (await this.getInfo(id)).remaining
  }

  /** How the id's bucket stands; takes nothing. Rejects with FST_SWOOLE_VALUE_INVALID, _MEMORY_FULL. */
  async getInfo (id: string): Promise<LimitInfo> {
    this.#require(id, 1)
    const { isEnabled } = this.#family
    const nowMs = isEnabled ? this.#look(id) : Date.now()
    const out = isEnabled ? tokensOut(this.#before, this.#now) : 0
    const { remaining, resetMs, retryAfterMs } = this.#verdict(true, out, 1)
    const { maxRequests } = this.rate
    return {
      allowed: remaining >= 1,
      remaining,
      resetAt: new Date(nowMs + resetMs),
      currentCount: maxRequests - remaining,
      retryAfterMs: remaining >= 1 ? 0 : retryAfterMs
    }
  }

  /** Fills the id's bucket. Rejects with FST_SWOOLE_VALUE_INVALID, _MEMORY_FULL. */
  async reset (id: string): Promise<void> {
    this.#require(id, 1)
    if (!this.#family.isEnabled) return
    const pool = this.#family.pool()
    const found = pool.enter(this.#space ??= this.#open(), id)
    if (found !== 0) pool.forget(found)
    pool.leave()
  }

  /**
   * A limiter of its own name, with buckets of its own. The name with the same options is the same limiter, in all
   * workers; new code may give the name other options, and then begins with full buckets.
   * Throws FST_SWOOLE_OPTIONS_INVALID, and FST_SWOOLE_SCHEMA_MISMATCH when this application has it with other options.
   */
  create (name: string, options: RateOptions): SharedRateLimiter {
    return this.#family.create(name, options)
  }

  /** Of the keys of all limiters of the application. */
  stats (): LruStats {
    return this.#family.pool().stats()
  }

  /** The arrival of the id's bucket after it, NaN when there are too few tokens; in `#before` and `#now`, that before it, and the time in tokens. */
  #take (id: string, cost: number): number {
    const { rate } = this
    const { clock } = this.#family
    const pool = this.#family.pool()
    const found = pool.enter(this.#space ??= this.#open(), id)
    let nowMs = found === 0 ? clock.read() : clock.now()
    let before = found === 0 ? NO_ARRIVAL : pool.time(found)
    let now = tokensAt(nowMs, rate)
    let arrival = taken(before, now, cost, rate)
    let isAdmitted = arrival === arrival // eslint-disable-line no-self-compare -- NaN is refused
    if (!isAdmitted) {
      // It may be later than the clock of a busy time says, so that there are enough.
      nowMs = clock.read()
      now = tokensAt(nowMs, rate)
      if (found !== 0) before = this.#arrivalIn(pool, found, nowMs, now)
      arrival = taken(before, now, cost, rate)
      isAdmitted = arrival === arrival // eslint-disable-line no-self-compare -- NaN is refused
    }
    // One that is refused is in use as well: its limit must not go for the keys of others.
    if (isAdmitted || found !== 0) {
      const payload = pool.use(found, nowMs)
      if (isAdmitted) pool.setTime(payload, arrival, nowMs + millisecondsOf(arrival - now, rate))
    }
    pool.leave()
    this.#before = before
    this.#now = now
    return arrival
  }

  /** The time; in `#before` the arrival of the id's bucket, and in `#now` the time in tokens. */
  #look (id: string): number {
    const pool = this.#family.pool()
    const found = pool.enter(this.#space ??= this.#open(), id)
    const nowMs = Date.now()
    this.#now = tokensAt(nowMs, this.rate)
    this.#before = found === 0 ? NO_ARRIVAL : this.#arrivalIn(pool, found, nowMs, this.#now)
    pool.leave()
    return nowMs
  }

  /**
   * The arrival of a key that is entered, by a time that was read since. With a clock that was put back more tokens seem to be out than
   * there are: then the bucket is empty from now on, and full in a window.
   */
  #arrivalIn (pool: LimiterPool, payload: number, nowMs: number, now: number): number {
    const arrival = pool.time(payload)
    const latest = latestArrival(now, this.rate)
    if (arrival <= latest) return arrival
    pool.setTime(payload, latest, nowMs + this.rate.windowMs)
    return latest
  }

  #verdict (allowed: boolean, out: number, cost: number): Verdict {
    const { maxRequests } = this.rate
    const short = cost > maxRequests ? maxRequests : out + cost - maxRequests
    return {
      allowed,
      // An admission that a rounding of the clock made possible leaves none.
      remaining: Math.max(0, Math.floor(maxRequests - out)),
      resetMs: Math.max(0, Math.ceil(millisecondsOf(out, this.rate) - ROUNDING_MS)),
      retryAfterMs: Math.max(0, Math.ceil(millisecondsOf(short, this.rate)))
    }
  }

  #open (): LimitSpace {
    const { maxRequests, windowMs } = this.rate
    return this.#family.pool().space(`${this.name}\0${maxRequests}\0${windowMs}`)
  }

  #require (id: string, cost: number): void {
    if (typeof id !== 'string') throw new ValueInvalidError(`The id given to the rate limiter "${this.name}"`, showValue(id), 'a string')
    if (!Number.isSafeInteger(cost) || cost < 1) throw new ValueInvalidError(`The cost given to the rate limiter "${this.name}"`, showValue(cost), 'a whole number from 1')
  }
}

/** The limiters of one application. */
export class Family {
  readonly isEnabled: boolean
  readonly clock = new BusyClock()
  readonly #openPool: () => LimiterPool
  readonly #limiters = new Map<string, SharedRateLimiter>()
  #pool: LimiterPool | undefined

  constructor (openPool: () => LimiterPool, isEnabled: boolean) {
    this.#openPool = openPool
    this.isEnabled = isEnabled
  }

  /** Takes its memory when it is first used. */
  pool (): LimiterPool {
    this.#pool ??= this.#openPool()
    return this.#pool
  }

  /** The limiter of this name; or `twin`, whose buckets are taken from instead, if that has the same rate. */
  create (name: string, options: RateOptions, twin?: SharedRateLimiter): SharedRateLimiter {
    if (typeof name !== 'string' || name === '') throw new OptionsInvalidError(`The name of a rate limiter is ${showValue(name)}, but must be a string of at least one character`)
    const rate = rateOf(name, options)
    if (twin !== undefined && isSameRate(twin.rate, rate)) return twin
    const known = this.#limiters.get(name)
    if (known === undefined) {
      const limiter = new SharedRateLimiter(name, rate, this)
      this.#limiters.set(name, limiter)
      return limiter
    }
    if (isSameRate(known.rate, rate)) return known
    throw new SchemaMismatchError(`The rate limiter "${name}"`, JSON.stringify(known.rate), JSON.stringify(rate))
  }
}

function rateOf (name: string, options: RateOptions): Rate {
  requireNames(`The options of the rate limiter "${name}"`, options ?? null, ['maxRequests', 'window'])
  const { maxRequests, window } = options
  if (!Number.isInteger(maxRequests) || maxRequests < 1 || maxRequests > MOST_REQUESTS) {
    throw new OptionsInvalidError(`maxRequests of the rate limiter "${name}" is ${showValue(maxRequests)}, but must be a whole number from 1 to ${MOST_REQUESTS}`)
  }
  const windowMs = parseDuration(window, `window of the rate limiter "${name}"`)
  if (windowMs < 1) throw new OptionsInvalidError(`window of the rate limiter "${name}" is ${showValue(window)}, but must be at least 1 ms`)
  return { maxRequests, windowMs }
}
