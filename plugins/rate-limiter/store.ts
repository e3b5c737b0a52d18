import { nameOf } from './route-name.ts'
import type { RouteName } from './route-name.ts'
import type { LimitSpace, LimiterPool } from './pool.ts'

/** What `@fastify/rate-limit` gives to its store: of the plugin, and merged with a route's own. */
export interface StoreOptions {
  continueExceeding?: boolean
  exponentialBackoff?: boolean
  nameSpace?: string
  groupId?: string
  routeInfo?: RouteName
}

type Callback = (error: Error | null, result?: { current: number, ttl: number }) => void

const MOST_COUNTED = 2 ** 31 - 1

/**
 * A store for `@fastify/rate-limit` whose windows all workers share: a count that starts with the first request and ends
 * `timeWindow` later. Each request is counted once, whichever worker has it.
 */
export class FixedWindowStore {
  readonly #pool: () => LimiterPool
  readonly #options: StoreOptions
  readonly #name: string
  #space: LimitSpace | undefined
  #handlers = 0

  constructor (pool: () => LimiterPool, options: StoreOptions = {}, name = `windows of ${options.nameSpace ?? ''}`) {
    this.#pool = pool
    this.#options = options
    this.#name = name
  }

  /**
   * The store of a route with limits of its own: its counts are its own, or its group's. A handler that
   * `fastify.rateLimit()` makes is of no route: the first one of every worker is the same, and so on. `options` are those of
   * the plugin and the route in one, for which `@fastify/rate-limit` has no type.
   */
  child (options: object): FixedWindowStore {
    const { groupId, routeInfo } = options as StoreOptions
    const handler = routeInfo?.url === undefined ? `handler ${++this.#handlers}` : nameOf(routeInfo)
    const route = groupId === undefined ? handler : `group ${groupId}`
    return new FixedWindowStore(this.#pool, options, `${this.#name}\0${route}`)
  }

  /** Counts a request: how many there were in this window, and how many milliseconds it has left. */
  incr (key: string | number, callback: Callback, timeWindow: number, max: number): void {
    let current: number
    let ttl: number
    try {
      const now = Date.now()
      const pool = this.#pool()
      const found = pool.enter(this.#space ??= pool.space(this.#name), String(key))
      const payload = pool.use(found, now)
      const end = pool.time(payload)
      const isOpen = end > now
      const count = isOpen ? pool.count(payload) : 0
      const left = isOpen ? Math.min(end - now, this.#longest(count, timeWindow, max)) : timeWindow
      current = Math.min(count + 1, MOST_COUNTED)
      ttl = this.#ttl(current, left, timeWindow, max)
      // Cut off between the two, a new window has the old count for a moment longer: never fewer are counted than came.
      pool.setCount(payload, current)
      pool.setTime(payload, now + ttl, now + ttl)
      pool.leave()
    } catch (error) {
      return callback(error as Error)
    }
    callback(null, { current, ttl })
  }

  /** The same without counting one. Without a `timeWindow` nobody knows whether what is left is too much. */
  read (key: string | number, callback: Callback, timeWindow = Infinity, max = Infinity): void {
    let current = 0
    let ttl = 0
    try {
      const now = Date.now()
      const pool = this.#pool()
      const found = pool.enter(this.#space ??= pool.space(this.#name), String(key))
      const end = found === 0 ? 0 : pool.time(found)
      if (end > now) {
        current = pool.count(found)
        ttl = Math.min(end - now, this.#longest(current, timeWindow, max))
      }
      pool.leave()
    } catch (error) {
      return callback(error as Error)
    }
    callback(null, { current, ttl })
  }

  /** What is left of a window after that many at most: more only where the clock has been put back. */
  #longest (count: number, timeWindow: number, max: number): number {
    if (count <= max || this.#options.continueExceeding || !this.#options.exponentialBackoff) return timeWindow
    return Math.min(timeWindow * 2 ** (count - max - 1), Number.MAX_SAFE_INTEGER)
  }

  #ttl (current: number, left: number, timeWindow: number, max: number): number {
    const { continueExceeding, exponentialBackoff } = this.#options
    return current > max && (continueExceeding || exponentialBackoff) ? this.#longest(current, timeWindow, max) : left
  }
}
