import { millisecondsIn, millisecondsOf, parseCacheControl } from './cache-control.ts'

export type Fields = Record<string, string | string[] | number | undefined>

/** What a request allows. */
export interface Wish {
  /** Whether an answer may come from the cache. */
  mayAnswer: boolean
  /** Whether the answer may be kept. */
  mayStore: boolean
  /** No older than this many milliseconds, and fresh for at least so many more. */
  maxAgeMs: number
  minFreshMs: number
  /** An answer from the cache, or 504. */
  onlyIfCached: boolean
}

/** How long an answer is fresh, and for how long after that it may be given (RFC 5861) … */
export interface Freshness {
  ttlMs: number
  /** … while a newer one is made, … */
  staleMs: number
  /** … or when that fails. */
  errorMs: number
}

const PERSONAL: Wish = { mayAnswer: false, mayStore: false, maxAgeMs: 0, minFreshMs: 0, onlyIfCached: false }
const ANY: Wish = { mayAnswer: true, mayStore: true, maxAgeMs: Infinity, minFreshMs: 0, onlyIfCached: false }

/** Statuses that are kept for the route's time; others only when the answer itself says for how long. */
const KEPT = new Set([200, 203, 204, 300, 301, 308])
const KEPT_WHEN_ASKED = new Set([...KEPT, 302, 307, 404, 405, 410, 414, 501])

/**
 * RFC 9111 for a cache that many share. What a request with credentials or cookies gets is its sender's alone, whatever
 * the answer says: such a request passes by the cache, and so does one for a part of the answer.
 */
export function wishOf (headers: Fields): Wish {
  if (headers.authorization !== undefined || headers.cookie !== undefined || headers.range !== undefined || headers.upgrade !== undefined) return PERSONAL
  const field = headers['cache-control']
  if (field === undefined && headers.pragma === undefined) return ANY
  const directives = parseCacheControl(field === undefined ? String(headers.pragma) : String(field))
  if (directives.has('no-store')) return PERSONAL
  return {
    mayAnswer: !directives.has('no-cache'),
    mayStore: true,
    maxAgeMs: millisecondsOf(directives, 'max-age') ?? Infinity,
    minFreshMs: millisecondsOf(directives, 'min-fresh') ?? 0,
    onlyIfCached: directives.has('only-if-cached')
  }
}

/**
 * For how long an answer is kept, when its route says `route`; undefined: it is not. Its own Cache-Control goes before
 * the route: s-maxage, then max-age, then Expires, less its Age, and stale-while-revalidate and stale-if-error. What sets a cookie, is
 * `private`, `no-store` or `no-cache`, varies with everything, or has no end or trailers is not kept.
 */
export function freshnessOf (status: number, headers: Fields, route: Freshness): Freshness | undefined {
  if (headers['set-cookie'] !== undefined || headers.trailer !== undefined || namesIn(headers.vary).includes('*')) return undefined
  if (String(headers['content-type']).startsWith('text/event-stream')) return undefined
  const field = headers['cache-control']
  const directives = parseCacheControl(field === undefined ? undefined : String(field))
  if (directives.has('no-store') || directives.has('private') || directives.has('no-cache')) return undefined

  const own = millisecondsOf(directives, 's-maxage') ?? millisecondsOf(directives, 'max-age') ?? untilExpiry(headers)
  if (!(own === undefined ? KEPT : KEPT_WHEN_ASKED).has(status)) return undefined
  const ttlMs = own === undefined ? route.ttlMs : own - ageOf(headers)
  if (ttlMs <= 0) return undefined
  if (directives.has('must-revalidate') || directives.has('proxy-revalidate')) return { ttlMs, ...NEVER_STALE }
  const { staleMs, errorMs } = directives.has('s-maxage') ? NEVER_STALE : route
  return {
    ttlMs,
    staleMs: millisecondsOf(directives, 'stale-while-revalidate') ?? staleMs,
    errorMs: millisecondsOf(directives, 'stale-if-error') ?? errorMs
  }
}

/** How old it was when it came, in milliseconds: the answer of another server, that the handler passes on, may be a kept one. */
export function ageOf ({ age }: Fields): number {
  return age === undefined ? 0 : millisecondsIn(String(age))
}

/** The names in a Vary field, in lower case and in order. */
export function namesIn (vary: Fields[string]): string[] {
  if (vary === undefined) return []
  const names = String(vary).split(',').map((name) => name.trim().toLowerCase()).filter((name) => name !== '')
  return [...new Set(names)].sort()
}

/** A date that cannot be read has passed (RFC 9111, section 5.3). */
function untilExpiry ({ expires, date }: Fields): number | undefined {
  if (expires === undefined) return undefined
  return (Date.parse(String(expires)) || 0) - (Date.parse(String(date)) || Date.now())
}

const NEVER_STALE = { staleMs: 0, errorMs: 0 }
