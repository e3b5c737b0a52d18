import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Flight } from '../flights.ts'
import type { CacheStore } from '../store.ts'
import { forwardStatus } from './cache-status.ts'
import type { Forward } from './cache-status.ts'
import { keep } from './keeping.ts'
import type { Lead } from './keeping.ts'
import { findPlace, mayRevalidate, mayStandForError } from './kept.ts'
import type { KeptAnswer, Place, Reading } from './kept.ts'
import type { Wish } from './policy.ts'
import type { Refreshes } from './refreshes.ts'
import type { CachedRoute } from './route-options.ts'
import { sendKept } from './send.ts'

/** A request that the cache may answer. */
export interface Visit {
  store: CacheStore
  route: CachedRoute
  request: FastifyRequest
  reply: FastifyReply
  urlKey: string
  wish: Wish
  refreshes: Refreshes
  /** Goes on to the handler, or with an error. */
  done: (error?: Error) => void
}

/** What is to be done with it. */
type Decision =
  | { to: 'answer', kept: KeptAnswer, stale?: Place }
  | { to: 'follow', flight: Flight }
  | { to: 'lead', lead: Lead }
  | { to: 'compute', forward: Forward }
  | { to: 'refuse' }

/** So long all wait for what another request computes, before one of them computes it beside that, for all. */
const WAIT_MS = 30_000
const COMPLAINT_EVERY_MS = 10_000

/** Answers the request, at once or when another one has its answer, or lets it go on to the handler. */
export function receive (visit: Visit): void {
  const decision = decide(visit, 'read')
  if (decision.to !== 'follow') return act(visit, decision)
  follow(visit, decision.flight).then((decision) => {
    if (decision !== undefined) act(visit, decision, 'uri-miss')
  }).catch(visit.done)
}

function act (visit: Visit, decision: Exclude<Decision, { to: 'follow' }>, collapsed?: Forward): void {
  const { request, reply, done } = visit
  switch (decision.to) {
    case 'answer':
      sendKept(request, reply, decision.kept, Date.now(), collapsed)
      if (decision.stale !== undefined) visit.refreshes.start(visit.store, visit.route, request, decision.stale)
      return
    case 'refuse':
      reply.code(504).send({ statusCode: 504, error: 'Gateway Timeout', message: 'There is no such answer in the cache, and the request wants no other (only-if-cached)' })
      return
    case 'lead':
      lead(visit, decision.lead)
      return done()
    case 'compute':
      reply.header('cache-status', forwardStatus(decision.forward))
      done()
  }
}

/** The answer that the handler will make is kept for all. */
export function lead ({ store, route, request, reply }: Pick<Visit, 'store' | 'route' | 'request' | 'reply'>, lead: Lead): void {
  try {
    keep(store, route, request, reply, lead)
  } catch (error) {
    store.log.error({ err: error, key: lead.place.key }, 'an answer could not be kept in the cache')
    store.flights.end(lead.flight)
  }
}

function decide (visit: Visit, reading: Reading, isAlone = false): Decision {
  try {
    return lookAndDecide(visit, reading, isAlone)
  } catch (error) {
    // What the cache cannot do, the handler can.
    complain(visit, error, 'the cache could not be asked for an answer')
    return { to: 'compute', forward: 'miss' }
  }
}

/** Memory that is full is so for each request. */
function complain ({ store, urlKey }: Visit, error: unknown, message: string): void {
  const nowMs = performance.now()
  if (nowMs - complainedAtMs < COMPLAINT_EVERY_MS) return
  complainedAtMs = nowMs
  store.log.error({ err: error, key: urlKey }, message)
}

let complainedAtMs = -Infinity

