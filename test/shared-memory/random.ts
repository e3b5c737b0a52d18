/** The same numbers for the same seed: `next(limit)` is from 0 to limit - 1 (mulberry32). */
export function random (seed: number): (limit: number) => number {
  let state = seed | 0
  return (limit) => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, 1 | state)
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed
    return ((mixed ^ mixed >>> 14) >>> 0) % limit
  }
}
