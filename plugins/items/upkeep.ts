import { setImmediate as nextTurn } from 'node:timers/promises'
import { QueueWord, SECOND_COUNT, State } from './layout.ts'
import type { Ledger } from './ledger.ts'
import type { Store } from './store.ts'

/*
 * What goes over many items does so in short guarded sections, with a turn of the event loop between two, and does not
 * run after what is pushed meanwhile.
 */
const MOST_AT_ONCE = 256

interface Buried {
  record: number
  sequence: number
}

/** The dead letters, the oldest first. */
export function collectDead (store: Store): Array<{ item: unknown, error: string, attempts: number }> {
  const { reader, definition: { visibilityMs } } = store
  const letters = []
  for (const { record, sequence } of buried(store)) {
    const [state, attempts] = store.inside((ledger) => [ledger.state(record), ledger.attempts(record)] as const)
    if (!isDead(state)) continue
    const error = reader.cause(record, state, sequence, visibilityMs)
    const copy = reader.copy(record, state, sequence)
    if (copy !== undefined && error !== undefined) letters.push({ item: copy.value, error, attempts })
  }
  return letters
}

export function reviveDead (store: Store): Promise<number> {
  return eachDead(store, (ledger, n) => ledger.revive(n))
}

export function removeDead (store: Store): Promise<number> {
  return eachDead(store, (ledger, n) => ledger.remove(n, QueueWord.CLEARED))
}

/** Delayed items first: one that becomes ready meanwhile is met behind, among the ready ones. */
export async function clearAll (store: Store): Promise<void> {
  const { reader } = store
  const made = store.inside(({ index }) => index.count(QueueWord.MADE))
  for (let first = 1; first <= made; first += MOST_AT_ONCE) {
    store.clearing((ledger) => {
      for (let n = first; n < first + MOST_AT_ONCE && n <= made; n++) {
        if ((ledger.state(n) & ~SECOND_COUNT) === State.DELAYED) ledger.remove(n, QueueWord.CLEARED)
      }
    })
    await nextTurn()
  }

  const end = store.inside(({ index }) => index.total(QueueWord.SEQUENCE))
  const clearReady = (ledger: Ledger) => {
    for (let left = MOST_AT_ONCE; left > 0; left--) {
      const n = ledger.index.front()
      if (n === 0 || reader.sequence(n) >= end) return true
      ledger.removeFront(n, QueueWord.CLEARED)
    }
    return false
  }
  while (!store.clearing(clearReady)) await nextTurn()
}

/** How many of the dead letters were still there to be acted on. */
async function eachDead (store: Store, act: (ledger: Ledger, n: number) => void): Promise<number> {
  const letters = buried(store)
  let done = 0
  for (let first = 0; first < letters.length; first += MOST_AT_ONCE) {
    store.clearing((ledger) => {
      for (const { record, sequence } of letters.slice(first, first + MOST_AT_ONCE)) {
        if (!isDead(ledger.state(record)) || store.reader.sequence(record) !== sequence) continue
        act(ledger, record)
        done++
      }
    })
    await nextTurn()
  }
  return done
}

function buried (store: Store): Buried[] {
  const made = store.inside((ledger) => ledger.index.count(QueueWord.MADE))
  const letters: Buried[] = []
  for (let first = 1; first <= made; first += MOST_AT_ONCE) {
    store.inside((ledger) => {
      for (let n = first; n < first + MOST_AT_ONCE && n <= made; n++) {
        if (isDead(ledger.state(n))) letters.push({ record: n, sequence: store.reader.sequence(n) })
      }
    })
  }
  return letters.sort((a, b) => a.sequence - b.sequence)
}

const isDead = (state: number) => (state & ~SECOND_COUNT) === State.DEAD
