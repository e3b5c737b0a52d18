import t from 'tap'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Peers } from '../shared-memory/peers.ts'
import { RATE, limiters } from './peer.ts'
import type { Jobs } from './peer.ts'

const startPeers = () => new Peers<Jobs>(undefined, join(import.meta.dirname, 'peer.ts'))

t.test('eight processes that ask 20,000 times admit what the bucket holds and what is refilled meanwhile', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const all = await peers.startAll(8)
  const startedAt = Date.now()
  const admitted = await Promise.all(all.map((peer) => peer.call('ask', 'one', 2500)))
  const refilled = (Date.now() - startedAt) * RATE.maxRequests / 60_000
  const sum = admitted.reduce((sum, count) => sum + count)
  t.ok(sum >= RATE.maxRequests && sum <= RATE.maxRequests + refilled + 1, `${sum} were admitted, ${refilled} refilled`)
})

t.test('eight processes that count 20,000 requests in one window find exactly as many within it as it allows', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const within = await Promise.all((await peers.startAll(8)).map((peer) => peer.call('count', 'one', 2500, 1000)))
  t.equal(within.reduce((sum, count) => sum + count), 1000)
})

t.test('processes that are killed while they ask lift no limit and stop nobody', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const { limiter } = limiters(peers.launcher.memory)
  for (let n = 0; n < RATE.maxRequests; n++) limiter.take('empty')
  const startedAt = Date.now()
  for (let round = 0; round < 15; round++) {
    const peer = await peers.start()
    peer.call('askForEver').catch(() => {})
    await sleep(20 + round)
    await peers.killAndRecover(peer)
    limiter.take('empty', 999)
    t.ok(limiter.take('empty', 999).allowed === false, 'the bucket stays as empty as it was')
    t.ok(limiter.take(`fresh ${round}`).allowed)
  }
  const refilled = (Date.now() - startedAt) * RATE.maxRequests / 60_000
  t.ok((await limiter.getInfo('empty')).remaining <= refilled + 1)
  t.ok(limiter.stats().records <= 1000)
})
