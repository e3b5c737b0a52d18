import { createHash } from 'node:crypto'
import type { Fields } from './policy.ts'

const ENTITY_TAG = /(?:W\/)?"([^"]*)"/g

/** A weak one: another plugin may compress what it stands for. */
export function entityTagOf (body: string | Uint8Array): string {
  return `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
}

/**
 * Whether who asks has this very answer already (RFC 9110, sections 13.1.2 and 13.1.3): If-None-Match goes before
 * If-Modified-Since, and tags are compared weakly.
 */
export function isUnchanged (request: Fields, answer: Fields): boolean {
  const asked = request['if-none-match']
  if (asked !== undefined) return hasTag(String(asked), answer.etag)
  const since = request['if-modified-since']
  if (since === undefined) return false
  return Date.parse(String(answer['last-modified'])) <= Date.parse(String(since))
}

function hasTag (asked: string, tag: Fields[string]): boolean {
  if (asked.trim() === '*') return true
  if (tag === undefined) return false
  const opaque = String(tag).replace(/^W\//, '').slice(1, -1)
  for (const [, candidate] of asked.matchAll(ENTITY_TAG)) {
    if (candidate === opaque) return true
  }
  return false
}
