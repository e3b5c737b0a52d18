import t from 'tap'
import { join } from 'node:path'
import type { Jobs } from '../cache/peer.ts'
import { Peers } from './peers.ts'

t.test('workers that open a large object at once make it once, though there is room for but one', { timeout: 60_000 }, async t => {
  await using peers = new Peers<Jobs>(2 * 1024 * 1024, join(import.meta.dirname, '../cache/peer.ts'))
  const all = await peers.startAll(4)
  const found = await Promise.all(all.map((peer) => peer.call('get', 'a')))
  t.strictSame(found, [undefined, undefined, undefined, undefined])
})
