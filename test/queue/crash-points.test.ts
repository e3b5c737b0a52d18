import t from 'tap'
import { definitionOf } from '../../plugins/queue/definition.ts'
import { collectDead, clearAll } from '../../plugins/items/upkeep.ts'
import { QueueWord } from '../../plugins/items/layout.ts'
import { Store } from '../../plugins/items/store.ts'
import type { Delivery } from '../../plugins/items/store.ts'
import { Encoded } from '../../plugins/values/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { diesAtWrite, everyPlace } from '../shared-memory/crashing.ts'
import { World } from '../shared-memory/world.ts'
import { queueFaultOf } from './inspect.ts'

/*
 * A worker dies at every single store of each step. Whatever it had come to, another worker then finds each item in one
 * place: the step was done or it was not, lists and counts are those of the records, and no block has leaked.
 */

const NAME = 'jobs'
const LARGE = 'x'.repeat(300)
const HOUR = 3_600_000

/** Put ahead instead of waiting: with times so short that a test can wait for them, any pause of the machine ends them. */
let clockAheadMs = 0
const now = Date.now
Date.now = () => now() + clockAheadMs

interface Options {
  maxAttempts?: number
  visibilityTimeout?: number
}

function open (memory: SharedMemory, options: Options = {}): Store {
  return new Store(memory, NAME, definitionOf(NAME, { capacity: 300, ...options }), () => {})
}

function push (store: Store, value: unknown, due = 0): boolean {
  const encoded = new Encoded()
  encoded.set(value, 'the item')
  return store.push(encoded, due)
}

/** All that is in the queue, where it is, in order; what is in flight is put back by nobody. */
function contents (store: Store): { ready: unknown[], delayed: number, inFlight: number, dead: Array<[unknown, number]> } {
  const { delayed, inFlight } = store.inside((ledger) => ({ delayed: ledger.index.count(QueueWord.DELAYED), inFlight: ledger.index.count(QueueWord.IN_FLIGHT) }))
  const dead = collectDead(store).map(({ item, attempts }): [unknown, number] => [item, attempts])
  const taken: Delivery[] = []
  for (let next; (next = store.take()) !== undefined;) taken.push(next)
  for (const one of taken) store.putBack(one)
  return { ready: taken.map(({ value, attempt }) => [value, attempt]), delayed, inFlight, dead }
}

interface Scenario {
  name: string
  options?: Options
  /** What is there before; returns the step. */
  prepare (store: Store, other: Store): () => unknown
  /** All that the others may find when the worker that made the step, or a part of it, is dead. */
  outcomes: unknown[]
}

const left = (ready: unknown[], { delayed = 0, inFlight = 0, dead = [] as unknown[] } = {}) => ({ ready, delayed, inFlight, dead })

