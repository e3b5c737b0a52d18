import type { Answer } from './answer.ts'
import type { Fields } from './policy.ts'

/** Of one connection (RFC 9110, section 7.6.1), of one request, or made anew for each answer. */
const NEVER_KEPT = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'proxy-authentication-info', 'te',
  'trailer', 'transfer-encoding', 'upgrade', 'date', 'content-length', 'cache-status', 'set-cookie', 'retry-after'
])
const OF_LIMITS = /^(?:x-)?rate-?limit/

/**
 * The fields that are kept with an answer: those that the handler, and all that came after it, set, changed or removed. What
 * hooks set before (`own`) is of their request; they set it for the next one as well.
 */
export function keptFields (headers: Fields, own: Fields): Answer['headers'] {
  const kept: Answer['headers'] = {}
  const ofConnection = new Set(String(headers.connection ?? '').toLowerCase().split(/\s*,\s*/))
  const isKept = (name: string) => !NEVER_KEPT.has(name) && !OF_LIMITS.test(name) && !ofConnection.has(name)
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !isKept(name) || String(value) === String(own[name])) continue
    kept[name] = Array.isArray(value) ? value.map(String) : String(value)
  }
  for (const name of Object.keys(own)) {
    if (isKept(name) && headers[name] === undefined) kept[name] = null
  }
  return kept
}
