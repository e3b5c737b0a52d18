/*
 * The directives of a Cache-Control field (RFC 9111, section 5.2): names in lower case, and the argument of those that have
 * one, without its quotes.
 */
export type Directives = ReadonlyMap<string, string | undefined>

const DIRECTIVE = /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]+)))?/g
const NONE: Directives = new Map()

/** Of several fields, and of a directive that is there twice, all count; of two arguments the first. */
export function parseCacheControl (field: string | string[] | undefined): Directives {
  if (field === undefined) return NONE
  const directives = new Map<string, string | undefined>()
  for (const [, name, quoted, token] of String(field).matchAll(DIRECTIVE)) {
    const key = name!.toLowerCase()
    if (!directives.has(key)) directives.set(key, quoted ?? token)
  }
  return directives
}

/** Milliseconds of a directive that counts seconds; undefined when it is not there, 0 when its argument is no number: then nothing is fresh. */
export function millisecondsOf (directives: Directives, name: string): number | undefined {
  return directives.has(name) ? millisecondsIn(directives.get(name) ?? '') : undefined
}

/** Milliseconds of a number of seconds; 0 when it is none. */
export function millisecondsIn (seconds: string): number {
  return /^\d+$/.test(seconds) ? Math.min(Number(seconds), MOST_SECONDS) * 1000 : 0
}

/** What RFC 9111, section 1.2.2, asks for when a number of seconds is too large. */
const MOST_SECONDS = 2 ** 31
