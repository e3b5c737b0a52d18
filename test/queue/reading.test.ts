import t from 'tap'
import { definitionOf } from '../../plugins/queue/definition.ts'
import { QueueWord } from '../../plugins/queue/layout.ts'
import { Store } from '../../plugins/queue/store.ts'
import { collectDead, removeDead } from '../../plugins/queue/upkeep.ts'
import { Encoded } from '../../plugins/queue/values.ts'
import { everyPlace, interruptedAt } from '../shared-memory/crashing.ts'
import { World } from '../shared-memory/world.ts'
import { queueWord } from './inspect.ts'

/*
 * Values are copied outside the guard. Between any two accesses to the memory another worker takes the item away and puts
 * another one into its record and its block.
 */

const OLD = ['old', 'old'.repeat(30), { old: 'old'.repeat(30) }, 1]
const NEW = ['fresh', 'fresh'.repeat(30), { fresh: 'fresh'.repeat(30) }, 2]

function push (store: Store, value: unknown): void {
  const encoded = new Encoded()
  encoded.set(value, 'the item')
  store.push(encoded, 0)
}

function pair (options = {}) {
  const world = new World().trace()
  const memories = [world.worker(), world.worker()] as const
  const [store, other] = memories.map((memory) => new Store(memory, 'q', definitionOf('q', { capacity: 300, ...options }), (error) => { throw error })) as [Store, Store]
  const guard = queueWord(memories[0], 'q') + QueueWord.GUARD
  return { store, other, isGuarded: () => world.region.i32[guard] !== 0 }
}

for (const [n, old] of OLD.entries()) {
  for (const fresh of NEW) {
    t.test(`a peek at ${JSON.stringify(old).slice(0, 9)} while ${JSON.stringify(fresh).slice(0, 11)} takes its place gives the one or the other`, async t => {
      const met = new Set<string>()
      everyPlace((place) => {
        const { store, other, isGuarded } = pair()
        push(other, old)
        let seen: unknown
        const isDone = interruptedAt(place, () => { seen = store.peek() }, () => {
          if (isGuarded()) return
          other.pop()
          push(other, fresh)
        })
        met.add(JSON.stringify(seen))
        return isDone
      })
      t.strictSame([...met].sort(), [JSON.stringify(fresh), JSON.stringify(old)].sort())
    })
  }
  t.test(`dead letters are whole or not there, while another worker removes them (${n})`, async t => {
    const met = new Set<string>()
    everyPlace((place) => {
      const { store, other, isGuarded } = pair({ maxAttempts: 1 })
      push(other, old)
      other.fail(other.take()!, 'this is why', 0)
      let seen: unknown
      const isDone = interruptedAt(place, () => { seen = collectDead(store) }, () => {
        if (isGuarded()) return
        removeDead(other)
        push(other, 'a new one')
        other.fail(other.take()!, 'another reason', 0)
      })
      met.add(JSON.stringify(seen))
      return isDone
    })
    const whole = JSON.stringify([{ item: old, error: 'this is why', attempts: 1 }])
    const next = JSON.stringify([{ item: 'a new one', error: 'another reason', attempts: 1 }])
    t.ok(met.has(whole))
    t.same([...met].filter((seen) => ![whole, next, '[]'].includes(seen)), [])
  })
}

t.test('dead letters that come while others are removed stay', async t => {
  const { store, other } = pair({ maxAttempts: 1, capacity: 300 })
  const bury = (from: Store) => {
    push(from, OLD[0])
    from.fail(from.take()!, 'this is why', 0)
  }
  for (let n = 0; n < 300; n++) bury(other)
  // It has removed the first 256 of them when it gives the event loop a turn.
  const removed = removeDead(store)
  other.clearing((ledger) => {
    for (let n = 257; n <= 300; n++) ledger.remove(n, QueueWord.CLEARED)
  })
  for (let n = 257; n <= 300; n++) bury(other)
  t.equal(await removed, 256)
  t.equal(collectDead(store).length, 44)
})
