import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { Budget, ConnectionPool } from '../../plugins/pools/index.ts'
import type { Driver } from '../../plugins/pools/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { World } from '../shared-memory/world.ts'

/* Workers that have a budget of connections together; what each does is a step of its own, in one thread. */

interface Connection { id: number }

/** A server that counts who is connected. */
class Server {
  readonly open = new Set<Connection>()
  most = 0
  #ids = 0

  driver (): Driver<Connection> {
    return {
      server: 'a server',
      open: async () => {
        const connection = { id: ++this.#ids }
        this.open.add(connection)
        this.most = Math.max(this.most, this.open.size)
        return connection
      },
      onBreak () {},
      async check () {},
      reset: () => undefined,
      close: async (connection) => { this.open.delete(connection) },
      destroy: (connection) => { this.open.delete(connection) },
      async cancel () {},
      isFinal: () => false
    }
  }
}

interface Worker {
  memory: SharedMemory
  budget: Budget
  pool: ConnectionPool<Connection>
}

class Fleet {
  readonly world = new World()
  readonly server = new Server()
  readonly workers: Worker[] = []
  readonly #most: number

  constructor (workers: number, most: number) {
    this.#most = most
    for (let n = 0; n < workers; n++) this.start()
  }

  start (): Worker {
    const memory = this.world.worker()
    const budget = new Budget(memory, 'db', this.#most)
    const options = { size: 10, timeoutMs: 5000, idleTimeoutMs: 60_000, maxLifetimeMs: 0, validateAfterIdleMs: 60_000 }
    const worker = { memory, budget, pool: new ConnectionPool('db', this.server.driver(), options, { warn () {} }, budget) }
    this.workers.push(worker)
    return worker
  }

  /** Lets each worker hear its bell, until nothing happens any more. */
  async settle (): Promise<void> {
    for (let n = 0; n < 10; n++) {
      await nextTurn()
      for (const { memory } of this.workers) memory.doorbell.answer()
    }
  }

  /** Without a word to anybody, but for the launcher, which sees to what it held. */
  async kill (worker: Worker): Promise<void> {
    this.workers.splice(this.workers.indexOf(worker), 1)
    this.workers[0]!.memory.recover(worker.memory.slot)
    await this.settle()
  }
}

/** As many connections of a pool as it gets without waiting. */
async function take (fleet: Fleet, { pool }: Worker, count: number) {
  const lent: Connection[] = []
  const waits = Array.from({ length: count }, () => pool.borrow().then((connection) => { lent.push(connection) }, () => {}))
  await fleet.settle()
  return { lent, waits }
}

t.test('what nobody else lacks, one worker may have, and no more than the budget', async t => {
  const fleet = new Fleet(3, 6)
  const { lent } = await take(fleet, fleet.workers[0]!, 10)
  t.equal(lent.length, 6)
  t.equal(fleet.server.open.size, 6)
})

t.test('a worker that has more than its part gives what it does not use to one that lacks some', async t => {
  const fleet = new Fleet(3, 6)
  const [rich, poor] = fleet.workers as [Worker, Worker]
  const { lent } = await take(fleet, rich, 6)
  for (const connection of lent) rich.pool.put(connection)
  t.equal(rich.pool.stats().available, 6)
  const got = await take(fleet, poor, 3)
  t.equal(got.lent.length, 2, 'its part')
  t.equal(rich.pool.stats().current, 4)
  t.equal(fleet.server.most, 6)
})

t.test('what is lent comes to others when it is put back', async t => {
  const fleet = new Fleet(2, 4)
  const [first, second] = fleet.workers as [Worker, Worker]
  const { lent } = await take(fleet, first, 10)
  t.equal(lent.length, 4)
  const other = await take(fleet, second, 1)
  t.equal(other.lent.length, 0)
  first.pool.put(lent.pop()!)
  await fleet.settle()
  t.equal(other.lent.length, 1, 'before those of its own worker that wait as well')
  t.equal(first.pool.stats().waiting, 6)
  t.equal(fleet.server.most, 4)
})

t.test('who has its part keeps it, though another would like to have more', async t => {
  const fleet = new Fleet(2, 4)
  const [first, second] = fleet.workers as [Worker, Worker]
  const idle = await take(fleet, first, 2)
  for (const connection of idle.lent) first.pool.put(connection)
  const { lent } = await take(fleet, second, 10)
  t.equal(lent.length, 2)
  second.pool.put(lent.pop()!)
  await fleet.settle()
  t.equal(first.pool.stats().available, 2)
  t.equal(lent.length, 2, 'it goes to the next of its own')
})

t.test('what a dead worker had is free', async t => {
  const fleet = new Fleet(3, 6)
  const [first, second] = fleet.workers as [Worker, Worker]
  await take(fleet, first, 6)
  const { lent } = await take(fleet, second, 3)
  t.equal(lent.length, 0)
  await fleet.kill(first)
  t.equal(lent.length, 3)
})

t.test('a worker that starts in the place of a dead one begins with nothing', async t => {
  const fleet = new Fleet(2, 4)
  const [first] = fleet.workers as [Worker]
  await take(fleet, first, 4)
  await fleet.kill(first)
  const next = fleet.start()
  t.equal(next.memory.slot.index, first.memory.slot.index)
  const { lent } = await take(fleet, next, 10)
  t.equal(lent.length, 4)
})

t.test('new workers beside old ones, as in a reload, get their part while the old ones give theirs back', async t => {
  const fleet = new Fleet(2, 4)
  const old = [...fleet.workers]
  for (const worker of old) {
    const { lent } = await take(fleet, worker, 2)
    for (const connection of lent) worker.pool.put(connection)
  }
  const next = fleet.start()
  const { lent } = await take(fleet, next, 2)
  t.equal(lent.length, 1, 'a third of four')
  await old[0]!.pool.close()
  await fleet.settle()
  t.equal(lent.length, 2)
  t.equal(fleet.server.most, 4)
})

t.test('with fewer connections than workers, all are served in turn', async t => {
  const fleet = new Fleet(5, 2)
  const all = await Promise.all(fleet.workers.map((worker) => take(fleet, worker, 3)))
  for (let round = 0; round < 40; round++) {
    for (const [n, { lent }] of all.entries()) {
      for (const connection of lent.splice(0)) fleet.workers[n]!.pool.put(connection)
    }
    await fleet.settle()
  }
  t.strictSame(fleet.workers.map(({ pool }) => pool.stats().waiting), [0, 0, 0, 0, 0])
  t.equal(fleet.server.most, 2)
})

t.test('whatever workers do, and whoever dies, the budget is kept and nobody waits in vain', { timeout: 60_000 }, async t => {
  for (let seed = 1; seed <= 40; seed++) {
    let state = seed * 2_654_435_761 >>> 0
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor(state / 2 ** 32 * below)
    }
    const most = 1 + random(8)
    const fleet = new Fleet(1 + random(4), most)
    const lent = new Map<Worker, Connection[]>(fleet.workers.map((worker) => [worker, []]))
    const dead = new Set<Worker>()
    for (let step = 0; step < 150; step++) {
      const worker = fleet.workers[random(fleet.workers.length)]!
      const its = lent.get(worker)!
      const dice = random(20)
      if (dice < 10) {
        worker.pool.borrow().then((connection) => { if (!dead.has(worker)) its.push(connection) }, () => {})
      } else if (dice < 18 && its.length > 0) {
        worker.pool.put(its.splice(random(its.length), 1)[0]!)
      } else if (dice === 18 && fleet.workers.length < 5) {
        lent.set(fleet.start(), [])
      } else if (dice === 19 && fleet.workers.length > 1) {
        dead.add(worker)
        await fleet.kill(worker)
      }
      if (random(3) === 0) await fleet.settle()
      const held = fleet.workers.reduce((sum, { pool }) => sum + pool.stats().current, 0)
      if (held > most) t.fail(`seed ${seed}, step ${step}: ${held} of ${most}`)
    }
    for (let round = 0; round < 100 && fleet.workers.some(({ pool }) => pool.stats().waiting > 0); round++) {
      for (const worker of fleet.workers) for (const connection of lent.get(worker)!.splice(0)) worker.pool.put(connection)
      await fleet.settle()
    }
    t.strictSame(fleet.workers.map(({ pool }) => pool.stats().waiting).filter((n) => n > 0), [], `seed ${seed}`)
    for (const { pool } of fleet.workers) pool.close(0)
  }
})
