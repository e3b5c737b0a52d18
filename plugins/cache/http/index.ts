/*
 * Whole answers kept for all, by RFC 9111: what one would put Varnish before an application for. A route says so in
 * `config.cache`; the decisions are in policy.ts, conditional.ts and keys.ts, what happens to a request in visit.ts, and to the
 * answer that its handler makes in keeping.ts.
 */
import type { DoneFuncWithErrOrRes, FastifyInstance, FastifyReply, FastifyRequest, RouteOptions, onSendHookHandler, preHandlerHookHandler } from 'fastify'
import type { CacheStore } from '../store.ts'
import { forwardStatus } from './cache-status.ts'
import { entityTagOf } from './conditional.ts'
import { isKept } from './keeping.ts'
import { urlKey } from './keys.ts'
import { namesIn, wishOf } from './policy.ts'
import { Refreshes } from './refreshes.ts'
import { cachedRoute } from './route-options.ts'
import type { CachedRoute, RouteCache } from './route-options.ts'
import { lead, receive } from './visit.ts'

export type { RouteCache } from './route-options.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** true, or how: answers to GET and HEAD are kept and given to all who ask for the same. */
    cache?: boolean | RouteCache
  }
}

const DEFAULT_TTL_MS = 3_600_000
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'SEARCH', 'PROPFIND', 'REPORT'])

/**
 * Keeps the answers of the routes that are added from now on and say so in `config.cache`, and removes those of a URL when
 * a request that changes something there has succeeded.
 * Adding a route throws FST_SWOOLE_OPTIONS_INVALID, FST_SWOOLE_DURATION_INVALID.
 */
export function cacheAnswers (fastify: FastifyInstance, store: () => CacheStore, defaultTtlMs = DEFAULT_TTL_MS): void {
  const refreshes = new Refreshes(fastify)
  const answered = new WeakSet<FastifyRequest>()
  let isUsed = false

  fastify.addHook('onRoute', function (route) {
    const config = route.config?.cache ?? false
    if (config !== false) {
      const cached = cachedRoute(route, config, defaultTtlMs)
      isUsed = true
      const answer = answerHook(cached)
      route.onSend = [...[route.onSend ?? []].flat(), completeHook(cached)]
      // Behind the hooks that others' onRoute hooks add as well.
      this.after(() => keepLast(route, answer))
    } else if ([route.method].flat().some((method) => !SAFE.has(method))) {
      route.onSend = [...[route.onSend ?? []].flat(), invalidate]
      route.onResponse = [...[route.onResponse ?? []].flat(), invalidateHijacked]
    }
  })

  /**
   * The last of all hooks before the handler: whoever may not have the answer (authentication in onRequest, preValidation or
   * preHandler, limits, a schema) has been refused before.
   */
  function answerHook (route: CachedRoute): preHandlerHookHandler {
    return (request, reply, done) => {
      const refresh = refreshes.take(request)
      if (refresh !== undefined) {
        lead({ store: store(), route, request, reply }, refresh)
        return done()
      }
      const wish = wishOf(request.headers)
      let key: string | undefined
      try {
        key = wish.mayStore ? route.keyOf(request) : undefined
      } catch (error) {
        return done(error as Error)
      }
      if (key !== undefined) return receive({ store: store(), route, request, reply, urlKey: key, wish, refreshes, done })
      reply.header('cache-status', forwardStatus('bypass'))
      done()
    }
  }

  /** RFC 9111, section 4.4. Before the client has its answer, so that what it asks for next is not the old one. */
  function invalidate (request: FastifyRequest, { statusCode }: FastifyReply, payload: unknown, done: DoneFuncWithErrOrRes): void {
    if (isUsed && statusCode >= 200 && statusCode < 400 && !SAFE.has(request.method)) {
      try {
        store().delete(store().answers, urlKey(request))
      } catch (error) {
        request.log.error({ err: error, url: request.url }, 'the answers of a URL that was changed could not be removed from the cache')
      }
    }
    answered.add(request)
    done(null, payload)
  }

  /** For an answer that its handler sent past Fastify, which is seen when its client has it. */
  function invalidateHijacked (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    if (answered.has(request)) return done()
    invalidate(request, { statusCode: reply.raw.statusCode } as FastifyReply, undefined, () => done())
  }
}

/** Other plugins may add hooks to the route until Fastify reads them: they come before this one all the same. */
function keepLast (route: RouteOptions, last: preHandlerHookHandler): void {
  let hooks = [route.preHandler ?? []].flat()
  Object.defineProperty(route, 'preHandler', {
    get () {
      const at = hooks.indexOf(last)
      if (at !== -1) hooks.splice(at, 1)
      hooks.push(last)
      return hooks
    },
    set (given: RouteOptions['preHandler']) {
      hooks = [given ?? []].flat()
    },
    enumerable: true,
    configurable: true
  })
}

/** Gives an answer what it needs to be kept: a tag, and the names of what it varies by, for the caches behind this one as well. */
function completeHook ({ vary }: CachedRoute): onSendHookHandler {
  return (request, reply, payload, done) => {
    const named = namesIn(reply.getHeader('vary'))
    const unnamed = named.includes('*') ? [] : vary.filter((name) => !named.includes(name))
    if (unnamed.length > 0) reply.header('vary', [...named, ...unnamed].join(', '))
    const isWhole = typeof payload === 'string' || Buffer.isBuffer(payload)
    if (isWhole && reply.statusCode === 200 && isKept(request) && !reply.hasHeader('etag')) reply.header('etag', entityTagOf(payload))
    done(null, payload)
  }
}
