import { hashBytes } from './hash.ts'

// Not `key.charCodeAt()`: once anything in the process extends String, as ioredis 6 does, V8 no longer inlines that, and
// hashing a key takes five times as long (bench/state).
const { charCodeAt } = String.prototype

/** The longest `maxKeyBytes` of a table. */
export const MAX_KEY_BYTES = 1024

/** Up to this many characters, a loop over a key is faster than a call into the runtime. */
const SHORT = 48

/*
 * Any string is a key, an ill-formed one as well, and no two are one: characters up to U+00FF take one byte each; a key
 * with another character takes two bytes for each.
 */

/** How many bytes the key takes, twice, and 1 more when it is two bytes a character. */
export function keyShape (key: string): number {
  for (let n = 0; n < key.length; n++) {
    if (charCodeAt.call(key, n) > 0xff) return key.length * 4 + 1
  }
  return key.length * 2
}

/**
 * HalfSipHash-1-3 as in hash.ts, over the characters themselves, which saves encoding them first: four
 * a step, or two when one of them is above U+00FF.
 */
export function hashKey (key: string, seed0: number, seed1: number): number {
  const length = key.length
  let v0 = seed0 | 0
  let v1 = seed1 | 0
  let v2 = 0x6c796765 ^ seed0
  let v3 = 0x74656462 ^ seed1

  const whole = length & ~3
  let word = 0
  let all = 0
  for (let i = 0; ; i += 4) {
    if (i < whole) {
      const a = charCodeAt.call(key, i)
      const b = charCodeAt.call(key, i + 1)
      const c = charCodeAt.call(key, i + 2)
      const d = charCodeAt.call(key, i + 3)
      all |= a | b | c | d
      word = a | b << 8 | c << 16 | d << 24
    } else {
      word = length << 24
      for (let shift = 0; i < length; i++, shift += 8) {
        const a = charCodeAt.call(key, i)
        all |= a
        word |= a << shift
      }
    }
    v3 ^= word
    v0 = v0 + v1 | 0; v1 = v1 << 5 | v1 >>> 27; v1 ^= v0; v0 = v0 << 16 | v0 >>> 16
    v2 = v2 + v3 | 0; v3 = v3 << 8 | v3 >>> 24; v3 ^= v2
    v0 = v0 + v3 | 0; v3 = v3 << 7 | v3 >>> 25; v3 ^= v0
    v2 = v2 + v1 | 0; v1 = v1 << 13 | v1 >>> 19; v1 ^= v2; v2 = v2 << 16 | v2 >>> 16
    v0 ^= word
    if (i >= whole) break
  }
  shape = all > 0xff ? length * 4 + 1 : length * 2
  if (all > 0xff) return hashWide(key, seed0, seed1)

  v2 ^= 0xff
  for (let round = 0; round < 3; round++) {
    v0 = v0 + v1 | 0; v1 = v1 << 5 | v1 >>> 27; v1 ^= v0; v0 = v0 << 16 | v0 >>> 16
    v2 = v2 + v3 | 0; v3 = v3 << 8 | v3 >>> 24; v3 ^= v2
    v0 = v0 + v3 | 0; v3 = v3 << 7 | v3 >>> 25; v3 ^= v0
    v2 = v2 + v1 | 0; v1 = v1 << 13 | v1 >>> 19; v1 ^= v2; v2 = v2 << 16 | v2 >>> 16
  }
  other = v0 ^ v2
  return v1 ^ v3
}

/**
 * 32 bits more of the hash that `hashKey` made last: with them it tells keys apart. The authors' variant with as long a
 * result has four more rounds, against who sees results; nobody sees these.
 */
export const otherHalf = (): number => other

/** Of the key that `hashKey` was given last: the same as `keyShape`, which would look at all characters again. */
export const hashedShape = (): number => shape

let other = 0
let shape = 0

function hashWide (key: string, seed0: number, seed1: number): number {
  const bytes = Buffer.from(key, 'utf16le')
  other = hashBytes(bytes, bytes.length, ~seed1, seed0) | 0
  return hashBytes(bytes, bytes.length, seed0, seed1) | 0
}

/** Whether `bytes`, at `start`, are the key. Compared in place: it is short, and a view of it would cost more. */
export function isKey (bytes: Uint8Array, start: number, shape: number, key: string): boolean {
  const length = key.length
  if (shape === length * 2) {
    for (let n = 0; n < length; n++) {
      if (bytes[start + n] !== charCodeAt.call(key, n)) return false
    }
    return true
  }
  if (shape !== length * 4 + 1) return false
  for (let n = 0; n < length; n++) {
    if ((bytes[start + n * 2]! | bytes[start + n * 2 + 1]! << 8) !== charCodeAt.call(key, n)) return false
  }
  return true
}

export function writeKey (buffer: Buffer, start: number, shape: number, key: string): void {
  const bytes = shape >>> 1
  if ((shape & 1) === 0 && bytes <= SHORT) for (let n = 0; n < bytes; n++) buffer[start + n] = charCodeAt.call(key, n)
  else if ((shape & 1) === 0) buffer.write(key, start, bytes, 'latin1')
  else buffer.write(key, start, bytes, 'utf16le')
}

export function readKey (buffer: Buffer, start: number, shape: number): string {
  return buffer.toString((shape & 1) === 0 ? 'latin1' : 'utf16le', start, start + (shape >>> 1))
}
