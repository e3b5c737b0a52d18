import t from 'tap'
import { definitionOf } from '../../plugins/queue/definition.ts'
import { PAGE_BYTES, QueueWord } from '../../plugins/items/layout.ts'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import { Store } from '../../plugins/items/store.ts'
import { collectDead, removeDead } from '../../plugins/items/upkeep.ts'
import { Encoded } from '../../plugins/values/index.ts'
import { everyPlace, interruptedAt } from '../shared-memory/crashing.ts'
import { World, holder } from '../shared-memory/world.ts'
import { queueFaultOf, queueWord } from './inspect.ts'

/*
 * What a worker does outside the guard, another may come into: between any two accesses to the memory. Values are copied
 * there, and blocks and pages are made.
 */

const OLD = ['old', 'old'.repeat(80), { old: 'old'.repeat(80) }, 1]
const NEW = ['fresh', 'fresh'.repeat(80), { fresh: 'fresh'.repeat(80) }, 2]

function push (store: Store, value: unknown): boolean {
  const encoded = new Encoded()
  encoded.set(value, 'the item')
  return store.push(encoded, 0)
}

function pair (options = {}) {
  const world = new World().trace()
  const memories = [world.worker(), world.worker()] as const
  const [store, other] = memories.map((memory) => new Store(memory, 'q', definitionOf('q', { capacity: 300, ...options }), (error) => { throw error })) as [Store, Store]
  const guard = queueWord(memories[0], 'q') + QueueWord.GUARD
  return { memory: memories[1], store, other, isGuarded: () => world.region.i32[guard] !== 0 }
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

for (const capacity of [1, 300]) {
  t.test(`two workers that push at once into a queue of ${capacity} leave no block behind`, async t => {
    const faults: unknown[] = []
    everyPlace((place) => {
      const { memory, store, other, isGuarded } = pair({ capacity })
      const pushed: boolean[] = []
      const isDone = interruptedAt(place, () => pushed.push(push(store, OLD[1])), () => {
        if (!isGuarded()) pushed.push(push(other, NEW[1]))
      })
      const items = other.inside((ledger) => ledger.index.waiting())
      if (items !== pushed.filter(Boolean).length || items > capacity) faults.push(`${place}: ${items} items of ${pushed}`)
      const fault = queueFaultOf(memory, 'q')
      if (fault !== undefined) faults.push(`${place}: ${fault}`)
      return isDone
    })
    t.same(faults, [])
  })
}

t.test('a last failure that comes too late leaves no block behind', async t => {
  const faults: unknown[] = []
  everyPlace((place) => {
    const { memory, store, other, isGuarded } = pair({ maxAttempts: 1, visibilityTimeout: '1h' })
    push(other, OLD[1])
    const taken = store.take()!
    const isDone = interruptedAt(place, () => { store.fail(taken, 'this is why', 0) }, () => {
      if (!isGuarded()) other.inside((ledger) => ledger.promoteDue(Number.MAX_VALUE, 1))
    })
    if (collectDead(other).length !== 1) faults.push(`${place}: it is no dead letter`)
    const fault = queueFaultOf(memory, 'q')
    if (fault !== undefined) faults.push(`${place}: ${fault}`)
    return isDone
  })
  t.same(faults, [])
})

t.test('a push that finds no memory for its record gives back that of its value', async t => {
  const { memory: { allocator }, other } = pair()
  allocator.publish(allocator.allocate(100), holder(0))
  t.throws(() => {
    for (let n = 1; ; n++) allocator.publish(allocator.allocate(PAGE_BYTES), holder(n))
  }, { code: 'FST_SWOOLE_MEMORY_FULL' })
  const { used } = allocator.usage()
  for (let n = 0; n < 20; n++) t.throws(() => push(other, 'x'.repeat(300)), { code: 'FST_SWOOLE_MEMORY_FULL' })
  t.equal(allocator.usage().used, used)
})

t.test('a dead letter whose error finds no memory says so', async t => {
  const { memory: { allocator }, other } = pair({ maxAttempts: 1 })
  push(other, 1)
  const taken = other.take()!
  t.throws(() => {
    for (let n = 0; ; n++) allocator.publish(allocator.allocate(n < 50 ? PAGE_BYTES : 100), holder(n))
  }, { code: 'FST_SWOOLE_MEMORY_FULL' })
  t.throws(() => {
    for (let n = 5000; ; n++) allocator.publish(allocator.allocate(64), holder(n))
  }, { code: 'FST_SWOOLE_MEMORY_FULL' })
  t.equal(other.fail(taken, 'this is why', 0), true)
  t.same(collectDead(other), [{ item: 1, error: 'its error had no room in the shared memory', attempts: 1 }])
})

t.test('a large item is popped whole while a late recoverer of a dead worker has its block in hand', async t => {
  const world = new World()
  const [own, other] = [world.worker(), world.worker()]
  const queue = new SharedQueue<unknown>(own, 'q')
  const items = ['x'.repeat(500), { text: 'y'.repeat(500) }, Buffer.alloc(500, 7)]
  for (const item of items) await queue.push(item)
  // What `retract` answers at that moment; the recoverer gives the block back behind it.
  own.allocator.retract = () => false
  for (const item of items) t.same(await queue.pop(), item)
  t.equal(await queue.pop(), undefined)
  delete (own.allocator as { retract?: unknown }).retract
  // A repair frees what stayed behind.
  const guard = world.worker()
  guard.guard.enter(own.open({ type: 'queue', name: 'q', definition: queue.definition, bytes: 0 }) / 4)
  other.recover(guard.slot)
  t.equal(await new SharedQueue(other, 'q').pop(), undefined)
  t.equal(queueFaultOf(other, 'q'), undefined)
})
