import { random } from '../shared-memory/random.ts'
import type { CounterInput, LockInput, QueueInput, RowInput } from './models.ts'

/*
 * What each process of a recording does in each burst. It follows from the seed, so that the process which does it
 * and the test which judges it need not tell each other.
 */
export interface Inputs {
  atomic: CounterInput
  brokenAtomic: CounterInput
  table: RowInput
  lock: LockInput
  spinlock: LockInput
  semaphore: LockInput
  rwlock: LockInput
  queue: QueueInput
  queueOfBlocks: QueueInput
}

export type Structure = keyof Inputs

export interface Turn { seed: number, burst: number, process: number }

export const CAPACITY = 4

type Next = (limit: number) => number

const choose = <Choice>(next: Next, ...choices: Choice[]) => choices[next(choices.length)]!

const atomic = (next: Next, { burst }: Turn): CounterInput => (
  { kind: choose(next, 'get', 'set', 'add', 'add', 'compareAndSwap', 'compareAndSwap'), object: burst % 3 === 0 ? next(2) : burst % 3 - 1, value: next(3), next: next(3) }
)

// Every second turn is for giving back, and left out by who has nothing; so nobody has anything after the last.
const locking = (next: Next, { process }: Turn, n: number): LockInput => (
  { kind: n % 2 === 1 ? 'unlock' : choose(next, 'lock', 'trylock', 'trylock'), object: 0, process }
)

const readingAndWriting = (next: Next, { process }: Turn, n: number): LockInput => (
  { kind: n % 2 === 1 ? 'unlock' : choose(next, 'lock', 'trylock', 'trylock', 'lockRead', 'lockRead', 'trylockRead', 'trylockRead'), object: 0, process }
)

const queueing = (next: Next, { burst, process }: Turn, n: number): QueueInput => (
  { kind: choose(next, 'push', 'push', 'push', 'push', 'pop', 'pop', 'pop', 'pop', 'peek', 'getSize'), object: next(1 + burst % 2), value: process * 100_000 + burst * 1000 + n, process }
)

const INPUTS: { [S in Structure]: (next: Next, turn: Turn, n: number) => Inputs[S] } = {
  atomic,
  brokenAtomic: atomic,

  table: (next, { burst }) => ({ kind: choose(next, 'get', 'get', 'has', 'set', 'set', 'setCount', 'setText', 'incr', 'incr', 'delete', 'delete'), object: next(1 + burst % 4), value: 1 + next(9) }),

  lock: locking,
  spinlock: locking,
  semaphore: locking,
  rwlock: readingAndWriting,

  queue: queueing,
  queueOfBlocks: queueing
}

export function planOf<S extends Structure> (structure: S, turn: Turn, operations: number): Array<Inputs[S]> {
  const next = random(turn.seed * 7919 + turn.burst * 31 + turn.process)
  return Array.from({ length: operations }, (_, n) => INPUTS[structure](next, turn, n))
}