const scenarios: Scenario[] = [
  {
    name: 'pushes a small value',
    prepare: (store, other) => {
      push(other, 1)
      return () => push(store, 'second')
    },
    outcomes: [left([[1, 1]]), left([[1, 1], ['second', 1]])]
  },
  {
    name: 'pushes the first item of all',
    prepare: (store) => () => push(store, null),
    outcomes: [left([]), left([[null, 1]])]
  },
  {
    name: 'pushes a large value',
    prepare: (store, other) => {
      push(other, 1)
      return () => push(store, LARGE)
    },
    outcomes: [left([[1, 1]]), left([[1, 1], [LARGE, 1]])]
  },
  {
    name: 'pushes into the record of an item that is gone',
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      other.pop()
      return () => push(store, LARGE)
    },
    outcomes: [left([[2, 1]]), left([[2, 1], [LARGE, 1]])]
  },
  {
    name: 'pushes a delayed value',
    prepare: (store, other) => {
      push(other, 1, Date.now() + HOUR)
      return () => push(store, 2, Date.now() + HOUR / 2)
    },
    outcomes: [left([], { delayed: 1 }), left([], { delayed: 2 })]
  },
  {
    name: 'pops a small value',
    prepare: (store, other) => {
      push(other, 1)
      push(other, 2)
      return () => store.pop()
    },
    outcomes: [left([[1, 1], [2, 1]]), left([[2, 1]])]
  },
  {
    name: 'pops a large value',
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      return () => store.pop()
    },
    outcomes: [left([[LARGE, 1], [2, 1]]), left([[2, 1]])]
  },
  {
    name: 'takes an item',
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      return () => store.take()
    },
    outcomes: [left([[LARGE, 1], [2, 1]]), left([[LARGE, 2], [2, 1]])]
  },
  {
    name: 'takes an item for some time',
    options: { visibilityTimeout: HOUR },
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      return () => store.take()
    },
    outcomes: [left([[LARGE, 1], [2, 1]]), left([[LARGE, 2], [2, 1]])]
  },
  {
    name: 'acknowledges an item',
    options: { visibilityTimeout: HOUR },
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      const taken = store.take()!
      return () => store.acknowledge(taken)
    },
    outcomes: [left([[LARGE, 2], [2, 1]]), left([[2, 1]])]
  },
  {
    name: 'fails an item that is tried again at once',
    options: { visibilityTimeout: HOUR },
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      const taken = store.take()!
      return () => store.fail(taken, 'no', 0)
    },
    outcomes: [left([[LARGE, 2], [2, 1]])]
  },
  {
    name: 'fails an item that is tried again later',
    options: { visibilityTimeout: HOUR },
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      const taken = store.take()!
      return () => store.fail(taken, 'no', HOUR)
    },
    outcomes: [left([[LARGE, 2], [2, 1]]), left([[2, 1]], { delayed: 1 })]
  },
  {
    name: 'fails an item for the last time',
    options: { maxAttempts: 1 },
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      const taken = store.take()!
      return () => store.fail(taken, 'this is the reason', 0)
    },
    outcomes: [left([[2, 1]], { dead: [[LARGE, 1]] })]
  },
  {
    name: 'puts an item back',
    options: { visibilityTimeout: HOUR },
    prepare: (store, other) => {
      push(other, 1)
      push(other, 2)
      const taken = store.take()!
      return () => store.putBack(taken)
    },
    outcomes: [left([[1, 1], [2, 1]]), left([[1, 2], [2, 1]])]
  },
  {
    name: 'makes ready what is due and takes the first',
    prepare: (store, other) => {
      push(other, 0)
      push(other, 1, 1)
      push(other, LARGE, 2)
      return () => store.pop()
    },
    outcomes: [left([[0, 1], [1, 1], [LARGE, 1]]), left([[1, 1], [LARGE, 1]])]
  },
  {
    name: 'takes back what was in flight for too long',
    options: { visibilityTimeout: HOUR, maxAttempts: 2 },
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      const overdue = other.take()!
      clockAheadMs += 2 * HOUR
      return () => store.has(overdue)
    },
    outcomes: [left([[LARGE, 2], [2, 1]])]
  },
  {
    name: 'removes a dead letter',
    options: { maxAttempts: 1 },
    prepare: (store, other) => {
      push(other, LARGE)
      other.fail(other.take()!, 'this is the reason', 0)
      return () => store.clearing((ledger) => ledger.remove(1, QueueWord.CLEARED))
    },
    outcomes: [left([], { dead: [[LARGE, 1]] }), left([])]
  },
  {
    name: 'makes a dead letter ready again',
    options: { maxAttempts: 1 },
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      other.fail(other.take()!, 'this is the reason', 0)
      return () => store.inside((ledger) => ledger.revive(1))
    },
    outcomes: [left([[2, 1]], { dead: [[LARGE, 1]] }), left([[2, 1], [LARGE, 1]])]
  },
  {
    // The death is in the first turn, which removes what is delayed.
    name: 'clears the delayed items',
    prepare: (store, other) => {
      push(other, 1)
      push(other, LARGE, Date.now() + HOUR)
      push(other, 3, Date.now() + HOUR / 2)
      return () => { clearAll(store).catch(() => {}) }
    },
    outcomes: [left([[1, 1]], { delayed: 2 }), left([[1, 1]], { delayed: 1 }), left([[1, 1]])]
  },
  {
    name: 'removes two items that are ready',
    prepare: (store, other) => {
      push(other, LARGE)
      push(other, 2)
      push(other, 3)
      return () => store.clearing((ledger) => {
        ledger.removeFront(ledger.index.front(), QueueWord.CLEARED)
        ledger.removeFront(ledger.index.front(), QueueWord.CLEARED)
      })
    },
    outcomes: [left([[LARGE, 1], [2, 1], [3, 1]]), left([[2, 1], [3, 1]]), left([[3, 1]])]
  }
]

