/**
 * HalfSipHash-1-3 with a 32-bit result: the keyed hash for keys that come from users, in 32-bit steps, which is what
 * JavaScript is fast at. Without the seed, keys that meet in one place cannot be chosen.
 *
 * Source: J.-P. Aumasson and D. J. Bernstein, SipHash: a fast short-input PRF (2012), and the authors' halfsiphash.c.
 */
export function hashBytes (bytes: Uint8Array, length: number, seed0: number, seed1: number): number {
  let v0 = seed0 | 0
  let v1 = seed1 | 0
  let v2 = 0x6c796765 ^ seed0
  let v3 = 0x74656462 ^ seed1

  const whole = length & ~3
  let word = 0
  for (let i = 0; ; i += 4) {
    if (i < whole) {
      word = bytes[i]! | bytes[i + 1]! << 8 | bytes[i + 2]! << 16 | bytes[i + 3]! << 24
    } else {
      word = length << 24
      const rest = length & 3
      if (rest > 2) word |= bytes[i + 2]! << 16
      if (rest > 1) word |= bytes[i + 1]! << 8
      if (rest > 0) word |= bytes[i]!
    }
    v3 ^= word
    v0 = v0 + v1 | 0; v1 = v1 << 5 | v1 >>> 27; v1 ^= v0; v0 = v0 << 16 | v0 >>> 16
    v2 = v2 + v3 | 0; v3 = v3 << 8 | v3 >>> 24; v3 ^= v2
    v0 = v0 + v3 | 0; v3 = v3 << 7 | v3 >>> 25; v3 ^= v0
    v2 = v2 + v1 | 0; v1 = v1 << 13 | v1 >>> 19; v1 ^= v2; v2 = v2 << 16 | v2 >>> 16
    v0 ^= word
    if (i >= whole) break
  }

  v2 ^= 0xff
  for (let round = 0; round < 3; round++) {
    v0 = v0 + v1 | 0; v1 = v1 << 5 | v1 >>> 27; v1 ^= v0; v0 = v0 << 16 | v0 >>> 16
    v2 = v2 + v3 | 0; v3 = v3 << 8 | v3 >>> 24; v3 ^= v2
    v0 = v0 + v3 | 0; v3 = v3 << 7 | v3 >>> 25; v3 ^= v0
    v2 = v2 + v1 | 0; v1 = v1 << 13 | v1 >>> 19; v1 ^= v2; v2 = v2 << 16 | v2 >>> 16
  }
  return (v1 ^ v3) >>> 0
}
