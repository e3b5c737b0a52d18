import t from 'tap'
import { Int64Atomic, Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import { Peers } from '../shared-memory/peers.ts'

const own = createLocalMemory(1024 * 1024)

const atLeast = async (atomic: Uint32Atomic, value: number) => {
  // Looked at after each turn of the event loop: what counts up has no bell.
  while (atomic.get() < value) await new Promise((resolve) => setImmediate(resolve))
}

t.test('a wait returns at once when the value is not zero, and takes nothing from it', async t => {
  const atomic = new Uint32Atomic(own, 'set', 3)
  t.equal(await atomic.wait(0), true)
  t.equal(await atomic.wait(), true)
  t.equal(atomic.get(), 3)
})

t.test('a wait is false after its time-out; a duration that is none is refused', async t => {
  const atomic = new Uint32Atomic(own, 'zero', 0)
  t.equal(await atomic.wait(1), false)
  t.equal(await atomic.wait('1ms'), false)
  t.equal(await atomic.wait(0), false)
  await t.rejects(atomic.wait('soon' as '1s'), { code: 'FST_SWOOLE_DURATION_INVALID' })
  await t.rejects(atomic.wait(-1), { code: 'FST_SWOOLE_DURATION_INVALID' })
})

t.test('a 64-bit value that is not zero in its upper half only wakes', async t => {
  const atomic = new Int64Atomic(own, 'long', 0n)
  const wait = atomic.wait()
  atomic.set(2n ** 40n)
  t.equal(await wait, true)
})

t.test('waiters of the own worker are woken by every way to leave zero', async t => {
  for (const leave of [(a: Uint32Atomic) => a.set(1), (a: Uint32Atomic) => a.add(1), (a: Uint32Atomic) => a.sub(1), (a: Uint32Atomic) => a.increment(), (a: Uint32Atomic) => a.decrement(), (a: Uint32Atomic) => a.compareAndSwap(0, 1)]) {
    const atomic = new Uint32Atomic(own, 'own', 0)
    atomic.set(0)
    const waits = [atomic.wait(), atomic.wait('1h')]
    leave(atomic)
    t.same(await Promise.all(waits), [true, true])
  }
})

t.test('waiters of other processes are woken by set, add and compareAndSwap', async t => {
  await using peers = new Peers()
  const [waiter, other, waker] = await peers.startAll(3)
  const atomic = new Uint32Atomic(peers.launcher.memory, 'value', 0)
  const entered = new Uint32Atomic(peers.launcher.memory, 'entered', 0)
  for (const wake of [() => waker!.call('set', 'value', 1), () => waker!.call('add', 'value', 1), () => waker!.call('compareAndSwap', 'value', 0, 1)]) {
    atomic.set(0)
    entered.set(0)
    const woken = [waiter!.call('waitMany', 'value', 'entered', 3), other!.call('waitMany', 'value', 'entered', 2)]
    await atLeast(entered, 5)
    await wake()
    t.same(await Promise.all(woken), [3, 2])
  }
})

t.test('wakeup wakes exactly as many as it says over several processes, and leaves the value', async t => {
  await using peers = new Peers()
  const all = await peers.startAll(3)
  const atomic = new Uint32Atomic(peers.launcher.memory, 'value', 0)
  const entered = new Uint32Atomic(peers.launcher.memory, 'entered', 0)
  t.equal(atomic.wakeup(5), 0)
  const waits = all.map((peer) => peer.call('waitMany', 'value', 'entered', 4))
  await atLeast(entered, 12)
  t.equal(atomic.wakeup(0), 0)
  t.equal(atomic.wakeup(), 1)
  t.equal(await all[0]!.call('wakeup', 'value', 5), 5)
  t.equal(atomic.wakeup(100), 6)
  t.same(await Promise.all(waits), [4, 4, 4])
  t.equal(atomic.wakeup(1), 0)
  t.equal(atomic.get(), 0)
})

t.test('a process that is killed while it waits is not counted after its recovery', async t => {
  await using peers = new Peers()
  const [dead, alive] = await peers.startAll(2)
  const atomic = new Uint32Atomic(peers.launcher.memory, 'value', 0)
  const entered = new Uint32Atomic(peers.launcher.memory, 'entered', 0)
  dead!.call('waitMany', 'value', 'entered', 5).catch(() => {})
  const woken = alive!.call('waitMany', 'value', 'entered', 2)
  await atLeast(entered, 7)
  await peers.killAndRecover(dead!)
  t.equal(atomic.wakeup(10), 2)
  t.equal(await woken, 2)
  const next = await peers.start()
  t.equal(next.slot.index, dead!.slot.index)
  const wokenNext = next.call('waitMany', 'value', 'entered', 1)
  await atLeast(entered, 8)
  t.equal(atomic.wakeup(10), 1)
  t.equal(await wokenNext, 1)
})

t.test('a process that is killed between its change and its wake-up: the waiters hear of the change by its recovery', async t => {
  await using peers = new Peers()
  const [waiter, dying] = await peers.startAll(2)
  const atomic = new Uint32Atomic(peers.launcher.memory, 'value', 0)
  const entered = new Uint32Atomic(peers.launcher.memory, 'entered', 0)
  const ownWait = atomic.wait()
  const woken = waiter!.call('waitMany', 'value', 'entered', 3)
  await atLeast(entered, 3)
  dying!.call('setAndDie', 'value').catch(() => {})
  await dying!.exited
  await peers.killAndRecover(dying!)
  t.equal(await woken, 3)
  t.equal(await ownWait, true)
})

t.test('a process that closes its memory rejects its waiters, and they are not counted any more', async t => {
  await using peers = new Peers()
  const [closing] = await peers.startAll(1)
  const atomic = new Uint32Atomic(peers.launcher.memory, 'value', 0)
  const entered = new Uint32Atomic(peers.launcher.memory, 'entered', 0)
  const woken = closing!.call('waitMany', 'value', 'entered', 3)
  const rejected = t.rejects(woken, { message: /FST_SWOOLE_CLOSED/ })
  await atLeast(entered, 3)
  await closing!.call('close')
  await rejected
  t.equal(atomic.wakeup(10), 0)
})

t.test('1,000 waiters in four processes with random time-outs: as many are woken as the wake-ups say', async t => {
  await using peers = new Peers()
  const all = await peers.startAll(4)
  const atomic = new Uint32Atomic(peers.launcher.memory, 'value', 0)
  const waiting = new AbortController()
  const woken = Promise.all(all.map((peer, n) => peer.call('waitMany', 'value', 'entered', 250, 60, n + 1)))
    .then((counts) => counts.reduce((sum, count) => sum + count))
    .finally(() => waiting.abort())
  let granted = 0
  for (let n = 0; !waiting.signal.aborted; n++) {
    granted += atomic.wakeup(n % 4)
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(await woken, granted)
  t.equal(atomic.wakeup(1000), 0)
})
