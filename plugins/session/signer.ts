import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** What `@fastify/session` asks of a signer. */
export interface Unsigned {
  valid: boolean
  /** It is signed with a secret that is not the first. */
  renew: boolean
  value: string | null
}

/** So many verified cookies are known at least, and twice as many at most. */
const VERIFIED = 5000
const INVALID: Unsigned = Object.freeze({ valid: false, renew: false, value: null })

/**
 * Signs session ids as `@fastify/cookie` and cookie-signature do: the id, a dot, and its HMAC-SHA256 in base64 without
 * padding. Of several secrets the first signs, and all are accepted.
 *
 * A cookie that was verified is known for some time, because its HMAC costs more than all else that a session does to a
 * request. Only valid ones are known, and finding one in a Map takes no longer for a string that begins alike.
 */
export class CookieSigner {
  readonly #keys: KeyObject[]
  #recent = new Map<string, Unsigned>()
  #older = new Map<string, Unsigned>()
  /** The last cookie verified: @fastify/session signs its id again at once. */
  #value: string | null = null
  #signed = ''

  constructor (secrets: readonly string[]) {
    this.#keys = secrets.map((secret) => createSecretKey(secret, 'utf8'))
  }

  sign (value: string): string {
    if (value === this.#value) return this.#signed
    return `${value}.${this.#signature(value, this.#keys[0]!)}`
  }

  unsign (signed: string): Unsigned {
    const known = this.#recent.get(signed) ?? this.#keep(signed, this.#older.get(signed) ?? this.#verify(signed))
    if (known.valid && !known.renew) {
      this.#value = known.value
      this.#signed = signed
    }
    return known
  }

  #verify (signed: string): Unsigned {
    const dot = signed.lastIndexOf('.')
    if (dot === -1) return INVALID
    const value = signed.slice(0, dot)
    const actual = Buffer.from(signed.slice(dot + 1))
    const match = this.#keys.findIndex((key) => {
      const expected = Buffer.from(this.#signature(value, key))
      return expected.length === actual.length && timingSafeEqual(expected, actual)
    })
    return match === -1 ? INVALID : Object.freeze({ valid: true, renew: match > 0, value })
  }

  #keep (signed: string, known: Unsigned): Unsigned {
    if (!known.valid) return known
    if (this.#recent.size >= VERIFIED) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(signed, known)
    return known
  }

  #signature (value: string, key: KeyObject): string {
    return createHmac('sha256', key).update(value).digest('base64').replaceAll('=', '')
  }
}
