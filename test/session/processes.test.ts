import t from 'tap'
import { join } from 'node:path'
import { Peers } from '../shared-memory/peers.ts'
import { killWhileUsingSessions } from './kill-workers.ts'
import { open } from './peer.ts'
import type { Jobs } from './peer.ts'

t.test('eight processes that change one session at the same time lose no change', { timeout: 60_000 }, async t => {
  await using peers = new Peers<Jobs>(undefined, join(import.meta.dirname, 'peer.ts'))
  open(peers.launcher.memory)
  const all = await peers.startAll(8)
  for (let round = 0; round < 20; round++) {
    const id = `session ${round}`
    await all[0]!.call('set', id, { cookie: {}, round })
    await Promise.all(all.map((peer, n) => peer.call('overlap', id, `peer ${n}`, all.length)))
    const session = await all[round % 8]!.call('get', id)
    t.equal(Object.keys(session).filter((name) => name.startsWith('peer')).length, 8)
    t.equal(session.round, round)
  }
})

t.test('20,000 sessions while a worker is killed each second: none is another\'s, none is lost; `npm run soak` has 200,000', { timeout: 120_000 }, async t => {
  await killWhileUsingSessions(t, { sessions: 20_000, seconds: 8 })
})
