import { join } from 'node:path'
import t from 'tap'
import { Peers } from '../shared-memory/peers.ts'
import { random } from '../shared-memory/random.ts'
import { JUDGES } from './judged.ts'
import type { Jobs } from './peer.ts'
import { PROCESSES, Recorder } from './recorder.ts'

t.test('the clocks of two processes are one: none is behind what the other has read before', async t => {
  await using peers = new Peers<Jobs>(undefined, join(import.meta.dirname, 'peer.ts'))
  const both = await peers.startAll(2)
  let [meetings, behind] = [0, 0]
  for (let round = 0; meetings < 1000 && round < 50; round++) {
    for (const found of await Promise.all(both.map((peer) => peer.call('compareClocks', 300_000)))) {
      meetings += found.meetings
      behind += found.behind
    }
  }
  // On a machine that is busy they meet when one takes the other's core, and seldom otherwise.
  t.ok(meetings >= 100, `they met ${meetings} times`)
  t.equal(behind, 0)
})

t.test('an atomic whose add is a read and a write is found out', async t => {
  await using recorder = await Recorder.start('brokenAtomic', 1)
  let [recorded, violations] = [0, 0]
  while (violations < 5 && recorded < 20_000) {
    const histories = await recorder.record()
    recorded += histories.length
    violations += histories.filter((history) => JUDGES.brokenAtomic(history) !== undefined).length
  }
  t.ok(violations >= 5, `in ${violations} of ${recorded} histories`)
})

t.test('a process that is killed leaves what it did, and at most one operation pending', async t => {
  await using recorder = await Recorder.start('atomic', 1)
  const next = random(1)
  for (let kill = 0; kill < 5; kill++) {
    const history = await recorder.recordDeath(next)
    t.ok(history.filter((operation) => operation.return === Infinity).length <= 1)
    t.equal(JUDGES.atomic(history), undefined)
    const counts = [...Map.groupBy(history, ({ process }) => process).values()].map(({ length }) => length)
    const most = Math.max(...counts)
    t.ok(counts.filter((count) => count === most).length === PROCESSES - 1, `the others went on: ${counts.join(', ')} operations`)
  }
})
