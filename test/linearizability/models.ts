import { PENDING } from './checker.ts'
import type { Model, Pending } from './checker.ts'

/*
 * What the shared structures do when one process alone uses them. All answers are numbers, as the log of a recording
 * holds them: a value, or one of these.
 */
export const YES = 1
export const NO = 0
export const NONE = -1
/** What no model answers: half of one write and half of another. */
export const TORN = -2

/** The only next state, when the answer is the one that was given. */
function when<State> (answer: number, output: number | Pending, next: State): State[] {
  return output === PENDING || output === answer ? [next] : []
}

export interface CounterInput {
  kind: 'get' | 'set' | 'add' | 'compareAndSwap'
  object: number
  value: number
  next: number
}

/** An atomic. `add` answers the new value, `compareAndSwap` YES or NO, `set` NONE. */
export const counter: Model<number, CounterInput, number> = {
  initial: 0,
  step (state, { kind, value, next }, output) {
    switch (kind) {
      case 'get': return when(state, output, state)
      case 'set': return when(NONE, output, value)
      case 'add': return when(state + value, output, state + value)
      case 'compareAndSwap': return state === value ? when(YES, output, next) : when(NO, output, state)
    }
  },
  key: String,
  partition: ({ object }) => object
}

/** A row of two columns; null: there is none. */
export interface Row { count: number, text: number }

export interface RowInput {
  kind: 'set' | 'setCount' | 'setText' | 'get' | 'has' | 'delete' | 'incr'
  object: number
  value: number
}

/** The answer to `get`. A text stands for a number below a thousand, see `textOf`. */
export const rowAnswer = ({ count, text }: Row) => count * 1000 + text

const EMPTY: Row = { count: 0, text: 0 }

/** A row of a table: `set` writes both columns, `setCount` and `setText` one; the other is kept, or zero in a new row. */
export const row: Model<Row | null, RowInput, number> = {
  initial: null,
  step (state, { kind, value }, output) {
    switch (kind) {
      case 'set': return when(NONE, output, { count: value, text: value })
      case 'setCount': return when(NONE, output, { ...state ?? EMPTY, count: value })
      case 'setText': return when(NONE, output, { ...state ?? EMPTY, text: value })
      case 'get': return when(state === null ? NONE : rowAnswer(state), output, state)
      case 'has': return when(state === null ? NO : YES, output, state)
      case 'delete': return when(state === null ? NO : YES, output, null)
      case 'incr': {
        const count = (state ?? EMPTY).count + value
        return when(count, output, { ...state ?? EMPTY, count })
      }
    }
  },
  key: (state) => state === null ? '' : `${state.count} ${state.text}`,
  partition: ({ object }) => object
}

export interface LockInput {
  kind: 'lock' | 'trylock' | 'lockRead' | 'trylockRead' | 'unlock' | 'death'
  object: number
  /** Who locks, unlocks or has died. */
  process: number
}

interface LockState {
  /** The processes that hold it and know that they do. */
  holders: number[]
  /** Those that died, or may yet die, before they got the answer. */
  unaware: number[]
  /** The last fencing token that was given. */
  token: number
  /** How many permits lie as a dead holder left them. */
  abandoned: number
}

/** The answer to `lock` and `trylock`. */
export const lockAnswer = (token: number, abandoned: boolean) => token * 2 + (abandoned ? 1 : 0)
const tokenOf = (answer: number) => Math.floor(answer / 2)
export const isAbandoned = (answer: number) => answer > 0 && answer % 2 === 1

/**
 * A lock with a number of permits, 1 for a mutex: never more holders than permits. A `death` frees what the process held,
 * and who takes that is told so; of what the process was given and did not yet know, that may be said or not.
 *
 * With one permit the fencing token grows in the order of the acquisitions, and `trylock` answers NONE only when it is
 * not free. With more the token is drawn a moment after the permit (see `tokens`), and `trylock` may also refuse
 * because permits change hands while it looks at one after the other.
 */
