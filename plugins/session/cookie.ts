/** A session as a store meets it: a plain object, or the live one of @fastify/session or express-session. */
export interface SessionLike {
  cookie?: CookieLike | undefined
}

/** The cookie of a session; expires is a Date, or what a store made of one. */
export interface CookieLike {
  expires?: Date | string | number | boolean | null | undefined
  originalMaxAge?: number | null | undefined
  maxAge?: number | null | undefined
}

/** A session as it is stored, without a property that is undefined. */
export type PlainSession = Record<string, unknown>

interface Times {
  expiresMs: number
  /** From the last request to the end. */
  lifeMs: number
}

/**
 * What is stored of a session. That it expires is no part of it, so that a session whose time only moves on has not
 * changed; but a date that was set instead of a maximum age is.
 */
export function plainSession (session: object): PlainSession {
  const { cookie } = session as SessionLike
  const plain: PlainSession = cookie === undefined || cookie === null ? {} : { cookie: plainCookie(cookie) }
  for (const name of Object.keys(session)) {
    const value = (session as PlainSession)[name]
    // JSON leaves undefined out as well. No object of ours has another prototype because of a session.
    if (name !== 'cookie' && name !== '__proto__' && value !== undefined) plain[name] = value
  }
  return plain
}

/**
 * When the session ends, by its cookie; `ttlMs` counts when that ends with the browser. A maximum age begins now, and not when
 * the cookie was made: the request may be a long one, and others may have come meanwhile.
 */
export function timesOf (session: object, nowMs: number, ttlMs: number): Times {
  const { cookie } = session as SessionLike
  const fixedMs = dateOf(cookie?.expires)
  const lifeMs = ageOf(cookie) ?? (fixedMs === undefined ? ttlMs : fixedMs - nowMs)
  return { expiresMs: nowMs + lifeMs, lifeMs }
}

/** Gives the cookie of a stored session its time again. */
export function restoreCookie (plain: PlainSession, expiresMs: number): Record<symbol, unknown> | undefined {
  const cookie = plain.cookie as CookieLike | undefined
  if (typeof cookie !== 'object' || cookie === null) return undefined
  if (typeof cookie.expires === 'number') cookie.expires = new Date(cookie.expires)
  else cookie.expires = ageOf(cookie) === undefined ? null : new Date(expiresMs)
  return cookie as Record<symbol, unknown>
}

/** Whether what is to be stored has the cookie that was got. */
export function isSameCookie ({ cookie = {} }: PlainSession, got: CookieLike | undefined): boolean {
  const known = { ...got } as Record<string, unknown>
  for (const [name, value] of Object.entries(cookie as object)) {
    if (value !== (name === 'expires' ? dateOf(known.expires) : known[name])) return false
  }
  return true
}

function plainCookie (cookie: CookieLike & { toJSON?: unknown }): object {
  const given: Record<string, unknown> = typeof cookie.toJSON === 'function' ? cookie.toJSON() : cookie
  const plain: Record<string, unknown> = {}
  for (const name of Object.keys(given)) {
    if (given[name] !== undefined && name !== 'expires' && name !== 'originalExpires') plain[name] = given[name]
  }
  const fixed = dateOf(given.expires)
  if (fixed !== undefined && ageOf(given) === undefined) plain.expires = fixed
  return plain
}

function ageOf (cookie: CookieLike | undefined): number | undefined {
  const ageMs = cookie?.originalMaxAge ?? cookie?.maxAge
  return typeof ageMs === 'number' && Number.isFinite(ageMs) ? ageMs : undefined
}

function dateOf (expires: unknown): number | undefined {
  const ms = typeof expires === 'string' ? Date.parse(expires) : expires instanceof Date || typeof expires === 'number' ? Number(expires) : NaN
  return Number.isFinite(ms) ? ms : undefined
}
