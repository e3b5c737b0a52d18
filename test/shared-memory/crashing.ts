import assert from 'node:assert/strict'

/*
 * Crashes at an exact place. All that the structures write where others can see it goes through Atomics, so a worker
 * that is killed between two instructions is one whose next call of Atomics never happens. (Plain stores go only into
 * blocks in hand, which nobody else reads, and into a slot before it is claimed.)
 */
const WRITES = ['store', 'compareExchange', 'exchange', 'add', 'sub'] as const
const CALLS = ['load', ...WRITES] as const

class Crash extends Error {}

type Call = (...given: unknown[]) => unknown

const originals = CALLS.map((name) => (Atomics as unknown as Record<string, Call>)[name]!)
let observers = 0
let hook: ((isWrite: boolean) => void) | undefined

/** Calls `onAccess` before each access that `act` makes to the memory; what `onAccess` does itself is not observed. */
function observed (act: () => unknown, onAccess: (isWrite: boolean) => void): void {
  const atomics = Atomics as unknown as Record<string, Call>
  const outer = hook
  observers++
  hook = onAccess
  CALLS.forEach((name, n) => {
    atomics[name] = (...given) => {
      const current = hook
      hook = undefined
      try {
        current?.(name !== 'load')
      } finally {
        hook = current
      }
      return originals[n]!(...given)
    }
  })
  try {
    act()
  } finally {
    hook = outer
    if (--observers === 0) CALLS.forEach((name, n) => { atomics[name] = originals[n]! })
  }
}

/** Does `act` up to its `n`th write (0: not even the first), where it dies. False: it made fewer writes and is done. */
export function diesAtWrite (n: number, act: () => unknown, interruption?: Interruption): boolean {
  let writes = 0
  let isDead = false
  try {
    observed(act, (isWrite) => {
      interruption?.meet()
      if (!isWrite || writes++ < n) return
      isDead = true
      throw new Crash()
    })
  } catch (error) {
    if (!(error instanceof Crash)) throw error
  }
  return isDead
}

/** What another worker does in the middle, before the `n`th access to the memory. */
export class Interruption {
  #left: number
  #other: () => unknown
  isDone = false

  constructor (n: number, other: () => unknown) {
    this.#left = n
    this.#other = other
  }

  meet (): void {
    if (this.#left-- !== 0) return
    this.isDone = true
    this.#other()
  }
}

/** Does `other` in the middle of `act`, before its `n`th access to the memory. False: it made fewer, `other` was not done. */
export function interruptedAt (n: number, act: () => unknown, other: () => unknown): boolean {
  const interruption = new Interruption(n, other)
  observed(act, () => interruption.meet())
  return interruption.isDone
}

/** The same for every `n` there is; `attempt` says whether it came to the `n`th. */
export function everyPlace (attempt: (n: number) => boolean): number {
  let n = 0
  while (attempt(n)) assert(n++ < 20_000, 'it does not end')
  return n
}