export function lock (permits: number): Model<LockState, LockInput, number> {
  const take = (state: LockState, process: number, output: number | Pending): LockState[] => {
    const inUse = state.holders.length + state.unaware.length
    if (inUse >= permits) return []
    const next: LockState[] = []
    if (inUse + state.abandoned < permits) next.push(state)
    if (state.abandoned > 0) next.push({ ...state, abandoned: state.abandoned - 1 })
    if (output === PENDING) return next.map((next) => ({ ...next, unaware: [...next.unaware, process] }))
    const token = tokenOf(output)
    if (output < 0 || (permits === 1 && token <= state.token)) return []
    return next.filter(({ abandoned }) => (abandoned < state.abandoned) === isAbandoned(output)).map((next) => ({ ...next, holders: [...next.holders, process], token: permits === 1 ? token : 0 }))
  }

  return {
    initial: { holders: [], unaware: [], token: 0, abandoned: 0 },
    step (state, { kind, process }, output) {
      const { holders, unaware, abandoned } = state
      switch (kind) {
        case 'lock': return output === NONE ? [] : take(state, process, output)
        case 'trylock':
          if (output === NONE) return permits === 1 && holders.length + unaware.length === 0 ? [] : [state]
          return take(state, process, output)
        case 'unlock':
          return holders.includes(process) ? when(NONE, output, { ...state, holders: holders.filter((holder) => holder !== process) }) : []
        case 'death': {
          const left: LockState = { ...state, holders: holders.filter((holder) => holder !== process), unaware: unaware.filter((holder) => holder !== process) }
          const known = abandoned + (holders.includes(process) ? 1 : 0)
          const told = when(NONE, output, { ...left, abandoned: known })
          return unaware.includes(process) ? [...told, ...when(NONE, output, { ...left, abandoned: known + 1 })] : told
        }
        default: return []
      }
    },
    key: ({ holders, unaware, token, abandoned }) => `${holders.toSorted().join()} ${unaware.join()} ${token} ${abandoned}`,
    partition: ({ object }) => object
  }
}

interface ReadWriteState { writer: number | null, readers: number[] }

/** A lock that has one writer or many readers. Who tries may be refused because others wait; tokens are judged by `tokens`. */
export const readWriteLock: Model<ReadWriteState, LockInput, number> = {
  initial: { writer: null, readers: [] },
  step (state, { kind, process }, output) {
    const { writer, readers } = state
    const without: ReadWriteState = { writer: writer === process ? null : writer, readers: readers.filter((reader) => reader !== process) }
    switch (kind) {
      case 'unlock': return writer === process || readers.includes(process) ? when(NONE, output, without) : []
      case 'death': return when(NONE, output, without)
      case 'lock':
      case 'trylock':
        if (output !== PENDING && output < 0) return output === NONE && kind === 'trylock' ? [state] : []
        return writer === null && readers.length === 0 ? [{ writer: process, readers }] : []
      case 'lockRead':
      case 'trylockRead':
        if (output !== PENDING && output < 0) return output === NONE && kind === 'trylockRead' ? [state] : []
        return writer === null ? [{ writer, readers: [...readers, process] }] : []
    }
  },
  key: ({ writer, readers }) => `${writer} ${readers.toSorted().join()}`,
  partition: ({ object }) => object
}

/** The fencing tokens alone: each acquisition has a larger one than those before it. */
export const tokens: Model<number, LockInput, number> = {
  initial: 0,
  step (last, _input, output) {
    if (output === PENDING || output === NONE) return [last]
    const token = tokenOf(output)
    return token > last ? [token] : []
  },
  key: String,
  partition: ({ object }) => object
}

export interface QueueInput {
  kind: 'push' | 'pop' | 'peek' | 'getSize'
  object: number
  value: number
  process: number
}

/** First in, first out: `push` answers NO only when it is full, `pop` and `peek` NONE only when it is empty. */
export function queue (capacity: number): Model<number[], QueueInput, number> {
  return {
    initial: [],
    step (items, { kind, value }, output) {
      switch (kind) {
        case 'push': return items.length < capacity ? when(YES, output, [...items, value]) : when(NO, output, items)
        case 'pop': return items.length === 0 ? when(NONE, output, items) : when(items[0]!, output, items.slice(1))
        case 'peek': return when(items[0] ?? NONE, output, items)
        case 'getSize': return when(items.length, output, items)
        default: return []
      }
    },
    key: (items) => items.join(),
    partition: ({ object }) => object
  }
}
