import { isDeepStrictEqual } from 'node:util'
import type { PlainSession } from './cookie.ts'

/**
 * What one request made of a session laid over what others made of it meanwhile, property by property: of those that `mine`
 * changed, added or removed since `base`, mine counts, of all others theirs. Of one that both changed, the later one counts.
 */
export function mergeSessions (base: PlainSession, mine: PlainSession, theirs: PlainSession): PlainSession {
  const merged = { ...theirs }
  for (const name of Object.keys(mine)) {
    if (!Object.hasOwn(base, name) || !isDeepStrictEqual(mine[name], base[name])) merged[name] = mine[name]
  }
  for (const name of Object.keys(base)) {
    if (!Object.hasOwn(mine, name)) delete merged[name]
  }
  return merged
}
