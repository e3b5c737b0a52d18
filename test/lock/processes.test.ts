import { join } from 'node:path'
import t from 'tap'
import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { SharedLock } from '../../plugins/lock/memory.ts'
import type { LockOptions } from '../../plugins/lock/memory.ts'
import { Peers } from '../shared-memory/peers.ts'
import { eventually } from '../support/processes.ts'
import type { Jobs } from './peer.ts'

const makePeers = () => new Peers<Jobs>(undefined, join(import.meta.dirname, 'peer.ts'))
const word = ({ launcher: { memory } }: Peers<Jobs>, name: string) => Atomics.load(memory.region.i32, memory.open({ type: 'test', name, definition: 'word', bytes: 4 }) / 4)

for (const type of ['mutex', 'rwlock', 'spinlock', 'semaphore'] as const) {
  t.test(`a ${type}: four processes that change an unprotected counter under it lose nothing`, async t => {
    await using peers = makePeers()
    const all = await peers.startAll(4)
    await Promise.all(all.flatMap((peer) => [peer.call('count', 'x', 1500, type), peer.call('count', 'x', 1500, type)]))
    t.equal(word(peers, 'x'), 12_000)
    await Promise.all(all.map((peer) => peer.call('countByTrying', 'y', 2000, type)))
    t.equal(word(peers, 'y'), 8000)
    const stats = new SharedLock(peers.launcher.memory, 'x', { type }).stats()
    t.match(stats, { held: 0, waiting: 0, acquired: 12_000, abandoned: 0 })
  })
}

for (const [type, permits] of [['mutex', 1], ['rwlock', 1], ['semaphore', 3]] as const) {
  t.test(`a ${type}: four processes lock, try, time out and abort at random; never are too many inside, and nobody hangs`, async t => {
    await using peers = makePeers()
    const all = await peers.startAll(4)
    const faults = await Promise.all(all.map((peer, n) => peer.call('mingle', 'x', type, permits, n + 1, 700)))
    t.same(faults.flat(), [])
    t.match(new SharedLock(peers.launcher.memory, 'x', type === 'semaphore' ? { type, permits } : { type }).stats(), { held: 0, waiting: 0, abandoned: 0 })
  })

  t.test(`a ${type}: processes are killed at random; the others go on, and no permit is lost`, async t => {
    await using peers = makePeers()
    const [steady] = await peers.startAll(1)
    const lock = new SharedLock(peers.launcher.memory, 'x', type === 'semaphore' ? { type, permits } : { type })
    for (let round = 0; round < 4; round++) {
      const dying = await peers.start()
      dying.call('mingleForever', 'x', type, permits, round).catch(() => {})
      const faults = steady!.call('mingle', 'x', type, permits, round, 300)
      const before = lock.stats().acquired
      await eventually('it is under way', () => lock.stats().acquired > before + 50)
      await peers.killAndRecover(dying)
      t.same(await faults, [])
    }
    const handles = []
    for (let n = 0; n < permits; n++) handles.push(await lock.lock({ timeout: 20_000 }))
    t.match(lock.stats(), { held: handles.length, waiting: 0 })
  })
}

t.test('a process that is killed while it holds a lock gives it to the next, who is told', async t => {
  await using peers = makePeers()
  const [dying, next, last] = await peers.startAll(3)
  const own = new SharedLock(peers.launcher.memory, 'x')
  const { fencingToken } = await dying!.call('lock', 'x')
  const waiting = next!.call('lock', 'x')
  await eventually('it waits', () => own.stats().waiting === 1)
  const behind = last!.call('lock', 'x')
  await eventually('both wait', () => own.stats().waiting === 2)
  await peers.killAndRecover(dying!)
  const got = await waiting
  t.equal(got.abandoned, true)
  t.ok(got.fencingToken > fencingToken)
  await next!.call('unlock', 'x')
  t.equal((await behind).abandoned, false)
  t.match(own.stats(), { held: 1, waiting: 0, abandoned: 1 })
})

t.test('with nobody waiting, the next to try takes the lock of a dead process', async t => {
  for (const options of [{}, { type: 'rwlock' }, { type: 'spinlock' }] as LockOptions[]) {
    await using peers = makePeers()
    const [dying] = await peers.startAll(1)
    await dying!.call('open', 'x', options.type ?? 'mutex')
    await dying!.call('lock', 'x')
    const own = new SharedLock(peers.launcher.memory, 'x', options)
    t.equal(own.trylock(), undefined)
    await peers.killAndRecover(dying!)
    const handle = own.trylock()!
    t.equal(handle.abandoned, true)
    handle.unlock()
    t.equal(own.trylock()!.abandoned, false)
  }
})

