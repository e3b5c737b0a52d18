import t from 'tap'
import { join } from 'node:path'
import { Peers } from '../shared-memory/peers.ts'
import { openTable } from './peer.ts'
import type { Jobs } from './peer.ts'

const startPeers = () => new Peers<Jobs>(undefined, join(import.meta.dirname, 'peer.ts'))

t.test('processes that read while others write, insert and delete never see half of a row', { timeout: 120_000 }, async t => {
  await using peers = startPeers()
  const [one, two, three, four] = await peers.startAll(4)
  const [, , ...readers] = await Promise.all([one!.call('write', 1, 400_000), two!.call('write', 2, 400_000), three!.call('read', 3, 300_000), four!.call('read', 4, 300_000)])
  for (const { found, different, torn } of readers) {
    t.strictSame(torn, [])
    t.ok(found > 100_000 && different > 100, `${found} rows, ${different} of them different`)
  }
})

t.test('additions of four processes to the same rows are all there', async t => {
  await using peers = startPeers()
  const table = openTable(peers.launcher.memory)
  await Promise.all((await peers.startAll(4)).map((peer) => peer.call('increment', 50_000)))
  t.strictSame([table.get('counter 0', 'a'), table.get('counter 1', 'a')], [100_000, 100_000])
})

t.test('of two that write and then read what the other writes, one at least sees the other\'s write', { timeout: 120_000 }, async t => {
  const ROUNDS = 1_000_000
  await using peers = startPeers()
  const [one, other] = await peers.startAll(2)
  const [missed, missedByOther] = await Promise.all([one!.call('writeThenRead', 0, ROUNDS), other!.call('writeThenRead', 1, ROUNDS)])
  const both = new Set(missed).intersection(new Set(missedByOther))
  t.equal(both.size, 0, `${both.size} of ${ROUNDS} rounds; one alone missed the other's write in ${missed.length + missedByOther.length}`)
})