function lookAndDecide (visit: Visit, reading: Reading, isAlone: boolean): Decision {
  const { request, reply, wish } = visit
  const nowMs = Date.now()
  const place = placeOf(visit, nowMs, reading)
  const answer = answerIn(place, wish, nowMs)
  if (answer !== undefined) return answer
  if (wish.onlyIfCached) return { to: 'refuse' }
  const { kept, isPassed } = place
  // One that has an answer before it wants a newer one: those who want just any do not wait for that, nor it for others.
  const wantsNewer = !wish.mayAnswer || kept?.isStale === false
  if (wantsNewer) place.forward = 'request'
  if (isPassed || request.method === 'HEAD' || reply.raw.destroyed) return { to: 'compute', forward: place.forward }
  if (!isAlone) return takeOff(visit, place, wantsNewer)
  return kept !== undefined && mayStandForError(kept, nowMs) ? { to: 'answer', kept } : { to: 'compute', forward: place.forward }
}

function placeOf ({ store, urlKey, request, route }: Visit, nowMs: number, reading: Reading): Place {
  return findPlace(store, urlKey, request.headers, route, nowMs, reading)
}

function answerIn (place: Place, wish: Wish, nowMs: number): Decision | undefined {
  const { kept } = place
  if (kept === undefined || !wish.mayAnswer) return undefined
  const { createdMs, expiresMs, isStale } = kept
  if (!isStale) return nowMs - createdMs < wish.maxAgeMs && expiresMs - nowMs >= wish.minFreshMs ? { to: 'answer', kept } : undefined
  const takesAny = wish.maxAgeMs === Infinity && wish.minFreshMs === 0
  return takesAny && mayRevalidate(kept, nowMs) ? { to: 'answer', kept, stale: place } : undefined
}

function takeOff (visit: Visit, place: Place, wantsNewer: boolean): Decision {
  const { store, wish } = visit
  const epoch = store.epoch()
  const flight = store.flights.claim(place.space, place.key, { follows: !wantsNewer })
  if (!flight.isLeader) return wantsNewer ? { to: 'compute', forward: place.forward } : { to: 'follow', flight }
  try {
    if (wantsNewer) return { to: 'lead', lead: { place, flight, epoch } }
    // The one before may have ended just before this one began.
    const nowMs = Date.now()
    const now = placeOf(visit, nowMs, 'look')
    if (now.key === place.key && !now.isPassed && answerIn(now, wish, nowMs) === undefined) return { to: 'lead', lead: { place: now, flight, epoch } }
  } catch (error) {
    store.flights.end(flight)
    throw error
  }
  store.flights.end(flight)
  return lookAndDecide(visit, 'look', false)
}

/** One of those who have waited too long takes part; what is ready first ends the wait of all. */
function besideOf (visit: Visit, slow: Flight): Exclude<Decision, { to: 'follow' }> {
  const { store } = visit
  const epoch = store.epoch()
  const flight = store.flights.claim(slow.space, slow.key, { beside: slow, follows: false })
  if (!flight.isLeader) return { to: 'compute', forward: 'miss' }
  try {
    const place = placeOf(visit, Date.now(), 'look')
    if (place.key === slow.key) return { to: 'lead', lead: { place, flight, epoch } }
  } catch (error) {
    store.flights.end(flight)
    throw error
  }
  // What all of them wait for is not where they would look any more.
  store.flights.end(flight)
  return { to: 'compute', forward: 'miss' }
}

/** Undefined: the client has gone, and nobody is to be answered. */
async function follow (visit: Visit, first: Flight): Promise<Exclude<Decision, { to: 'follow' }> | undefined> {
  const { store, reply: { raw } } = visit
  const untilMs = performance.now() + WAIT_MS
  const gone = new AbortController()
  const leave = () => gone.abort()
  raw.once('close', leave)
  try {
    for (let flight = first; ;) {
      const timeoutMs = untilMs - performance.now()
      if (timeoutMs <= 0) return { to: 'compute', forward: 'miss' }
      if (!await store.flights.ended(flight, { timeoutMs, signal: gone.signal })) return besideOf(visit, flight)
      const decision = decide(visit, 'look', store.outcome(flight) !== undefined)
      if (decision.to !== 'follow') return decision
      flight = decision.flight
    }
  } catch (error) {
    if (gone.signal.aborted) return undefined
    complain(visit, error, 'the answer that another request makes could not be waited for')
    return { to: 'compute', forward: 'miss' }
  } finally {
    raw.off('close', leave)
  }
}
