/*
 * A token bucket as one number a key: the generic cell rate algorithm (ITU-T I.371; I.356 calls the number the theoretical
 * arrival time). Time is counted in tokens: one passes each `window / maxRequests`. So what a request adds is a whole
 * number, and a thousand additions are exact, which they are not with a third of a millisecond each.
 *
 *     arrival - now   tokens that are out: 0 or less, the bucket is full; maxRequests, it is empty
 */

/** Smaller numbers are more exact. */
const EPOCH_MS = Date.UTC(2026, 0)

/** Of a key that has no number: its bucket is full, whatever the clock says. */
export const NO_ARRIVAL = -Infinity

export interface Rate {
  maxRequests: number
  windowMs: number
}

export const isSameRate = (a: Rate, b: Rate): boolean => a.maxRequests === b.maxRequests && a.windowMs === b.windowMs

/** The time in tokens. */
export const tokensAt = (nowMs: number, { maxRequests, windowMs }: Rate): number => (nowMs - EPOCH_MS) * maxRequests / windowMs

/** The latest that a number can be. One that is later was made before the clock was put back. */
export const latestArrival = (now: number, { maxRequests }: Rate): number => now + maxRequests

/** How many tokens are out. */
export const tokensOut = (arrival: number, now: number): number => Math.max(0, arrival - now)

/** The number of the key when `cost` more tokens are taken, NaN when there are too few. */
export function taken (arrival: number, now: number, cost: number, { maxRequests }: Rate): number {
  const next = Math.max(arrival, now) + cost
  return next - now <= maxRequests ? next : NaN
}

/** Milliseconds until so many tokens have passed. */
export const millisecondsOf = (tokens: number, { maxRequests, windowMs }: Rate): number => tokens * windowMs / maxRequests