for (const { name, options, prepare, outcomes } of scenarios) {
  t.test(`a worker that ${name} may die at any store`, async t => {
    const faults: string[] = []
    const met = new Set<string>()
    const wanted = outcomes.map((outcome) => JSON.stringify(outcome))
    const places = everyPlace((n) => {
      const world = new World().trace()
      const [worker, other] = [world.worker(), world.worker()]
      const [store, others] = [open(worker, options), open(other, options)]
      const step = prepare(store, others)
      const isDead = diesAtWrite(n, step)
      other.recover(worker.slot)
      const found = JSON.stringify(contents(others))
      met.add(found)
      if (!wanted.includes(found)) faults.push(`write ${n}: found ${found}`)
      const fault = queueFaultOf(other, NAME)
      if (fault !== undefined) faults.push(`write ${n}: ${fault}`)
      return isDead
    })
    t.same(faults.slice(0, 5), [])
    t.equal(met.size, outcomes.length, `each outcome is met at one of ${places} places`)
  })
}

t.test('a worker that opens a queue may die at any store', async t => {
  const faults: string[] = []
  everyPlace((n) => {
    const world = new World().trace()
    const [worker, other] = [world.worker(), world.worker()]
    const isDead = diesAtWrite(n, () => open(worker))
    other.recover(worker.slot)
    push(open(other), 1)
    const fault = queueFaultOf(other, NAME)
    if (fault !== undefined) faults.push(`write ${n}: ${fault}`)
    return isDead
  })
  t.same(faults, [])
})

/** A queue with items in every state, and a worker that dies in the middle of a push: the guard is not left. */
function broken (): { world: World, other: SharedMemory } {
  const world = new World().trace()
  const [worker, other, holder] = [world.worker(), world.worker(), world.worker()]
  const [store, others] = [open(worker, { maxAttempts: 2, visibilityTimeout: HOUR }), open(other, { maxAttempts: 2, visibilityTimeout: HOUR })]
  const gone = open(holder, { maxAttempts: 2, visibilityTimeout: HOUR })
  for (const value of [1, LARGE, 3, 4, 5, 6, 7]) push(others, value)
  for (let attempt = 0; attempt < 2; attempt++) others.fail(others.take()!, 'this is the reason', 0)
  gone.take()
  others.fail(others.take()!, '', HOUR)
  others.acknowledge(others.take()!)
  push(others, 'later', Date.now() + HOUR)
  // At its third store, the guard's being the first of a small push.
  diesAtWrite(3, () => push(store, 'half'))
  other.recover(worker.slot)
  other.recover(holder.slot)
  return { world, other }
}

t.test('a worker that repairs the queue and takes back what dead workers had may die at any store', async t => {
  const faults: string[] = []
  const expected = left([[LARGE, 2], [5, 1], [6, 1], [7, 1]], { delayed: 2, dead: [[1, 2]] })
  const places = everyPlace((n) => {
    const { world, other } = broken()
    const second = world.worker()
    const isDead = diesAtWrite(n, () => open(second, { maxAttempts: 2, visibilityTimeout: HOUR }))
    other.recover(second.slot)
    const others = open(other, { maxAttempts: 2, visibilityTimeout: HOUR })
    const found = contents(others)
    if (JSON.stringify(found) !== JSON.stringify(expected)) faults.push(`write ${n}: found ${JSON.stringify(found)}`)
    const fault = queueFaultOf(other, NAME)
    if (fault !== undefined) faults.push(`write ${n}: ${fault}`)
    return isDead
  })
  t.ok(places > 50, `it can die at ${places} places`)
  t.same(faults.slice(0, 5), [])
})
