import { join } from 'node:path'
import t from 'tap'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import type { Jobs } from '../queue/peer.ts'
import { indexFaultOf } from '../queue/inspect.ts'
import { STOP, tallyFault } from '../queue/tally.ts'
import { Peers } from '../shared-memory/peers.ts'
import { MEBIBYTE } from '../shared-memory/world.ts'

const PRODUCERS = 2
const CONSUMERS = 2
const EACH = Number(process.env['SOAK_ITEMS'] ?? 10_000_000) / PRODUCERS
const MOST_MINUTES = 10

t.test(`${PRODUCERS * EACH} items over ${PRODUCERS + CONSUMERS} processes: none is lost or doubled, each producer's come in order`, { timeout: 30 * 60_000 }, async t => {
  await using peers = new Peers<Jobs>(16 * MEBIBYTE, join(import.meta.dirname, '../queue/peer.ts'))
  const { memory } = peers.launcher
  const all = await peers.startAll(PRODUCERS + CONSUMERS)
  const queue = new SharedQueue<number>(memory, 'numbers', { capacity: 10_000 })
  const start = performance.now()
  const tallies = all.slice(PRODUCERS).map((peer) => peer.call('tally', 'numbers', PRODUCERS))
  await Promise.all(all.slice(0, PRODUCERS).map((peer, producer) => peer.call('produce', 'numbers', producer, EACH)))
  for (let n = 0; n < CONSUMERS; n++) t.equal(await queue.push(STOP, { timeout: '1m' }), true)
  t.equal(tallyFault(await Promise.all(tallies), PRODUCERS, EACH), undefined)
  const seconds = (performance.now() - start) / 1000
  t.comment(`${seconds.toFixed(1)} s, ${Math.round(PRODUCERS * EACH / seconds)} items/s`)
  t.ok(seconds < MOST_MINUTES * 60)
  t.ok(memory.allocator.usage().used < 4 * MEBIBYTE)
  t.equal(indexFaultOf(memory, 'numbers'), undefined)
})
