import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import { createLauncherMemory } from '../../plugins/shared-memory/index.ts'
import { Peers } from '../shared-memory/peers.ts'
import { random } from '../shared-memory/random.ts'
import { MEBIBYTE } from '../shared-memory/world.ts'
import { eventually } from '../support/processes.ts'
import { indexFaultOf } from './inspect.ts'
import { Marks } from './marks.ts'
import type { Jobs } from './peer.ts'
import { STOP, tallyFault } from './tally.ts'

const peersOf = (bytes = 16 * MEBIBYTE) => new Peers<Jobs>(bytes, join(import.meta.dirname, 'peer.ts'))

for (const [capacity, each] of [[1, 2000], [100, 100_000], [50_000, 100_000]] as const) {
  t.test(`${2 * each} items of two producers and two consumers over a queue of ${capacity}: none is lost or doubled, each producer's come in order`, async t => {
    await using peers = peersOf()
    const [p1, p2, c1, c2] = await peers.startAll(4)
    const queue = new SharedQueue<number>(peers.launcher.memory, 'numbers', { capacity })
    const tallies = [c1!.call('tally', 'numbers', 2), c2!.call('tally', 'numbers', 2)]
    await Promise.all([p1!.call('produce', 'numbers', 0, each), p2!.call('produce', 'numbers', 1, each)])
    for (let n = 0; n < 2; n++) t.equal(await queue.push(STOP, { timeout: '1m' }), true)
    t.equal(tallyFault(await Promise.all(tallies), 2, each), undefined)
    t.match(await queue.getStats(), { size: 0, pushed: 2 * each + 2, popped: 2 * each + 2 })
    t.equal(indexFaultOf(peers.launcher.memory, 'numbers'), undefined)
  })
}

t.test('a pop that waits in one process wakes by a push in another, and a push that waits for room by a pop', async t => {
  await using peers = peersOf()
  const [one, other] = await peers.startAll(2)
  const queue = new SharedQueue<unknown>(peers.launcher.memory, 'q', { capacity: 1 })
  for (let round = 0; round < 50; round++) {
    const pop = one!.call('pop', 'q', 60_000)
    t.equal(await other!.call('push', 'q', { round, text: 'é'.repeat(200) }), true)
    t.same(await pop, { round, text: 'é'.repeat(200) })
    t.equal(await queue.push('first'), true)
    const push = other!.call('push', 'q', 'second', 60_000)
    t.equal(await one!.call('pop', 'q'), 'first')
    t.equal(await push, true)
    t.equal(await queue.pop(), 'second')
  }
})

t.test('consumers that are killed at random lose no item: each is handled, and each delivery is acknowledged or counted as failed', async t => {
  const COUNT = 6000
  const next = random(7)
  await using peers = peersOf()
  const { memory } = peers.launcher
  const marks = new Marks(memory, COUNT)
  const queue = new SharedQueue<{ id: number, text: string }>(memory, 'items', { maxAttempts: 1000 })
  for (let id = 0; id < COUNT; id++) await queue.push({ id, text: 'x'.repeat(id % 200) })
  let consumers = await peers.startAll(3)
  const start = (peer: typeof consumers[number]) => peer.call('markForever', 'items', COUNT, 8)
  await Promise.all(consumers.map(start))
  const popped = async () => (await queue.getStats()).popped
  for (let kill = 1; kill <= 8; kill++) {
    const from = await popped()
    const to = Math.min(COUNT * kill / 10, COUNT - 1) + next(20)
    await eventually(`${to} items are done`, async () => from >= to || await popped() >= to)
    const [victim, ...others] = consumers as [typeof consumers[number], ...typeof consumers]
    await peers.killAndRecover(victim)
    const replacement = await peers.start()
    await start(replacement)
    consumers = [...others, replacement]
  }
  await eventually('all items are done', async () => await popped() === COUNT)
  const stats = await queue.getStats()
  t.match(stats, { size: 0, inFlight: 0, dead: 0, pushed: COUNT })
  let unhandled = 0
  for (let id = 0; id < COUNT; id++) if (marks.get(id) === 0) unhandled++
  t.equal(unhandled, 0)
  t.ok(marks.sum() <= COUNT + stats.failed, `${marks.sum()} handlings, ${stats.failed} of which failed`)
  t.ok(stats.failed > 0)
  t.equal(indexFaultOf(memory, 'items'), undefined)
})

