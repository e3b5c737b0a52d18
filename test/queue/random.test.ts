import t from 'tap'
import { definitionOf } from '../../plugins/queue/definition.ts'
import { QueueWord } from '../../plugins/items/layout.ts'
import { Store } from '../../plugins/items/store.ts'
import type { Delivery } from '../../plugins/items/store.ts'
import { removeDead, reviveDead, collectDead } from '../../plugins/items/upkeep.ts'
import { Encoded } from '../../plugins/values/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { diesAtWrite } from '../shared-memory/crashing.ts'
import { random } from '../shared-memory/random.ts'
import { World } from '../shared-memory/world.ts'
import { indexFaultOf, queueFaultOf } from './inspect.ts'

const NAME = 'jobs'
const HOUR = 3_600_000

interface Worker {
  memory: SharedMemory
  store: Store
  taken: Delivery[]
}

const valueOf = (id: number) => id % 3 === 0 ? { id, text: 'x'.repeat(id % 200) } : id
const idOf = (value: unknown) => typeof value === 'number' ? value : (value as { id: number }).id

function push (store: Store, id: number, due: number): boolean {
  const value = new Encoded()
  value.set(valueOf(id), 'the item')
  return store.push(value, due)
}

for (let seed = 1; seed <= 12; seed++) {
  t.test(`three workers at random, some of which die at a random store: every item is where it has to be (seed ${seed})`, async t => {
    const next = random(seed)
    const world = new World(2 * 1024 * 1024).trace()
    const definition = definitionOf(NAME, { capacity: 400, maxAttempts: 3, visibilityTimeout: HOUR })
    const start = (): Worker => {
      const memory = world.worker()
      return { memory, store: new Store(memory, NAME, definition, () => {}), taken: [] }
    }
    const workers = [start(), start(), start()]
    const observer = start()
    /** Pushed and acknowledged so, and not yet gone. Who dies in a step may or may not have done it. */
    const here = new Set<number>()
    const unsure = new Set<number>()
    let id = 0

    const step = (worker: Worker) => {
      const { store, taken } = worker
      const action = next(12)
      const one = taken.length > 0 ? next(taken.length) : -1
      if (action < 4) {
        const pushed = ++id
        unsure.add(pushed)
        if (push(store, pushed, next(5) === 0 ? Date.now() + (next(2) === 0 ? -1 : HOUR) : 0)) here.add(pushed)
        unsure.delete(pushed)
      } else if (action === 4) {
        const front = store.peek()
        if (front !== undefined) unsure.add(idOf(front))
        const value = store.pop()
        if (value !== undefined && value !== null) here.delete(idOf(value))
        if (front !== undefined) unsure.delete(idOf(front))
      } else if (action < 8) {
        const delivery = store.take()
        if (delivery !== undefined) taken.push(delivery)
      } else if (one !== -1) {
        const [delivery] = taken.splice(one, 1) as [Delivery]
        const itemId = idOf(delivery.value)
        if (action === 8) {
          unsure.add(itemId)
          if (store.acknowledge(delivery)) here.delete(itemId)
          unsure.delete(itemId)
        } else if (action === 9) {
          store.putBack(delivery)
        } else {
          store.fail(delivery, next(2) === 0 ? '' : `it was no use ${itemId}`, action === 10 ? 0 : HOUR)
        }
      }
    }

    for (let round = 0; round < 2000; round++) {
      const n = next(workers.length)
      const worker = workers[n]!
      if (next(20) !== 0) {
        step(worker)
      } else if (diesAtWrite(next(40), () => step(worker))) {
        observer.memory.recover(worker.memory.slot)
        observer.store.inside(() => {})
        workers[n] = start()
      }
      if (round % 50 !== 0) continue
      const fault = observer.store.inside(() => undefined) ?? indexFaultOf(observer.memory, NAME)
      if (fault !== undefined) {
        t.fail(`round ${round}: ${fault}`)
        return
      }
      if (next(4) === 0) await reviveDead(observer.store)
    }

    for (const { memory } of workers) observer.memory.recover(memory.slot)
    const found: number[] = []
    const takeAll = () => {
      for (let delivery; (delivery = observer.store.take()) !== undefined;) {
        found.push(idOf(delivery.value))
        observer.store.acknowledge(delivery)
      }
    }
    takeAll()
    found.push(...collectDead(observer.store).map(({ item }) => idOf(item)))
    await removeDead(observer.store)
    observer.store.inside((ledger) => ledger.promoteDue(Number.MAX_VALUE, 10_000))
    takeAll()
    t.equal(new Set(found).size, found.length, 'none is there twice')
    t.same([...here].filter((id) => !found.includes(id) && !unsure.has(id)), [], 'none is lost')
    t.same(found.filter((id) => !here.has(id) && !unsure.has(id)), [], 'none comes back')
    t.ok(unsure.size < 110)
    t.equal(observer.store.inside((ledger) => ledger.index.size()), 0)
    t.equal(observer.store.inside((ledger) => ledger.index.total(QueueWord.BYTES)), 0)
    t.equal(queueFaultOf(observer.memory, NAME), undefined)
  })
}
