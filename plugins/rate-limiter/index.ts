import fp from 'fastify-plugin'
import type { FastifyPluginAsync, RouteOptions, onRequestHookHandler } from 'fastify'
import { OptionsInvalidError } from '../errors.ts'
import { requireNames, resolveOptions } from '../options/index.ts'
import type { ResolvedOptions } from '../options/index.ts'
import { showValue } from '../options/show.ts'
import { memoryFor } from '../shared-memory/index.ts'
import { LIMIT_HEADERS, limitHook } from './hook.ts'
import type { LimitHeaders, RouteLimit } from './hook.ts'
import { Family } from './memory.ts'
import type { RateOptions, SharedRateLimiter } from './memory.ts'
import { LimiterPool, defaultMaxKeys } from './pool.ts'
import { nameOf } from './route-name.ts'
import { FixedWindowStore } from './store.ts'
import type { StoreOptions } from './store.ts'

export { clientKey } from './client-key.ts'
export { BYTES_PER_KEY } from './pool.ts'
export type { LimitInfo, RateOptions, SharedRateLimiter } from './memory.ts'
export type { LimitHeaders, RouteLimit } from './hook.ts'
export type { FixedWindowStore, StoreOptions } from './store.ts'

export interface RateLimiterOptions extends Partial<RateOptions> {
  /** false: everything is allowed. */
  enabled?: boolean
  /** true: every route is limited that does not say `config.rateLimiter: false`. */
  global?: boolean
  /**
   * Keys that all limiters together remember, 1 to 10,000,000; the least recently used go for others. Default: 100,000, or as
   * many as an eighth of `memory.size` has room for.
   */
  maxKeys?: number | null
  /** Which fields of the answers tell clients how they stand. */
  headers?: LimitHeaders
}

/** The limiter of the application, and what the plugin adds to it. */
export interface RateLimiterDecorator extends SharedRateLimiter {
  /** The class that `@fastify/rate-limit` takes as its option `store`. */
  readonly Store: new (options?: StoreOptions) => FixedWindowStore
}

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * A token bucket for each id that all workers share, with the options of the plugin; `create` makes others.
     * After the original's `RateLimiter`.
     */
    rateLimiter: RateLimiterDecorator
  }

  interface FastifyContextConfig {
    /**
     * true: the route takes from the buckets of `fastify.rateLimiter`. With `maxRequests` and `window`: from buckets of its
     * own. false: it is not limited.
     */
    rateLimiter?: boolean | (RouteLimit & Partial<RateOptions>)
  }
}

const ROUTE_NAMES = ['maxRequests', 'window', 'keyGenerator', 'cost', 'headers'] as const

const rateLimiter: FastifyPluginAsync<RateLimiterOptions> = async (fastify, given) => {
  const { enabled, global, maxRequests, window, maxKeys, headers } = resolveOptions({ rateLimiter: given }).rateLimiter as Exclude<ResolvedOptions['rateLimiter'], false>
  const memory = memoryFor(fastify.server)
  const family = new Family(() => new LimiterPool(memory, maxKeys ?? defaultMaxKeys(memory.region.bytes)), enabled)
  const limiter = family.create('default', { maxRequests, window })
  let isUsed = false
  class Store extends FixedWindowStore {
    constructor (options?: StoreOptions) {
      super(() => family.pool(), options)
      isUsed = true
    }
  }
  fastify.decorate('rateLimiter', Object.assign(limiter, { Store }))

  // A HEAD route takes from the buckets of the GET route, unless its rate is another.
  const ofGet = new Map<string, SharedRateLimiter>()
  fastify.addHook('onRoute', (route) => {
    const config = route.config?.rateLimiter ?? global
    if (config === false || !enabled) return
    const limit = config === true ? {} : config
    requireRouteLimit(route, limit)
    isUsed = true
    const isOwn = limit.maxRequests !== undefined || limit.window !== undefined
    const get = nameOf({ ...route, method: 'GET' })
    const twin = route.method === 'HEAD' ? ofGet.get(get) : undefined
    const limiterOf = (twin?: SharedRateLimiter) => isOwn ? family.create(nameOf(route), { maxRequests: limit.maxRequests ?? maxRequests, window: limit.window ?? window }, twin) : limiter
    const own = limiterOf(twin)
    requirePayable(route, limit, own)
    if (isOwn && [route.method].flat().includes('GET')) ofGet.set(get, own)
    const options = { ...limit, headers: limit.headers ?? headers }
    const hook = isOwn && route.method === 'HEAD' && twin === undefined
      ? whenAsked(() => limitHook(limiterOf(ofGet.get(get)), options))
      : limitHook(own, options)
    route.onRequest = [hook, ...[route.onRequest ?? []].flat()]
  })
  // With too little memory the start fails, and not each request.
  fastify.addHook('onReady', async () => { if (isUsed) family.pool() })
  fastify.addHook('onClose', async () => memory.close())
}

/** A GET route may be added later than the HEAD route that takes from its buckets: it is looked for at the first request. */
function whenAsked (make: () => onRequestHookHandler): onRequestHookHandler {
  let hook: onRequestHookHandler | undefined
  return function (request, reply, done) {
    hook ??= make()
    hook.call(this, request, reply, done)
  }
}

function requireRouteLimit (route: RouteOptions, limit: RouteLimit & Partial<RateOptions>): void {
  const what = `config.rateLimiter of the route ${nameOf(route)}`
  requireNames(what, limit, ROUTE_NAMES)
  const { keyGenerator, cost, headers } = limit
  if (keyGenerator !== undefined && typeof keyGenerator !== 'function') throw new OptionsInvalidError(`keyGenerator in ${what} is ${showValue(keyGenerator)}, but must be a function`)
  if (cost !== undefined && (!Number.isSafeInteger(cost) || cost < 1)) throw new OptionsInvalidError(`cost in ${what} is ${showValue(cost)}, but must be a whole number from 1`)
  if (headers !== undefined && !LIMIT_HEADERS.includes(headers)) throw new OptionsInvalidError(`headers in ${what} is ${showValue(headers)}, but must be one of ${LIMIT_HEADERS.join(', ')}`)
}

function requirePayable (route: RouteOptions, { cost = 1 }: RouteLimit, { rate: { maxRequests } }: SharedRateLimiter): void {
  if (cost > maxRequests) throw new OptionsInvalidError(`cost in config.rateLimiter of the route ${nameOf(route)} is ${cost}, but must be at most the ${maxRequests} tokens that a bucket holds: no request would ever be admitted`)
}

export default fp(rateLimiter, { fastify: '5.x', name: 'fastify-swoole-rate-limiter' })
