import assert from 'node:assert/strict'

/*
 * Crashes at an exact place: a worker that is killed between two instructions is one whose next store never happens.
 * Calls of Atomics are stopped by themselves. Plain stores are, too, in a region whose views are `traced`; where they
 * go only into blocks in hand, which nobody else reads, that is not needed.
 */
const WRITES = ['store', 'compareExchange', 'exchange', 'add', 'sub'] as const
const CALLS = ['load', ...WRITES] as const
/** Methods of a view that store; a crash leaves the first half of what they would have stored. */
const BULK_WRITES = ['set', 'fill', 'copyWithin', 'utf8Write', 'latin1Write', 'ucs2Write', 'write'] as const

class Crash extends Error {}

type Call = (...given: unknown[]) => unknown
type View = Int32Array | BigInt64Array | Float64Array | Uint8Array

const originals = CALLS.map((name) => (Atomics as unknown as Record<string, Call>)[name]!)
let isWatching = false
let hook: ((isWrite: boolean) => void) | undefined

const targets = new WeakMap<object, View>()

/** The view, with each plain load and store an access that can be observed. Not for what `subarray` and `slice` return. */
export function traced<V extends View> (view: V): V {
  watchAtomics()
  const proxy = new Proxy(view, {
    get (target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) met(false)
      const value = Reflect.get(target, key) as unknown
      if (typeof value !== 'function') return value
      if (!(BULK_WRITES as readonly unknown[]).includes(key)) return value.bind(target)
      return (...given: unknown[]) => {
        met(true, () => (value as Call).apply(target, firstHalf(key as typeof BULK_WRITES[number], given)))
        return (value as Call).apply(target, given)
      }
    },
    set (target, key, value) {
      met(true)
      return Reflect.set(target, key, value)
    }
  })
  targets.set(proxy, view)
  return proxy
}

function firstHalf (method: typeof BULK_WRITES[number], given: unknown[]): unknown[] {
  const [first, second, third] = given as [never, number, number]
  const half = (from: number, to: number) => from + Math.floor((to - from) / 2)
  switch (method) {
    case 'set': return [(first as Uint8Array).subarray(0, half(0, (first as Uint8Array).length)), second]
    case 'fill': return [first, second, half(second, third)]
    case 'copyWithin': return [first, second, half(second, third)]
    default: return [(first as string).slice(0, half(0, (first as string).length)), ...given.slice(1)]
  }
}

/** An access to the memory is about to happen; a crash at a bulk write does the half of it first. */
function met (isWrite: boolean, half?: () => unknown): void {
  const current = hook
  hook = undefined
  try {
    current?.(isWrite)
  } catch (error) {
    if (error instanceof Crash) half?.()
    throw error
  } finally {
    hook = current
  }
}

/** Calls `onAccess` before each access that `act` makes to the memory; what `onAccess` does itself is not observed. */
function observed (act: () => unknown, onAccess: (isWrite: boolean) => void): void {
  watchAtomics()
  const outer = hook
  hook = onAccess
  try {
    act()
  } finally {
    hook = outer
  }
}

function watchAtomics (): void {
  if (isWatching) return
  isWatching = true
  const atomics = Atomics as unknown as Record<string, Call>
  CALLS.forEach((name, n) => {
    atomics[name] = (view, ...given) => {
      met(name !== 'load')
      return originals[n]!(targets.get(view as object) ?? view, ...given)
    }
  })
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
