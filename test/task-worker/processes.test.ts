import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { MEBIBYTE } from '../shared-memory/world.ts'
import { Peers } from '../shared-memory/peers.ts'
import { eventually } from '../support/processes.ts'
import { marksOf, openTasks } from './peer.ts'
import type { Jobs } from './peer.ts'

const startPeers = () => new Peers<Jobs>(64 * MEBIBYTE, join(import.meta.dirname, 'peer.ts'))

t.test('each task that was left runs, and ends once, however often its worker is killed', { timeout: 120_000 }, async t => {
  await using peers = startPeers()
  const count = 6000
  const tasks = openTasks(peers.launcher.memory, count)
  const [dispatcher] = await peers.startAll(1)
  await dispatcher!.call('open', count, false)
  const leaving = dispatcher!.call('dispatchAll', 0, count)
  for (let kills = 0; kills < 12; kills++) {
    const worker = await peers.start()
    await worker.call('open', count, true)
    const done = (await tasks.getStats()).completed
    await eventually('it works', async () => { const { completed, queued } = await tasks.getStats(); return completed > done + 20 || queued === 0 })
    await peers.killAndRecover(worker)
  }
  await leaving
  const last = await peers.start()
  await last.call('open', count, true)
  await eventually('all are done', async () => (await tasks.getStats()).completed === count)
  t.match(await tasks.getStats(), { busy: 0, queued: 0, completed: count, failed: 0 })
  const { get } = marksOf(peers.launcher.memory, count)
  const runs = Array.from({ length: count }, (_, n) => get(n))
  t.strictSame(runs.filter((times) => times === 0), [], 'each ran')
  t.ok(runs.reduce((sum, times) => sum + times, 0) <= count + 13, 'and again only when its worker had died')
})

t.test('each who waits gets its own answer while workers are killed', { timeout: 120_000 }, async t => {
  await using peers = startPeers()
  const [one, other] = await peers.startAll(2)
  await one!.call('open', 1, false)
  await other!.call('open', 1, false)
  const called = [one!.call('callAll', 2000, 16, 60_000), other!.call('callAll', 2000, 16, 60_000)]
  const stays = await peers.start()
  await stays.call('open', 1, true)
  for (let kills = 0; kills < 10; kills++) {
    const worker = await peers.start()
    await worker.call('open', 1, true)
    await sleep(20)
    await peers.killAndRecover(worker)
  }
  t.strictSame(await Promise.all(called), [[], []])
})

t.test('a task that kills its worker as often as it may be tried is dead, and who waits is told what became of it', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const tasks = openTasks(peers.launcher.memory, 1)
  const runs = new Uint32Atomic(peers.launcher.memory, 'runs', 0)
  const caller = await peers.start()
  await caller.call('open', 1, false)
  const answer = caller.call('call', 'die', 50_000)
  for (let kills = 1; kills <= 3; kills++) {
    const worker = await peers.start()
    await worker.call('open', 1, true)
    await worker.exited
    t.equal(runs.get(), kills)
    peers.launcher.memory.recover(worker.slot)
  }
  t.match(await answer, { code: 'FST_SWOOLE_TASK_WORKER_DIED', message: /^A task of type "die" failed for good: the worker in slot \d+ died while it had the item$/ })
  t.match(await tasks.deadLetters('die'), [{ type: 'die', attempts: 3, error: /^the worker in slot \d+ died/ }])
  t.match(await tasks.getStats(), { failed: 1, retried: 2 })
})

t.test('a worker whose event loop hangs loses its task, and who waits is told', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const tasks = openTasks(peers.launcher.memory, 1)
  const [caller, worker] = await peers.startAll(2)
  await caller!.call('open', 1, false)
  await worker!.call('open', 1, true)
  t.match(await caller!.call('call', 'hang', 50_000), { code: 'FST_SWOOLE_TASK_WORKER_DIED', message: /longer than/ })
  t.match(await tasks.deadLetters('hang'), [{ type: 'hang', attempts: 1 }])
  await peers.killAndRecover(worker!)
})

t.test('a task whose worker hangs is run by another that sleeps, with nobody waiting for it', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const { memory } = peers.launcher
  const tasks = openTasks(memory, 1)
  const runs = new Uint32Atomic(memory, 'runs', 0)
  const [one, other] = await peers.startAll(2)
  await one!.call('open', 1, true)
  await other!.call('open', 1, true)
  await tasks.dispatch('hang', undefined, { attempts: 2 })
  // Whoever asks for anything of the type would take it back: only the count of runs is looked at.
  await eventually('the second runs it', () => runs.get() === 2)
  t.equal(runs.get(), 2)
})

t.test('who takes a slot after one that died does not get its answers', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const runs = new Uint32Atomic(peers.launcher.memory, 'runs', 0)
  openTasks(peers.launcher.memory, 1)
  const first = await peers.start()
  await first.call('open', 1, false)
  first.call('call', 'who', 50_000).catch(() => {})
  first.call('call', 'long', 50_000).catch(() => {})
  const worker = await peers.start()
  await worker.call('open', 1, true)
  await eventually('one runs', () => runs.get() === 1)
  await peers.killAndRecover(first)
  const second = await peers.start()
  t.equal(second.slot.index, first.slot.index)
  await second.call('open', 1, false)
  t.match(await second.call('call', 'who', 20_000), { value: await worker.call('pid') })
})
