import t from 'tap'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Peers } from '../shared-memory/peers.ts'
import { eventually } from '../support/processes.ts'
import { openCache, runsOf } from './peer.ts'
import type { Jobs } from './peer.ts'

const startPeers = () => new Peers<Jobs>(undefined, join(import.meta.dirname, 'peer.ts'))

t.test('a thousand that miss one key at once, in four processes, are given what one computed', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const all = await peers.startAll(4)
  const answers = await Promise.all(all.map((peer) => peer.call('getTogether', 'one', 250, 300)))
  t.equal(runsOf(peers.launcher.memory).get(), 1)
  t.strictSame(answers.map(({ same }) => same), [250, 250, 250, 250])
  t.equal(new Set(answers.map(({ by }) => by)).size, 1)
})

t.test('what takes longer than others wait for it alone is given to all, in four processes, when the first of them has it', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const all = await peers.startAll(4)
  const answers = await Promise.all(all.map((peer) => peer.call('getTogether', 'one', 20, 1000, 300)))
  t.strictSame(answers.map(({ same }) => same), [20, 20, 20, 20])
  t.equal(new Set(answers.map(({ by }) => by)).size, 1)
  const runs = runsOf(peers.launcher.memory).get()
  t.ok(runs >= 2 && runs <= 8, `${runs} have computed`)
})

t.test('when the process that computes is killed another one computes, and all others are served', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const { cache } = openCache(peers.launcher.memory)
  const all = await peers.startAll(4)
  const asked = all.map((peer) => ({ peer, answer: peer.call('getTogether', 'one', 250, 1000).catch(() => undefined) }))
  await eventually('somebody computes', () => cache.get('computing one'))
  const index = await cache.get<number>('computing one')
  const killed = asked.find(({ peer }) => peer.slot.index === index)!
  await peers.killAndRecover(killed.peer)
  const answers = await Promise.all(asked.filter((one) => one !== killed).map(({ answer }) => answer))
  t.equal(runsOf(peers.launcher.memory).get(), 2, 'it ran once more')
  t.strictSame(answers.map((answer) => answer?.same), [250, 250, 250])
  t.equal(new Set(answers.map((answer) => answer?.by)).size, 1)
  t.not(answers[0]?.by, index)
})

t.test('the error of what computes goes to all that asked, and nothing is kept', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const all = await peers.startAll(4)
  const answers = (await Promise.all(all.map((peer) => peer.call('failTogether', 'one', 50, 4)))).flat()
  t.strictSame([...new Set(answers)], ['RangeError,run 1 failed,E_TEST,418'])
  t.equal(answers.length, 200)
  t.equal(runsOf(peers.launcher.memory).get(), 1)
  t.strictSame(await all[0]!.call('failTogether', 'one', 1, 0), ['RangeError,run 2 failed,E_TEST,418'])
})

t.test('what is not to be kept is still computed once for all that ask at the same time', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const all = await peers.startAll(4)
  const answers = (await Promise.all(all.map((peer) => peer.call('passTogether', 'one', 50, 4)))).flat()
  t.strictSame([...new Set(answers)], [1])
  t.strictSame(await all[1]!.call('passTogether', 'one', 1, 0), [2])
})

t.test('what one process keeps another finds, and what it invalidates is gone everywhere', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const { cache } = openCache(peers.launcher.memory)
  const [one, other] = await peers.startAll(2)
  await cache.set('a', { text: 'x'.repeat(100_000) }, { tags: ['some'] })
  t.strictSame(await one!.call('get', 'a'), { text: 'x'.repeat(100_000) })
  t.equal(await other!.call('invalidate', 'some'), 1)
  t.equal(await one!.call('get', 'a'), undefined)
  t.equal(await cache.get('a'), undefined)
})

t.test('processes that are killed while they use the cache leave it whole for the others', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const { cache } = openCache(peers.launcher.memory)
  const survivors = await peers.startAll(2)
  const running = survivors.map((peer, n) => peer.call('useForEver', n, 4000))
  for (let round = 0; round < 8; round++) {
    const peer = await peers.start()
    peer.call('useForEver', 100 + round, 60_000).catch(() => {})
    await sleep(100 + round * 7)
    await peers.killAndRecover(peer)
  }
  for (const { wrong, done } of await Promise.all(running)) {
    t.strictSame(wrong, [])
    t.ok(done > 500, `${done} reads`)
  }
  t.equal(cache.stats().corrupt, 0)
  await cache.clear()
  t.strictSame([cache.stats().entries, cache.stats().bytes < 64 * 1024], [0, true])
})