t.test('producers that are killed at random: what was acknowledged is there exactly once, and at most one item each was not', async t => {
  const COUNT = 40_000
  const KILLS = 8
  const next = random(11)
  await using peers = peersOf(32 * MEBIBYTE)
  const { memory } = peers.launcher
  const marks = new Marks(memory, COUNT)
  const ids = new Uint32Atomic(memory, 'ids', 0)
  const queue = new SharedQueue<number | { id: number }>(memory, 'items', { capacity: 2000 })
  const found = new Uint8Array(COUNT)
  const done = new AbortController()
  const consumed = (async () => {
    while (!done.signal.aborted || !await queue.isEmpty()) {
      const item = await queue.pop({ timeout: 50 })
      if (item !== undefined) found[typeof item === 'number' ? item : item.id]!++
    }
  })()
  let producers = await peers.startAll(2)
  const start = (peer: typeof producers[number]) => { peer.call('pushForever', 'items', 'ids', COUNT).catch(() => {}) }
  producers.forEach(start)
  for (let kill = 1; kill <= KILLS; kill++) {
    const to = Math.floor(COUNT * kill / (KILLS + 2)) + next(100)
    await eventually(`${to} ids are taken`, () => ids.get() >= to)
    await peers.killAndRecover(producers[0]!)
    producers = [producers[1]!, await peers.start()]
    start(producers[1]!)
  }
  await eventually('all ids are taken', () => ids.get() >= COUNT + 2)
  await eventually('all are pushed', async () => marks.sum() + KILLS >= COUNT)
  await eventually('all are popped', async () => await queue.isEmpty())
  done.abort()
  await consumed
  const wrong = found.reduce((sum, times, id) => sum + (times > 1 || times < marks.get(id) ? 1 : 0), 0)
  t.equal(wrong, 0)
  t.ok(found.filter((times) => times === 0).length <= KILLS)
  t.equal(indexFaultOf(memory, 'items'), undefined)
})

t.test('a worker whose event loop hangs loses its item to one that waits', async t => {
  await using peers = peersOf()
  const [hanging, waiting] = await peers.startAll(2)
  const queue = new SharedQueue<string>(peers.launcher.memory, 'q', { visibilityTimeout: 200 })
  const hangs = new Uint32Atomic(peers.launcher.memory, 'hangs', 0)
  await queue.push('item')
  await hanging!.call('takeAndHang', 'q')
  await hangs.wait('1m')
  t.equal((await queue.getStats()).inFlight, 1)
  t.equal(await waiting!.call('pop', 'q', 60_000), 'item')
  t.match(await queue.getStats(), { failed: 1, popped: 1, inFlight: 0, size: 0 })
})

t.test('the item of a killed worker goes at once to one that waits', async t => {
  await using peers = peersOf()
  const [hanging, waiting] = await peers.startAll(2)
  const queue = new SharedQueue<string>(peers.launcher.memory, 'q')
  const hangs = new Uint32Atomic(peers.launcher.memory, 'hangs', 0)
  await queue.push('item')
  await hanging!.call('takeAndHang', 'q')
  await hangs.wait('1m')
  const pop = waiting!.call('pop', 'q', 60_000)
  await peers.killAndRecover(hanging!)
  t.equal(await pop, 'item')
  t.match(await queue.getStats(), { failed: 1, popped: 1, inFlight: 0, size: 0 })
})

t.test('a queue in a memory file is there after a stop of everything, and what was in flight is ready again', async t => {
  const folder = t.testdir()
  const open = () => createLauncherMemory({ bytes: 4 * MEBIBYTE, folder: mkdtempSync(join(folder, 'bells-')), file: join(folder, 'memory'), warn: t.fail })
  const before = open()
  const queue = new SharedQueue<string>(before.memory, 'q', { visibilityTimeout: '1h' })
  for (const item of ['a', 'b'.repeat(300), 'c']) await queue.push(item)
  await queue.push('delayed', { delay: 1 })
  const taken: string[] = []
  queue.consume((item) => { taken.push(item); return new Promise(() => {}) }, { concurrency: 2 })
  await eventually('two are in flight', () => taken.length === 2)
  // As after a kill of everything: nobody puts anything back.
  const killed = Buffer.from(readFileSync(join(folder, 'memory')))
  before.close()
  writeFileSync(join(folder, 'memory'), killed)

  const after = open()
  const again = new SharedQueue<string>(after.memory, 'q', { visibilityTimeout: '1h' })
  t.match(await again.getStats(), { inFlight: 0, pushed: 4, popped: 0, failed: 2 })
  for (const item of ['a', 'b'.repeat(300), 'c', 'delayed']) t.equal(await again.pop({ timeout: '1m' }), item)
  t.equal(indexFaultOf(after.memory, 'q'), undefined)
  after.close()
})

t.test('a process that closes rejects its waits, and the item goes to another', async t => {
  await using peers = peersOf()
  const [closing, other] = await peers.startAll(2)
  const queue = new SharedQueue<string>(peers.launcher.memory, 'q')
  const rejected = t.rejects(closing!.call('pop', 'q', 60_000), { message: /FST_SWOOLE_CLOSED/ })
  const pop = other!.call('pop', 'q', 60_000)
  await closing!.call('close')
  await rejected
  await queue.push('item')
  t.equal(await pop, 'item')
})
