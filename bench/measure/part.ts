import type { Target } from './report.ts'
import { spread } from './rounds.ts'
import type { Spread } from './rounds.ts'
import type { Samples } from './loops.ts'

/** What one part of the benchmark gives to the report. */
export interface Part {
  settings: object
  targets: Target[]
  results: object
}

/** Where a part may make its folders; both are removed at the end. */
export interface Folders {
  folder: string
  /** On a tmpfs. */
  inMemory: string
}

export function summarised (samples: Samples): Record<string, Spread & { rounds: number[] }> {
  return Object.fromEntries(Object.entries(samples).map(([name, rounds]) => [name, { ...spread(rounds), rounds }]))
}
