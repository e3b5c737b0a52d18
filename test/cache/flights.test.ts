import t from 'tap'
import { Flights } from '../../plugins/cache/flights.ts'
import { SharedEntries } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { diesAtWrite, everyPlace } from '../shared-memory/crashing.ts'
import { MEBIBYTE, World } from '../shared-memory/world.ts'
import { openCache } from './peer.ts'

function open (memory: SharedMemory) {
  const entries = new SharedEntries(memory, { type: 'test', name: 'test', bytes: 72 * 1024, eviction: 'lru' })
  return { flights: new Flights(memory), space: entries.space('test') }
}

t.test('one leads, the others follow until it ends', async t => {
  const world = new World()
  const [one, other] = [open(world.worker()), open(world.worker())]
  const led = one.flights.claim(one.space, 'a')
  const followed = other.flights.claim(other.space, 'a')
  t.strictSame([led.isLeader, followed.isLeader, followed.id === led.id], [true, false, true])
  t.equal(await other.flights.ended(followed, { timeoutMs: 1 }), false)
  one.flights.end(led)
  t.equal(await other.flights.ended(followed), true)
  t.equal(other.flights.claim(other.space, 'a').isLeader, true)
})

t.test('no two flights have one id, in whichever life of a worker they are', async t => {
  const world = new World()
  const ids = new Set<number>()
  for (let life = 0; life < 5; life++) {
    const memory = world.worker()
    for (const { flights, space } of [open(memory), open(memory)]) {
      const flight = flights.claim(space, 'a')
      ids.add(flight.id)
      flights.end(flight)
    }
    memory.recover(memory.slot)
  }
  t.equal(ids.size, 10)
})

t.test('beside what takes too long one of those who waited leads as well, and whoever ends first ends it', async t => {
  const world = new World()
  const [one, two, three] = [open(world.worker()), open(world.worker()), open(world.worker())]
  const slow = one.flights.claim(one.space, 'a')
  two.flights.claim(two.space, 'a')
  const waiting = three.flights.claim(three.space, 'a')
  const next = two.flights.claim(two.space, 'a', { beside: slow })
  t.equal(next.isLeader, true)
  t.equal(three.flights.claim(three.space, 'a', { beside: waiting }).isLeader, false)
  const again = three.flights.claim(three.space, 'a')
  t.strictSame([one.flights.isCurrent(slow), two.flights.isCurrent(next)], [true, true])
  one.flights.end(slow)
  t.equal(await three.flights.ended(again), true)
  t.equal(two.flights.isCurrent(next), false, 'what the other one makes comes too late')
  const other = three.flights.claim(three.space, 'a')
  two.flights.end(next)
  t.equal(three.flights.isCurrent(other), true)
})

t.test('a worker that dies while it cancels or ends leaves no flight that nobody ends', async t => {
  for (const end of ['cancel', 'end'] as const) {
    const stuck: number[] = []
    const places = everyPlace((n) => {
      const world = new World(MEBIBYTE).trace()
      const [dying, leader, third] = [world.worker(), world.worker(), world.worker()]
      const led = open(end === 'cancel' ? leader : dying)
      const flight = led.flights.claim(led.space, 'a')
      const { flights, space } = end === 'cancel' ? open(dying) : led
      const isDead = diesAtWrite(n, () => end === 'cancel' ? flights.cancel(space, 'a') : flights.end(flight))
      third.recover(dying.slot)
      if (end === 'cancel') led.flights.end(flight)
      const after = open(third)
      if (!after.flights.claim(after.space, 'a').isLeader) stuck.push(n)
      return isDead
    })
    t.strictSame(stuck, [], end)
    t.ok(places > 2)
  }
})

t.test('an error of which nothing can be told ends the flight all the same', async t => {
  const untold = [Object.create(null), Object.defineProperty(new Error('no'), 'why', { enumerable: true, get () { throw new Error('never') } }), Object.assign(new Error('x'), { message: Symbol('no') })]
  for (const error of untold) {
    const world = new World(4 * MEBIBYTE)
    const [one, other] = [openCache(world.worker()), openCache(world.worker())]
    const started = Promise.withResolvers<void>()
    const led = one.cache.get('a', async () => {
      started.resolve()
      await new Promise((resolve) => setTimeout(resolve, 5))
      throw error
    })
    await started.promise
    const followed = other.store.flights.claim(other.store.values, 'a')
    t.equal(followed.isLeader, false)
    await t.rejects(led.catch((caught) => { if (caught === error) throw new Error('as it was') }), { message: 'as it was' })
    t.match(other.store.outcome(followed), { error: Error })
    t.equal(other.store.flights.claim(other.store.values, 'a').isLeader, true)
  }
})
