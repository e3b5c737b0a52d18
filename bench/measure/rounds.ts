/** Median, smallest and largest of one figure over all rounds. */
export interface Spread {
  median: number
  min: number
  max: number
}

/**
 * Measures every variant once a round, A B C, B C A, C A B, …: what the machine does meanwhile hits all alike, and
 * none always comes after the same other one. Returns each variant's samples in the order of the rounds.
 */
export async function alternate<V, S> (variants: V[], rounds: number, measure: (variant: V, round: number) => Promise<S>): Promise<Map<V, S[]>> {
  const samples = new Map<V, S[]>(variants.map((variant) => [variant, []]))
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`  round ${round + 1}/${rounds}\r`)
    for (let n = 0; n < variants.length; n++) {
      const variant = variants[(round + n) % variants.length]!
      samples.get(variant)!.push(await measure(variant, round))
    }
  }
  process.stderr.write(' '.repeat(20) + '\r')
  return samples
}

export function spread (values: number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const median = Number.isInteger(middle) ? (sorted[middle - 1]! + sorted[middle]!) / 2 : sorted[Math.floor(middle)]!
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** The spread of a figure divided, round by round, by another's of the same round. */
export function ratio (values: number[], base: number[]): Spread {
  return spread(values.map((value, round) => value / base[round]!))
}

export function percentile (values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN
}
