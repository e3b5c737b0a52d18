import { OptionsInvalidError, ValueInvalidError } from '../errors.ts'
import { parseDuration, requireNames } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import { showValue } from '../options/show.ts'

export const MOST_TAGS = 60
export const KEEP_NAMES = ['ttl', 'tags'] as const
const GET_NAMES = [...KEEP_NAMES, 'beta', 'staleWhileRevalidate'] as const

/** How a value is to be kept. */
export interface KeepOptions {
  /** How long it is fresh: milliseconds, a string such as '5m', or Infinity. Default: the option `cache.ttl`. 0: it is not kept. */
  ttl?: Duration
  /** Names under which `invalidateTags` finds it; 60 at most. */
  tags?: string[]
}

export interface GetOptions extends KeepOptions {
  /**
   * Recomputes before it expires, now and then and the likelier the nearer that is and the longer it took to compute: 1 is usual,
   * more is earlier, 0 (the default) never, Infinity always. Until it is there the old value is given; with Infinity it is
   * waited for. (Vattani, Chierichetti, Lowenstein: Optimal probabilistic cache stampede prevention, VLDB 2015.)
   */
  beta?: number
  /** How long after it has expired it is still given, while one worker computes another. Default 0. */
  staleWhileRevalidate?: Duration
}

/** What is being computed; says how it is to be kept. After Symfony's ItemInterface. */
export class CacheItem {
  readonly key: string
  #ttlMs: number
  #tags: Set<string>
  readonly #defaultTtlMs: number

  constructor (key: string, ttlMs: number, tags: readonly string[], defaultTtlMs: number) {
    this.key = key
    this.#ttlMs = ttlMs
    this.#tags = new Set(tags)
    this.#defaultTtlMs = defaultTtlMs
  }

  get ttlMs (): number {
    return this.#ttlMs
  }

  get tags (): string[] {
    return [...this.#tags]
  }

  /** null: after the default time. Throws FST_SWOOLE_DURATION_INVALID. */
  expiresAfter (ttl: Duration | null): this {
    this.#ttlMs = ttl === null ? this.#defaultTtlMs : ttlOf(ttl)
    return this
  }

  /** null: after the default time. A time that has passed: it is not kept. Throws FST_SWOOLE_VALUE_INVALID. */
  expiresAt (at: Date | null): this {
    if (at !== null && !(at instanceof Date && !Number.isNaN(at.getTime()))) throw new ValueInvalidError('The time given to expiresAt()', showValue(at), 'a valid Date, or null')
    this.#ttlMs = at === null ? this.#defaultTtlMs : Math.max(0, at.getTime() - Date.now())
    return this
  }

  /** Adds tags. Throws FST_SWOOLE_OPTIONS_INVALID. */
  tag (...tags: Array<string | readonly string[]>): this {
    this.#tags = new Set(requireTags([...this.#tags, ...tags.flat()]))
    return this
  }
}

export interface Keeping {
  ttlMs: number
  tags: string[]
  beta: number
  staleMs: number
}

/** Throws FST_SWOOLE_OPTIONS_INVALID, _DURATION_INVALID. */
export function keepingOf (given: GetOptions | undefined, defaultTtlMs: number, names: readonly string[] = GET_NAMES): Keeping {
  if (given === undefined) return { ttlMs: defaultTtlMs, tags: [], beta: 0, staleMs: 0 }
  requireNames('The options of the cache', given, names)
  const { ttl, tags = [], beta = 0, staleWhileRevalidate = 0 } = given
  if (typeof beta !== 'number' || !(beta >= 0)) throw new OptionsInvalidError(`beta is ${showValue(beta)}, but must be a number from 0, or Infinity`)
  return {
    ttlMs: ttl === undefined ? defaultTtlMs : ttlOf(ttl),
    tags: [...new Set(requireTags(tags))],
    beta,
    staleMs: parseDuration(staleWhileRevalidate, 'staleWhileRevalidate')
  }
}

export function requireTags (tags: unknown, most = MOST_TAGS): string[] {
  if (!Array.isArray(tags)) throw new OptionsInvalidError(`The tags of the cache are ${showValue(tags)}, but must be an array of strings`)
  for (const tag of tags) {
    if (typeof tag !== 'string' || tag === '') throw new OptionsInvalidError(`A tag of the cache is ${showValue(tag)}, but must be a string of at least one character`)
  }
  if (tags.length > most) throw new OptionsInvalidError(`A value of the cache has ${tags.length} tags, but can have ${most} at most`)
  return tags
}

const ttlOf = (ttl: Duration): number => ttl === Infinity ? Infinity : parseDuration(ttl, 'ttl')
