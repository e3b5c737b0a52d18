import type t from 'tap'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Peers } from '../shared-memory/peers.ts'
import type { Peer } from '../shared-memory/peers.ts'
import { random } from '../shared-memory/random.ts'
import { SHORT_MS, createCommon, faultOf, isShort, open, read } from './peer.ts'
import type { Jobs } from './peer.ts'

type Test = Pick<typeof t, 'ok' | 'equal' | 'strictSame' | 'comment'>

const WORKERS = 3
const KILL_EVERY_MS = 1000
const MEBIBYTE = 1024 * 1024

/** Three workers create so many sessions in so many seconds, read all and change some, and each second one is killed. */
export async function killWhileUsingSessions (t: Test, { sessions, seconds }: { sessions: number, seconds: number }): Promise<void> {
  const next = random(Date.now() % 1e6)
  const perSecond = Math.ceil(sessions / seconds / WORKERS * 1.25)
  // A session of these takes two blocks of 256 bytes at most.
  await using peers = new Peers<Jobs>(32 * MEBIBYTE + sessions * 700, join(import.meta.dirname, 'peer.ts'))
  const { store, runs } = open(peers.launcher.memory)
  createCommon(store)
  const living = new Map<number, Peer<Jobs>>()
  const faults: string[] = []
  const sums = { created: 0, reads: 0, changes: 0, kills: 0 }
  let run = 0

  const startOne = async () => {
    const peer = await peers.start()
    const name = ++run
    living.set(name, peer)
    await peer.call('begin', name, next(1e9), perSecond)
  }
  const killOne = async () => {
    const [name, peer] = [...living][next(living.size)]!
    living.delete(name)
    // What it saw until now; the kill comes at some moment after its answer.
    const report = await peer.call('report')
    faults.push(...report.faults)
    sums.reads += report.reads
    sums.changes += report.changes
    await sleep(next(20))
    await peers.killAndRecover(peer)
    sums.kills++
  }
  const createdBy = (name: number) => runs.get(String(name), 'created') ?? 0
  const createdByAll = () => Array.from({ length: run }, (_, n) => createdBy(n + 1)).reduce((sum, count) => sum + count, 0)

  await Promise.all(Array.from({ length: WORKERS }, startOne))
  let starting = Promise.resolve()
  while (createdByAll() < sessions && faults.length === 0) {
    await sleep(KILL_EVERY_MS)
    while (living.size < 2) await starting
    await killOne()
    starting = starting.then(startOne)
  }
  await starting
  while (living.size > 0) await killOne()
  sums.created = createdByAll()
  await sleep(SHORT_MS)

  let long = 0
  for (let name = 1; name <= run && faults.length < 100; name++) {
    for (let number = 1; number <= createdBy(name); number++) {
      const id = `${name}:${number}`
      const session = read(store, id)
      if (session === undefined && !isShort(number)) faults.push(`${id} was lost`)
      if (session !== undefined && isShort(number)) faults.push(`${id} lives after its time`)
      const fault = session === undefined ? undefined : faultOf(id, session)
      if (fault !== undefined) faults.push(fault)
      if (!isShort(number)) long++
    }
  }
  t.strictSame(faults.slice(0, 20), [])
  t.ok(sums.created >= sessions && sums.kills >= Math.min(seconds / 2, 10), JSON.stringify(sums))
  t.comment(JSON.stringify({ ...sums, ...store.stats() }))
  t.equal(store.stats().evictions, 0, 'the memory sufficed')

  const entries = await new Promise<number | undefined>((resolve) => store.length((_error, length) => resolve(length)))
  // Who died right after it had stored a session had not counted it.
  t.ok(entries! >= long && entries! <= long + 5 + sums.kills, `${entries} sessions are there, ${long} of them were counted`)
  store.clear()
  t.equal(store.stats().bytes, 0, 'no block is leaked')
}
