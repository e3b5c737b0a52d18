import type t from 'tap'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Peers } from '../shared-memory/peers.ts'
import type { Peer } from '../shared-memory/peers.ts'
import { random } from '../shared-memory/random.ts'
import { eventually } from '../support/processes.ts'
import { openStructures } from './structures.ts'
import type { Jobs } from './structures-peer.ts'

type Test = Pick<typeof t, 'ok' | 'equal' | 'strictSame'>

const MEBIBYTE = 1024 * 1024
const WORKERS = 4
const WARM_UP_KILLS = 20

/** Four workers use a table, locks and a queue, and are killed one after another and replaced, `kills` in all. */
export async function killWhileUsingStructures (t: Test, kills: number): Promise<void> {
  const next = random(Date.now() % 1e6)
  await using peers = new Peers<Jobs>(128 * MEBIBYTE, join(import.meta.dirname, 'structures-peer.ts'))
  const { memory } = peers.launcher
  const shared = openStructures(memory)
  const living = new Map<number, Peer<Jobs>>()
  const killed = new Set<number>()
  const faults: string[] = []
  let rounds = 0
  let run = 0

  const startOne = async () => {
    const peer = await peers.start()
    const name = ++run
    await peer.call('begin', name, next(1e9))
    living.set(name, peer)
  }
  const ask = async (peer: Peer<Jobs>) => {
    const report = await peer.call('report')
    faults.push(...report.faults)
    rounds += report.rounds
  }
  const killOne = async () => {
    const [name, peer] = [...living][next(living.size)]!
    // What it saw until now; the kill comes at some moment after its answer.
    await ask(peer)
    await sleep(next(10))
    living.delete(name)
    killed.add(name)
    await peers.killAndRecover(peer)
  }
  const killMany = async (count: number) => {
    let starting = Promise.resolve()
    for (let kill = 0; kill < count && faults.length === 0; kill++) {
      await sleep(20 + next(180))
      while (living.size < 2) await starting
      await killOne()
      starting = starting.then(startOne)
    }
    await starting
  }
  /** Everybody is killed and the queue is emptied: what is left is what the structures themselves take. */
  const settle = async () => {
    while (living.size > 0) await killOne()
    await startOne()
    await eventually('the queue is empty', async () => {
      const { size, inFlight } = await shared.queue.getStats()
      return (shared.runs.get(String(run), 'acknowledged') ?? 0) > 20 && size + inFlight < 50
    })
    await killOne()
    for (;;) {
      const { size, inFlight } = await shared.queue.getStats()
      if (size + inFlight === 0) break
      const item = await shared.queue.pop()
      if (item === undefined) continue
      popped.push(`${item.run}:${item.number}`)
    }
    return memory.allocator.usage()
  }
  const popped: string[] = []

  await Promise.all(Array.from({ length: WORKERS }, startOne))
  await killMany(WARM_UP_KILLS)
  const before = await settle()
  await Promise.all(Array.from({ length: WORKERS }, startOne))
  await killMany(kills - WARM_UP_KILLS)
  const after = await settle()

  t.strictSame(faults, [])
  t.ok(killed.size >= kills, `${killed.size} kills, ${rounds} rounds`)
  t.strictSame({ used: after.used, blocks: after.blocks }, { used: before.used, blocks: before.blocks }, 'no block is leaked')

  for (const lock of [shared.mutex, shared.semaphore, shared.semaphore, shared.readWrite]) t.ok(await lock.lock({ timeout: 1000 }), 'no lock is stuck')
  t.ok(shared.mutex.stats().abandoned > 0, 'some died while they held the mutex')

  const deliveries = new Map<string, Array<{ attempt: number, run: number, index: number }>>()
  for (const [key, delivery] of shared.deliveries) {
    const [item, attempt] = [key.slice(0, key.lastIndexOf(':')), Number(key.slice(key.lastIndexOf(':') + 1))]
    const known = deliveries.get(item)
    if (known === undefined) deliveries.set(item, [{ attempt, ...delivery }])
    else known.push({ attempt, ...delivery })
  }
  for (const item of popped) deliveries.set(item, [...deliveries.get(item) ?? [], { attempt: Infinity, run: 0, index: 0 }])
  const lost: string[] = []
  for (const [producer, { acknowledged }] of shared.runs) {
    for (let number = 1; number <= acknowledged; number++) {
      if (!deliveries.has(`${producer}:${number}`)) lost.push(`${producer}:${number}`)
    }
  }
  t.strictSame(lost, [], 'every push that was acknowledged was consumed')

  const again: string[] = []
  let redelivered = 0
  for (const [item, attempts] of deliveries) {
    const [, ...earlier] = attempts.sort((one, other) => other.attempt - one.attempt)
    redelivered += earlier.length
    for (const { run, index } of earlier) {
      if (!killed.has(run) || shared.runs.get(String(run))!.begun !== index) again.push(item)
    }
  }
  t.strictSame(again, [], 'only what was in the hands of one who died was consumed again')
  t.ok(redelivered > 0, `${deliveries.size} items, ${redelivered} of them in the hands of one who died`)
  t.equal((await shared.queue.deadLetters()).length, 0)
}