t.test('a process that is killed while it waits, or before it notices its grant, holds nobody up', async t => {
  await using peers = makePeers()
  const [holding, waiting, blocked, last] = await peers.startAll(4)
  const own = new SharedLock(peers.launcher.memory, 'x')
  const entered = new Uint32Atomic(peers.launcher.memory, 'entered', 0)
  await holding!.call('lock', 'x')
  for (const [n, peer] of [waiting, blocked, last].entries()) {
    peer!.call('lock', 'x').catch(() => {})
    await eventually('it waits', () => own.stats().waiting === n + 1)
  }
  blocked!.call('block', 'never', 'entered').catch(() => {})
  await eventually('it is blocked', () => entered.get() === 1)
  await peers.killAndRecover(waiting!)
  await holding!.call('unlock', 'x')
  t.match(own.stats(), { held: 1, waiting: 2 }, 'granted to the blocked one, which has not noticed')
  await peers.killAndRecover(blocked!)
  await eventually('the last has it', () => own.stats().waiting === 0 && own.stats().held === 1)
  t.equal(own.stats().abandoned, 0, 'who died had never noticed that it had it')
  await last!.call('unlock', 'x')
  t.equal((await own.lock()).abandoned, false)
})

t.test('a live process that holds a lock keeps it, even while its event loop is blocked', async t => {
  await using peers = makePeers()
  const [blocked, other] = await peers.startAll(2)
  const release = new Uint32Atomic(peers.launcher.memory, 'release', 0)
  await blocked!.call('lock', 'x')
  const blocking = blocked!.call('block', 'release', 'entered')
  await new Uint32Atomic(peers.launcher.memory, 'entered', 0).wait()
  // The original's lock was taken from its holder after two seconds.
  await t.rejects(new SharedLock(peers.launcher.memory, 'x').lock({ timeout: 2500 }), { code: 'FST_SWOOLE_LOCK_TIMEOUT', message: /held by worker 0 / })
  t.equal(await other!.call('trylock', 'x'), false)
  release.set(1)
  await blocking
  await blocked!.call('unlock', 'x')
  t.equal(await other!.call('trylock', 'x'), true)
})

t.test('a lock goes round processes and contexts in the order in which they came', async t => {
  await using peers = makePeers()
  const all = await peers.startAll(3)
  const { memory } = peers.launcher
  const own = new SharedLock(memory, 'x')
  const first = await own.lock()
  const marks = Array.from({ length: 30 }, (_, n) => n + 1)
  const waits: Array<Promise<unknown>> = []
  for (const mark of marks) {
    waits.push(all[mark * 7 % 10 % 3]!.call('getInLine', 'x', mark))
    await eventually('it waits', () => own.stats().waiting === mark)
  }
  first.unlock()
  await Promise.all(waits)
  const order = memory.open({ type: 'test', name: 'order', definition: 'words', bytes: 1024 }) / 4
  t.same([...memory.region.i32.subarray(order + 1, order + 31)], marks)
})

t.test('three processes that wait for each other in a circle: one of them is refused with the circle, the others go on', async t => {
  await using peers = makePeers()
  const all = await peers.startAll(3)
  const held = new Uint32Atomic(peers.launcher.memory, 'held', 0)
  const names = ['a', 'b', 'c']
  const results = all.map((peer, n) => peer.call('holdAndWait', names[n]!, names[(n + 1) % 3]!, 'held'))
  await eventually('each holds one', () => held.get() === 3)
  new Uint32Atomic(peers.launcher.memory, 'held by all', 0).set(1)
  const outcomes = await Promise.all(results)
  t.equal(outcomes.filter((outcome) => outcome === 'got it').length, 2)
  const refused = outcomes.find((outcome) => outcome !== 'got it')!
  t.match(refused, /^FST_SWOOLE_DEADLOCK Waiting for the lock "(a|b|c)" would never end: /)
  for (const name of names) t.match(refused, new RegExp(`"${name}" is held by worker \\d \\(process \\d+\\), which waits for "`))
})
