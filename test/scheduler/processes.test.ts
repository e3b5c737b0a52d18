import t from 'tap'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { JobTable } from '../../plugins/scheduler/memory.ts'
import { Peers } from '../shared-memory/peers.ts'
import type { Peer } from '../shared-memory/peers.ts'
import { eventually } from '../support/processes.ts'
import type { Jobs } from './peer.ts'

const startPeers = () => new Peers<Jobs>(2 * 1024 * 1024, join(import.meta.dirname, 'peer.ts'))

interface Ran {
  name: string
  tickMs: number
  by: number
}

function readRuns (file: string): Ran[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => {
    const [name, tickMs, by] = line.split(' ')
    return { name: name!, tickMs: Number(tickMs), by: Number(by) }
  })
}

async function load (peers: Peers<Jobs>, file: string, options: Parameters<Jobs['schedule']>[2], ms = 0): Promise<Peer<Jobs>> {
  const peer = await peers.start()
  await peer.call('schedule', file, 'x', options, ms)
  await peer.call('start')
  return peer
}

t.test('the owner of a job is killed again and again: no tick runs twice, and at most one a kill is missed', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const file = join(peers.folder, 'runs')
  const intervalMs = 150
  const all = new Map<number, Peer<Jobs>>()
  const add = async () => {
    const peer = await load(peers, file, { interval: intervalMs })
    all.set(peer.slot.index, peer)
  }
  await Promise.all([add(), add(), add(), add()])
  const table = new JobTable(peers.launcher.memory, 20)
  let kills = 0
  for (; kills < 5; kills++) {
    const before = readRuns(file).length
    await eventually('it runs', () => readRuns(file).length > before + 2)
    const { by } = readRuns(file).at(-1)!
    await peers.killAndRecover(all.get(by)!)
    all.delete(by)
    await add()
    const [row] = table.owned()
    t.not(row?.owner, by)
  }
  const ticks = readRuns(file).map(({ tickMs }) => tickMs)
  t.equal(new Set(ticks).size, ticks.length, 'none twice')
  t.strictSame(ticks, ticks.toSorted((a, b) => a - b), 'in their order')
  t.strictSame(ticks.filter((tick) => (tick - ticks[0]!) % intervalMs !== 0), [], 'all on the grid')
  const missed = (ticks.at(-1)! - ticks[0]!) / intervalMs + 1 - ticks.length
  t.ok(missed <= kills, `${missed} missed with ${kills} kills`)
})

t.test('one that runs once is run by another process when its owner is killed before its time', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const file = join(peers.folder, 'runs')
  const all = await Promise.all([1, 2, 3].map(() => load(peers, file, { delay: 1500 })))
  const table = new JobTable(peers.launcher.memory, 20)
  await eventually('it has an owner', () => table.owned().length === 1)
  const owner = table.owned()[0]!.owner
  const killed = all.find(({ slot }) => slot.tag === owner)!
  await peers.killAndRecover(killed)
  await eventually('it runs', () => readRuns(file).length > 0)
  t.not(readRuns(file)[0]!.by, killed.slot.index)
  const late = await load(peers, file, { delay: 0 })
  t.strictSame(await late.call('names'), [])
  t.equal(readRuns(file).length, 1, 'and not again by who comes later')
})

t.test('a run that is killed is not repeated, and its job goes on elsewhere', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const file = join(peers.folder, 'runs')
  const all = await Promise.all([1, 2].map(() => load(peers, file, { interval: 200, overlap: 'queue' }, 60_000)))
  await eventually('it runs', () => readRuns(file).length === 1)
  const [first] = readRuns(file)
  await peers.killAndRecover(all.find(({ slot }) => slot.index === first!.by)!)
  await eventually('the other runs it', () => readRuns(file).length === 2)
  t.ok(readRuns(file)[1]!.tickMs > first!.tickMs)
})

t.test('while the event loop of the owner is held up, another process runs its ticks', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const file = join(peers.folder, 'runs')
  const all = await Promise.all([1, 2].map(() => load(peers, file, { interval: 100 })))
  await eventually('it runs', () => readRuns(file).length > 1)
  const blocked = all.find(({ slot }) => slot.index === readRuns(file)[0]!.by)!
  const isFree = blocked.call('block', 6000)
  await eventually('the other runs it', () => readRuns(file).at(-1)!.by !== blocked.slot.index, 5000)
  await isFree
  const ticks = readRuns(file).map(({ tickMs }) => tickMs)
  t.equal(new Set(ticks).size, ticks.length, 'none twice')
})

t.test('unschedule in one process takes the job from all, and what one adds all list', { timeout: 60_000 }, async t => {
  await using peers = startPeers()
  const file = join(peers.folder, 'runs')
  const [one, other] = await Promise.all([1, 2].map(() => load(peers, file, { interval: 50 })))
  await eventually('it runs', () => readRuns(file).length > 1)
  await one!.call('schedule', file, 'added', { interval: '1h' })
  t.strictSame((await other!.call('names')).sort(), ['added', 'x'])
  t.equal(await other!.call('unschedule', 'x'), true)
  t.equal(await other!.call('unschedule', 'added'), true)
  t.strictSame([await one!.call('names'), await other!.call('names')], [[], []])
  const after = readRuns(file).length
  t.equal(await one!.call('unschedule', 'x'), false)
  await one!.call('block', 300)
  t.ok(readRuns(file).length <= after + 1)
})
