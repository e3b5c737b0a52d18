import t from 'tap'
import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { Peers } from '../shared-memory/peers.ts'
import { random } from '../shared-memory/random.ts'
import { faultOf } from '../shared-memory/world.ts'

/** Until a random number of turns of the event loop has passed: the others go on meanwhile. */
async function sometime (next: (limit: number) => number): Promise<void> {
  for (let turns = next(3000); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
}

t.test('processes killed while they count lose nothing that was acknowledged', async t => {
  const KILLS = 8
  const next = random(3)
  await using peers = new Peers()
  const { memory } = peers.launcher
  const [count, acknowledged] = [new Uint32Atomic(memory, 'count', 0), new Uint32Atomic(memory, 'acknowledged', 0)]
  const steady = await peers.start()
  const steadily = steady.call('increment', 'count', 300_000)
  for (let kill = 0; kill < KILLS; kill++) {
    const peer = await peers.start()
    const before = acknowledged.get()
    peer.call('incrementForever', 'count', 'acknowledged').catch(() => {})
    while (acknowledged.get() === before) await sometime(next)
    await peers.killAndRecover(peer)
  }
  await steadily
  const unacknowledged = count.get() - 300_000 - acknowledged.get()
  t.ok(unacknowledged >= 0 && unacknowledged <= KILLS, `${acknowledged.get()} acknowledged, and ${unacknowledged} more in ${KILLS} kills`)
})

t.test('processes killed while they allocate, publish, retract and free leak nothing but what is still referred to', async t => {
  const next = random(4)
  await using peers = new Peers(2 * 1024 * 1024)
  const { memory } = peers.launcher
  const steady = await peers.start()
  for (let kill = 0; kill < 8; kill++) {
    const [one, other] = await peers.startAll(2)
    const counted = new Uint32Atomic(memory, 'turn', 0)
    one!.call('hammerForever', kill * 10).catch(() => {})
    other!.call('hammerForever', kill * 10 + 5).catch(() => {})
    t.same(await steady.call('hammer', kill, 3000 + next(3000)), [])
    counted.increment()
    await Promise.all([peers.kill(one!), peers.kill(other!)])
    for (const { slot } of next(2) === 0 ? [one!, other!] : [other!, one!]) memory.recover(slot)
    t.equal(faultOf(memory), undefined, 'and all of it can be freed')
  }
})
