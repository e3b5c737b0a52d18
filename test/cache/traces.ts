import { random } from '../shared-memory/random.ts'

/*
 * Requests as they are published for the comparison of caches: Zipf's law, after Breslau et al., Web Caching and Zipf-like
 * Distributions (1999), who found exponents from 0.64 to 0.83, and 1.0 of what is more uneven; and scans and loops beside
 * such requests, after Jiang and Zhang, LIRS (2002), which is what an LRU is known to be bad at.
 */

export interface Trace {
  name: string
  /** Whether keys come that are used once, or again only after more others than fit. */
  hasScans: boolean
  requests: Uint32Array
}

export interface TraceOptions {
  /** Different keys of the Zipf part. */
  keys: number
  requests: number
  /** Keys of the loop. */
  loop: number
}

/** The same requests for the same options. */
export function traces ({ keys, requests, loop }: TraceOptions): Trace[] {
  return [
    { name: 'Zipf 0.8', hasScans: false, requests: zipf(keys, requests, 0.8, 1) },
    { name: 'Zipf 1.0', hasScans: false, requests: zipf(keys, requests, 1, 2) },
    { name: 'Zipf 1.0 with a scan, then with a loop', hasScans: true, requests: scanAndLoop(keys, requests, loop) }
  ]
}

/** Key n, from 0, is asked for in proportion to 1 / (n + 1) ^ exponent. */
function zipf (keys: number, requests: number, exponent: number, seed: number): Uint32Array {
  const cumulative = new Float64Array(keys)
  let sum = 0
  for (let n = 0; n < keys; n++) cumulative[n] = sum += (n + 1) ** -exponent
  const next = random(seed)
  return Uint32Array.from({ length: requests }, () => firstAbove(cumulative, next(2 ** 32) / 2 ** 32 * sum))
}

function firstAbove (cumulative: Float64Array, value: number): number {
  let [low, high] = [0, cumulative.length - 1]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (cumulative[middle]! > value) high = middle
    else low = middle + 1
  }
  return low
}

/** Every second request is of the Zipf part; the others are of keys that come once, and in the second half of a loop. */
function scanAndLoop (keys: number, requests: number, loop: number): Uint32Array {
  const often = zipf(keys, requests, 1, 3)
  const half = requests / 2
  return often.map((key, n) => {
    if (n % 2 === 0) return key
    return n < half ? keys + n : keys + requests + (n - half >>> 1) % loop
  })
}
