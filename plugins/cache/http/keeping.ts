import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Flight } from '../flights.ts'
import type { CacheStore } from '../store.ts'
import { encodeAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import { forwardStatus } from './cache-status.ts'
import { entityTagOf, isUnchanged } from './conditional.ts'
import { PASS, isVariants, mayStandForError, newVariants } from './kept.ts'
import type { Place } from './kept.ts'
import { keptFields } from './kept-fields.ts'
import { variantKey } from './keys.ts'
import { freshnessOf, namesIn } from './policy.ts'
import type { Fields, Freshness } from './policy.ts'
import { Recording } from './recording.ts'
import type { Listener, Plan, RecordedBody } from './recording.ts'
import type { CachedRoute } from './route-options.ts'
import { fieldsFor, withoutBody } from './send.ts'

/** An answer that this worker makes for all. */
export interface Lead {
  place: Place
  flight: Flight
  /** When the flight began, in invalidations. */
  epoch: number
}

const PASS_MS = 5000
const PASS_AFTER_ERROR_MS = 1000
/** What answers vary by outlives them, but for a few that have to be made once more then. */
const VARIANTS_MS = 24 * 3_600_000

/** Keeps the answer to a request when it may be kept, leaves a mark for others when not, and ends the flight in every case. */
export function keep (store: CacheStore, route: CachedRoute, request: FastifyRequest, reply: FastifyReply, lead: Lead): void {
  const keeping = new Keeping(store, route, request, reply, lead)
  new Recording(reply.raw, store.maxBytes, keeping).start()
  keptRequests.add(request)
}

/** Whether its answer is one that `keep` listens to. */
export const isKept = (request: FastifyRequest): boolean => keptRequests.has(request)
const keptRequests = new WeakSet<FastifyRequest>()

class Keeping implements Listener {
  readonly #store: CacheStore
  readonly #route: CachedRoute
  readonly #request: FastifyRequest
  readonly #lead: Lead
  /** What hooks have set before the handler. */
  readonly #own: Fields
  readonly #conditions: Fields
  #status = 0
  #headers: Fields = {}
  #madeMs = 0
  #freshness: Freshness | undefined

  constructor (store: CacheStore, route: CachedRoute, request: FastifyRequest, reply: FastifyReply, lead: Lead) {
    this.#store = store
    this.#route = route
    this.#request = request
    this.#lead = lead
    this.#own = reply.getHeaders() as Fields
    this.#conditions = takeConditions(request.raw.headers)
  }

  planFor (status: number, headers: Fields): Plan {
    const { kept, forward } = this.#lead.place
    const nowMs = Date.now()
    this.#status = status
    this.#headers = headers
    this.#madeMs = nowMs
    this.#freshness = freshnessOf(status, headers, this.#route.freshness)
    const isKept = this.#freshness !== undefined && Number(headers['content-length'] ?? 0) <= this.#store.maxBytes
    if (status >= 500 && kept !== undefined && mayStandForError(kept, nowMs)) {
      const cacheStatus = forwardStatus(forward, { status })
      return { isKept, cacheStatus, instead: fieldsFor(kept, { ...this.#own }, nowMs) }
    }
    const unchanged = status === 200 && isUnchanged(this.#conditions, headers) ? { status: 304, headers: withoutBody(headers) } : undefined
    return { isKept, cacheStatus: forwardStatus(forward, { isStored: isKept }), instead: unchanged }
  }

  mayKeep (headers: Fields): boolean {
    return freshnessOf(this.#status, headers, this.#route.freshness) !== undefined
  }

  finished (body: RecordedBody): void {
    const { place, flight } = this.#lead
    let leave: (() => void) | undefined
    try {
      if (Buffer.isBuffer(body)) this.#keep(body)
      else if (body === 'too large') this.#pass(PASS_MS)
      else if (body !== 'left') leave = this.#refuse(body === 'broken off' || this.#status >= 500)
    } catch (error) {
      this.#store.log.error({ err: error, key: place.key }, 'an answer could not be kept in the cache')
      leave = () => this.#store.leave(flight, { alone: true })
    }
    try {
      this.#store.flights.end(flight, leave)
    } catch (error) {
      this.#store.log.error({ err: error, key: place.key }, 'those who wait for an answer could not be told that there is none')
    }
  }

  #keep (body: Buffer): void {
    const { place, flight, epoch } = this.#lead
    const { ttlMs, staleMs, errorMs } = this.#freshness!
    const headers = keptFields(this.#headers, this.#own)
    headers.etag ??= entityTagOf(body)
    const bytes = encodeAnswer({ status: this.#status, headers, staleMs, errorMs, body } satisfies Answer)
    const tags = this.#route.tagsOf(this.#request)
    // Its body may have taken long.
    const nowMs = this.#madeMs
    const longestMs = ttlMs + Math.max(staleMs, errorMs)
    if (nowMs + longestMs <= Date.now()) return
    const key = this.#keyFor(Date.now())
    if (key === undefined) return
    const outcome = this.#store.write(place.space, key, bytes, { nowMs, ttlMs, staleMs: longestMs - ttlMs, tags, flight, sinceEpoch: epoch })
    if (outcome === 'too large') this.#pass(PASS_MS)
  }

  /** Where the answer is to stand; undefined: what it was made for has been removed meanwhile. */
  #keyFor (nowMs: number): string | undefined {
    const { place: { space, urlKey, key, variants }, flight } = this.#lead
    const names = new Set([...this.#route.vary, ...namesIn(this.#headers.vary)])
    if (variants === undefined) return names.size === 0 && this.#route.constraints === '' ? key : this.#varyBy(names, flight, nowMs)
    if (names.isSubsetOf(new Set(variants.names))) return key

    // What stands for the URL is of no flight of this worker yet.
    const { flights } = this.#store
    const ofUrl = flights.claim(space, urlKey, { follows: false })
    if (!ofUrl.isLeader) return undefined
    try {
      const now = this.#store.look(space, urlKey, nowMs)?.value
      return isVariants(now) && now.id === variants.id ? this.#varyBy(names.union(new Set(variants.names)), ofUrl, nowMs) : undefined
    } finally {
      flights.end(ofUrl)
    }
  }

  #varyBy (names: ReadonlySet<string>, flight: Flight, nowMs: number): string | undefined {
    const { space, urlKey } = this.#lead.place
    const variants = newVariants([...names].sort())
    if (this.#store.write(space, urlKey, variants, { nowMs, ttlMs: VARIANTS_MS, flight }) !== 'written') return undefined
    return variantKey(variants, this.#request.headers, this.#route.constraints)
  }

  /**
   * Else those who wait would make their answers one after another, each of them for nothing. An error does not tell that the
   * answer that is kept is out of date: then it stays, and is returned what to leave for those who wait.
   */
  #refuse (isError: boolean): (() => void) | undefined {
    const { place: { kept }, flight } = this.#lead
    if (kept !== undefined && (isError || isFailure(this.#status))) return () => this.#store.leave(flight, { alone: true })
    this.#pass(isError ? PASS_AFTER_ERROR_MS : PASS_MS)
  }

  #pass (ttlMs: number): void {
    const { place: { space, key }, flight } = this.#lead
    this.#store.write(space, key, PASS, { nowMs: Date.now(), ttlMs, flight })
  }
}

/** It tells of the request, or of a fault, and not that what was there is gone. */
export const isFailure = (status: number): boolean => status >= 400 && status !== 404 && status !== 410

/** A handler that answers 304 would leave nothing to keep: whether the client has the answer is found out when it is there. */
function takeConditions (headers: Fields): Fields {
  const conditions = { 'if-none-match': headers['if-none-match'], 'if-modified-since': headers['if-modified-since'] }
  delete headers['if-none-match']
  delete headers['if-modified-since']
  return conditions
}
