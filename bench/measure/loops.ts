/*
 * The loops that are measured. Each is compiled from text for each use, so that it has type feedback of its own: with one
 * function for all, the call in it would see many kinds of objects and be slower than in an application. What the calls
 * return goes into a sum that the loop returns, so none can be optimised away.
 */
import { alternate } from './rounds.ts'

export interface Variant {
  name: string
  loop: Loop
  /** How often the loop runs for one sample. */
  passes: number
}

export interface Loop {
  run (): unknown
  /** Of one run. */
  operations: number
}

/** Nanoseconds per operation of each variant, one figure a round. */
export type Samples = Record<string, number[]>

export interface Rounds {
  /** Rounds before the first that counts. */
  warmUps: number
  rounds: number
}

/** For each key: `before` runs, and the value is added to the sum. `n` is the place of the key. */
export function overKeys (keys: string[], value: string, parameters: Record<string, unknown>, before = ''): Loop {
  const body = `let sum = 0; for (let n = 0; n < keys.length; n++) { const key = keys[n]; ${before} sum = (sum + ${value}) | 0 } return sum`
  return { run: compile(body, { keys, ...parameters }), operations: keys.length }
}

/** The same so many times, without keys. */
export function times (count: number, value: string, parameters: Record<string, unknown>, before = ''): Loop {
  const body = `let sum = 0; for (let n = 0; n < ${count}; n++) { ${before} sum = (sum + ${value}) | 0 } return sum`
  return { run: compile(body, parameters), operations: count }
}

function compile (body: string, parameters: Record<string, unknown>): () => unknown {
  const isAsync = body.includes('await ')
  // eslint-disable-next-line no-new-func -- a function of its own for each use is the point; the text is ours
  const make = new Function(...Object.keys(parameters), `return ${isAsync ? 'async ' : ''}() => { ${body} }`)
  return make(...Object.values(parameters))
}

/** Measures each variant once a round, A B C, B C A, C A B, … */
export async function measureInTurn (variants: Variant[], { warmUps, rounds }: Rounds): Promise<Samples> {
  const samples = await alternate(variants, warmUps + rounds, nanosecondsPerOperation)
  return Object.fromEntries(variants.map((variant) => [variant.name, samples.get(variant)!.slice(warmUps)]))
}

export async function nanosecondsPerOperation ({ loop, passes }: Pick<Variant, 'loop' | 'passes'>): Promise<number> {
  const startedAt = process.hrtime.bigint()
  for (let pass = 0; pass < passes; pass++) await loop.run()
  return Number(process.hrtime.bigint() - startedAt) / (passes * loop.operations)
}

/** All rounds of several processes as if they were those of one. */
export function joined (all: Samples[]): Samples {
  return Object.fromEntries(Object.keys(all[0]!).map((name) => [name, all.flatMap((samples) => samples[name]!)]))
}
