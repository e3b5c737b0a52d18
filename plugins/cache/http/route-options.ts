import { inspect } from 'node:util'
import type { FastifyRequest, RouteOptions } from 'fastify'
import type { AnyRequest } from '../../any-request.ts'
import { applicationFault, refuse } from '../../application-fault.ts'
import { KeyInvalidError, OptionsInvalidError } from '../../errors.ts'
import { parseDuration, requireNames } from '../../options/index.ts'
import type { Duration } from '../../options/index.ts'
import { showValue } from '../../options/show.ts'
import { requireTags } from '../item.ts'
import { urlKey } from './keys.ts'
import type { Freshness } from './policy.ts'

/** What a route says in `config.cache`: how its answers to GET are kept for all. */
export interface RouteCache {
  /** How long an answer is fresh that does not say so itself. Default: the option `cache.ttl`. 0: only those that say so are kept. */
  ttl?: Duration
  /** Names under which `fastify.cache.invalidateTags` finds its answers; 60 at most. A function is called when the answer is there. */
  tags?: string[] | ((request: AnyRequest) => string[])
  /** Fields of the request that answers differ by, beside those that their Vary field names; they are added to that. */
  vary?: string[]
  /** How long an answer is still given after its time, while another one is made. Default 0. */
  staleWhileRevalidate?: Duration
  /** What stands for protocol, host and URL, within the route; undefined: the request passes by the cache. */
  key?: (request: AnyRequest) => string | undefined
}

/** The same, checked. */
export interface CachedRoute {
  freshness: Freshness
  tagsOf: (request: FastifyRequest) => string[]
  /** In lower case and in order. */
  vary: readonly string[]
  /** What stands for the URL; undefined: the request passes by. Throws FST_SWOOLE_KEY_INVALID, and what `key` throws. */
  keyOf: (request: FastifyRequest) => string | undefined
  /** What tells it apart from other routes of its URL: its constraints. '' for none. */
  constraints: string
}

const NAMES = ['ttl', 'tags', 'vary', 'staleWhileRevalidate', 'key'] as const
const FIELD_NAME = /^[!#$%&'+.^_`|~\w-]+$/

/** Throws FST_SWOOLE_OPTIONS_INVALID, FST_SWOOLE_DURATION_INVALID. */
export function cachedRoute (route: RouteOptions, given: boolean | RouteCache, defaultTtlMs: number): CachedRoute {
  const methods = [route.method].flat()
  const what = `config.cache of the route ${methods.join()} ${route.url}`
  if (!methods.every((method) => method === 'GET' || method === 'HEAD')) throw new OptionsInvalidError(`${what} can be kept for GET and HEAD only: leave it out`)
  const { ttl, tags = [], vary = [], staleWhileRevalidate = 0, key } = optionsOf(what, given)
  if (typeof tags !== 'function') requireRouteTags(what, tags)
  if (key !== undefined && typeof key !== 'function') throw new OptionsInvalidError(`key in ${what} is ${showValue(key)}, but must be a function`)
  return {
    freshness: {
      ttlMs: ttl === undefined ? defaultTtlMs : parseDuration(ttl, `ttl in ${what}`),
      staleMs: parseDuration(staleWhileRevalidate, `staleWhileRevalidate in ${what}`),
      errorMs: 0
    },
    tagsOf: typeof tags === 'function' ? (request) => ownTags(tags(request)) : () => tags,
    vary: requireFieldNames(what, vary),
    keyOf: key === undefined ? urlKey : ownKey(route.url, key, what),
    constraints: route.constraints === undefined || Object.keys(route.constraints).length === 0 ? '' : inspect(route.constraints, { sorted: true, breakLength: Infinity })
  }
}

function requireRouteTags (what: string, tags: unknown): void {
  try {
    requireTags(tags)
  } catch (error) {
    throw new OptionsInvalidError(`${what}: ${(error as Error).message}`)
  }
}

function ownKey (url: string, key: NonNullable<RouteCache['key']>, what: string): CachedRoute['keyOf'] {
  return (request) => {
    const given: unknown = key(request)
    if (given === undefined) return undefined
    if (typeof given === 'string') return `key of ${url}\n${given}`
    refuse(given)
    throw applicationFault(new KeyInvalidError(what, showValue(given), 'a string, or undefined'))
  }
}

function ownTags (given: unknown): string[] {
  refuse(given)
  return requireTags(given)
}

function optionsOf (what: string, given: unknown): RouteCache {
  if (given === true) return {}
  requireNames(what, given, NAMES)
  return given as RouteCache
}

function requireFieldNames (what: string, vary: unknown): string[] {
  if (!Array.isArray(vary)) throw new OptionsInvalidError(`vary in ${what} is ${showValue(vary)}, but must be an array of names of fields`)
  for (const name of vary) {
    if (typeof name !== 'string' || !FIELD_NAME.test(name)) throw new OptionsInvalidError(`vary in ${what} has ${showValue(name)}, but must have names of fields, such as "accept-language"`)
  }
  return [...new Set(vary.map((name) => name.toLowerCase()))].sort()
}
