import { randomBytes } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { CacheStore } from '../store.ts'
import { isFailure } from './keeping.ts'
import type { Lead } from './keeping.ts'
import { findPlace } from './kept.ts'
import type { Place } from './kept.ts'
import type { Fields } from './policy.ts'
import type { CachedRoute } from './route-options.ts'

/** Its value is a secret of this process, and of one request. */
const TICKET = 'x-fastify-swoole-refresh'
/** Then another worker may try. */
const LONGEST_MS = 30_000
/** An answer that could not be renewed is left alone for so long. */
const REST_MS = 1000

/** Of the connection, or about the answer that the client has. */
const NOT_PASSED_ON = /^(?::|if-|proxy-)|^(?:connection|keep-alive|transfer-encoding|content-length|te|expect|upgrade|http2-settings|cache-control|pragma)$/

/**
 * Requests of the application to itself, which make a new answer while the stale one is given: one for a key over all workers.
 * They carry the fields of the request that met the stale one, as hooks may ask for any of them; credentials and cookies are
 * not among them, since requests with these pass by the cache.
 */
export class Refreshes {
  readonly #fastify: FastifyInstance
  readonly #tickets = new Map<string, { lead: Lead, protocol: string }>()
  readonly #resting = new Set<string>()

  constructor (fastify: FastifyInstance) {
    this.#fastify = fastify
  }

  start (store: CacheStore, route: CachedRoute, request: FastifyRequest, stale: Place): void {
    if (this.#resting.has(stale.key)) return
    try {
      this.#start(store, route, request, stale)
    } catch (error) {
      store.log.error({ key: stale.key, err: error }, 'a stale answer could not be renewed')
    }
  }

  /** What this request is to make, when it is one of these. */
  take ({ raw }: FastifyRequest): Lead | undefined {
    if (this.#tickets.size === 0) return undefined
    const ticket = raw.headers[TICKET] as string | undefined
    const taken = ticket === undefined ? undefined : this.#tickets.get(ticket)
    if (taken === undefined) return undefined
    this.#tickets.delete(ticket!)
    delete raw.headers[TICKET]
    // The handler may write URLs of its own into the answer.
    if (taken.protocol === 'https') Object.assign(raw.socket, { encrypted: true })
    return taken.lead
  }

  #start (store: CacheStore, route: CachedRoute, request: FastifyRequest, { space, urlKey, key }: Place): void {
    const epoch = store.epoch()
    const flight = store.flights.claim(space, key, { follows: false })
    if (!flight.isLeader) return
    const place = findPlace(store, urlKey, request.headers, route, Date.now(), 'look')
    if (place.key !== key || place.kept?.isStale !== true) return store.flights.end(flight)

    const ticket = randomBytes(16).toString('hex')
    this.#tickets.set(ticket, { lead: { place, flight, epoch }, protocol: request.protocol })
    const timer = setTimeout(() => store.flights.end(flight), LONGEST_MS).unref()
    const fail = (fields: object, why: string) => {
      this.#resting.add(key)
      setTimeout(() => this.#resting.delete(key), REST_MS).unref()
      store.log.warn({ key, ...fields }, `a stale answer could not be renewed${why}`)
    }
    this.#ask(request, ticket).then(({ statusCode }) => {
      if (this.#tickets.has(ticket)) fail({ statusCode }, ': the request for another did not come to its handler')
      else if (isFailure(statusCode)) fail({ statusCode }, ': its handler failed')
    }, (error) => fail({ err: error }, '')).finally(() => {
      clearTimeout(timer)
      if (this.#tickets.delete(ticket)) store.flights.end(flight)
    })
  }

  #ask (request: FastifyRequest, ticket: string) {
    const headers: Record<string, string | string[]> = { host: request.host, [TICKET]: ticket }
    for (const [name, value] of Object.entries(request.raw.headers as Fields)) {
      if (value !== undefined && !NOT_PASSED_ON.test(name)) headers[name] = Array.isArray(value) ? value : String(value)
    }
    // What `rewriteUrl` makes of it, it makes of it again.
    return this.#fastify.inject({ method: 'GET', url: request.originalUrl, headers, remoteAddress: request.raw.socket.remoteAddress ?? '' })
  }
}
