import t from 'tap'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCache } from '../cache/peer.ts'
import type { Jobs } from '../cache/peer.ts'
import { Peers } from '../shared-memory/peers.ts'
import type { Peer } from '../shared-memory/peers.ts'

const KILLS = 200
const FOREVER_MS = 600_000

t.test('four processes use a cache and are killed again and again: no value is ever another one or torn', { timeout: 900_000 }, async t => {
  await using peers = new Peers<Jobs>(undefined, join(import.meta.dirname, '../cache/peer.ts'))
  const { cache } = openCache(peers.launcher.memory)
  const living: Array<Peer<Jobs>> = []
  let seed = 0
  const startOne = async () => {
    const peer = await peers.start()
    peer.call('useForEver', seed++, FOREVER_MS).catch(() => {})
    living.push(peer)
  }
  for (let n = 0; n < 3; n++) await startOne()
  const watcher = await peers.start()
  let done = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const seen = watcher.call('useForEver', seed++, 100)
    await sleep(kill % 97)
    await peers.killAndRecover(living.shift()!)
    await startOne()
    const { wrong, done: reads } = await seen
    done += reads
    if (wrong.length > 0) t.fail(wrong.join('\n'))
  }
  for (const peer of living) await peers.killAndRecover(peer)
  t.ok(done > KILLS * 10, `${done} values were looked at`)
  t.equal(cache.stats().corrupt, 0)
  await cache.clear()
  t.equal(cache.stats().entries, 0)
  // Outcomes of computations that failed or were not kept are in a space of their own.
  t.ok(cache.stats().bytes < 64 * 1024, `${cache.stats().bytes} bytes are left`)
  for (let n = 0; n < 5000; n++) await cache.set(`key ${n}`, n)
  t.ok(cache.stats().bytes > 0.95 * cache.stats().capacity, 'all of it can be used again')
})
