import { randomBytes } from 'node:crypto'
import type { EntrySpace } from '../../shared-memory/index.ts'
import type { CacheStore, Stored } from '../store.ts'
import { decodeAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Forward } from './cache-status.ts'
import { variantKey } from './keys.ts'
import type { Variants } from './keys.ts'
import { ageOf } from './policy.ts'
import type { Fields } from './policy.ts'
import type { CachedRoute } from './route-options.ts'

export interface KeptAnswer {
  answer: Answer
  /** By whoever made it, of whom a handler may have had it with an Age. */
  createdMs: number
  expiresMs: number
  isStale: boolean
}

/** Where the answer to a request stands or would stand, and what is there. */
export interface Place {
  space: EntrySpace
  /** What stands for the URL. */
  urlKey: string
  /** Of the answer: the same, or one of its variants. */
  key: string
  variants: Variants | undefined
  /** What a request without a fresh answer there is called. */
  forward: Forward
  kept: KeptAnswer | undefined
  /** The last answer could not be kept, which will be so again: nobody waits for the next one. */
  isPassed: boolean
}

/** Stands where an answer would (Varnish's hit-for-pass). */
export const PASS = 'pass'

/** `look` is for who has missed already: it counts neither as a hit nor as a miss. */
export type Reading = 'read' | 'look'

/*
 * Under the key of a URL stands its answer, or what its answers vary by, or that they cannot be kept. What is damaged is removed
 * and logged, and is not there.
 */
export function findPlace (store: CacheStore, urlKey: string, headers: Fields, route: CachedRoute, nowMs: number, reading: Reading): Place {
  const space = store.answers
  const place: Place = { space, urlKey, key: urlKey, variants: undefined, forward: 'uri-miss', kept: undefined, isPassed: false }
  let stored = store[reading](space, urlKey, nowMs)
  if (stored === undefined) return place
  if (isVariants(stored.value)) {
    place.variants = stored.value
    place.key = variantKey(stored.value, headers, route.constraints)
    place.forward = 'vary-miss'
    stored = store[reading](space, place.key, nowMs)
    if (stored === undefined) return place
  } else if (route.constraints !== '') {
    // It is another route's, of the same URL.
    return place
  }
  if (stored.value === PASS) {
    place.isPassed = true
    place.forward = 'miss'
    return place
  }
  place.kept = keptIn(stored)
  if (place.kept === undefined) {
    store.delete(space, place.key)
    store.log.warn({ key: place.key }, 'an answer in the cache is damaged: it was removed')
  } else if (stored.isStale) {
    place.forward = 'stale'
  }
  return place
}

export function isVariants (value: unknown): value is Variants {
  return typeof value === 'object' && value !== null && Array.isArray((value as Variants).names)
}

/** Stale, it may be given while another one is made. */
export const mayRevalidate = ({ answer, expiresMs }: KeptAnswer, nowMs: number): boolean => nowMs - expiresMs <= answer.staleMs

/** Stale, it may be given in the place of an error. */
export const mayStandForError = ({ answer, expiresMs }: KeptAnswer, nowMs: number): boolean => nowMs - expiresMs <= answer.errorMs

function keptIn ({ value, createdMs, expiresMs, isStale }: Stored): KeptAnswer | undefined {
  const answer = Buffer.isBuffer(value) ? decodeAnswer(value) : undefined
  return answer && { answer, createdMs: createdMs - ageOf(answer.headers as Fields), expiresMs, isStale }
}

export function newVariants (names: readonly string[]): Variants {
  return { id: randomBytes(12).toString('base64url'), names }
}
