import t from 'tap'
import { Peers } from '../shared-memory/peers.ts'
import { random } from '../shared-memory/random.ts'
import { faultOf } from '../shared-memory/world.ts'

const KILLS = 300

t.test(`${KILLS} kills at random moments under load leave the memory whole`, async t => {
  const next = random(Number(process.env['SOAK_SEED'] ?? 1))
  await using peers = new Peers(2 * 1024 * 1024)
  const { memory } = peers.launcher
  const steady = await peers.start()
  for (let kill = 0; kill < KILLS; kill += 2) {
    const [one, other] = await peers.startAll(2)
    one!.call('hammerForever', kill * 10).catch(() => {})
    other!.call('hammerForever', kill * 10 + 5).catch(() => {})
    t.same(await steady.call('hammer', kill, 1 + next(20_000)), [])
    await Promise.all([peers.kill(one!), peers.kill(other!)])
    for (const { slot } of next(2) === 0 ? [one!, other!] : [other!, one!]) memory.recover(slot)
    t.equal(faultOf(memory), undefined)
  }
})

t.test('six processes at one small memory for long never have the same block', async t => {
  await using peers = new Peers(2 * 1024 * 1024)
  const all = await peers.startAll(6)
  t.same((await Promise.all(all.map((peer, n) => peer.call('hammer', n + 1, 2_000_000)))).flat(), [])
  t.equal(faultOf(peers.launcher.memory), undefined)
})
