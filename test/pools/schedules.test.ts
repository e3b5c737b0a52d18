import t from 'tap'
import { ConnectionPool } from '../../plugins/pools/index.ts'
import { random } from '../shared-memory/random.ts'
import { FakeServer } from './fake-server.ts'
import type { FakeConnection } from './fake-server.ts'
import { VirtualClock, turn } from './virtual-clock.ts'

const SEEDS = 600
const STEPS = 120

interface Borrower {
  n: number
  deadlineMs: number
  controller: AbortController
  connection?: FakeConnection
  code?: string
}

/**
 * One random schedule: borrowers that come, give back, abort and leave things behind; a server that is slow, refuses, hangs
 * and closes connections, with or without a word. Throws at the first promise that is not kept.
 */
async function runSchedule (seed: number): Promise<void> {
  const next = random(seed)
  const chance = (percent: number) => next(100) < percent
  const clock = new VirtualClock()
  const realRandom = Math.random
  Math.random = () => next(1000) / 1000
  clock.install()
  let isDone = false
  const check = (what: string, isKept: boolean) => { if (!isKept) throw new Error(`seed ${seed}: ${what}`) }

  const size = 1 + next(4)
  const timeoutMs = 100 + next(400)
  const validateAfterIdleMs = next(3) * 50
  const options = { size, timeoutMs, idleTimeoutMs: next(4) * 100, maxLifetimeMs: next(3) * 300, validateAfterIdleMs }
  const moods = { refuses: 0, isFinal: false, slow: 0, hangs: 0, fails: 0 }
  const server = new FakeServer({
    async open (signal) {
      if (chance(moods.slow)) await clock.sleep(next(50))
      if (chance(moods.hangs)) await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      if (chance(moods.refuses)) throw new Error(moods.isFinal ? 'final: wrong password' : 'refused')
    },
    check: async () => { await trouble() },
    reset: async () => { await trouble() },
    close: async () => { await trouble() }
  })
  const trouble = async () => {
    if (chance(moods.slow)) await clock.sleep(next(50))
    if (chance(moods.hangs) && !isDone) await clock.sleep(10_000)
    if (chance(moods.fails)) throw new Error('failed')
  }

  const pool = new ConnectionPool<FakeConnection>('random', server, options, { warn () {} })
  const waiting = new Set<Borrower>()
  const holding = new Set<Borrower>()
  let borrowers = 0
  let hasClosed = false

  const borrow = () => {
    const ownTimeoutMs = chance(30) ? next(timeoutMs) : timeoutMs
    const borrower: Borrower = { n: ++borrowers, deadlineMs: clock.nowMs + Math.max(1, ownTimeoutMs), controller: new AbortController() }
    waiting.add(borrower)
    pool.borrow(ownTimeoutMs, borrower.controller.signal).then((connection) => {
      check(`borrower ${borrower.n} has been served before others that came earlier`, [...waiting][0] === borrower)
      waiting.delete(borrower)
      check(`connection ${connection.id} is lent twice`, ![...holding].some((other) => other.connection === connection))
      check(`connection ${connection.id} was lent though it was not reset`, !connection.isDirty)
      check(`connection ${connection.id} was lent though it was closed`, server.connections.has(connection))
      const idleMs = clock.nowMs - connection.lastUsedMs
      check(`connection ${connection.id} was lent though it is dead for ${idleMs} ms`, !connection.isDead || idleMs < validateAfterIdleMs || idleMs === 0)
      borrower.connection = connection
      holding.add(borrower)
    }, (error) => {
      waiting.delete(borrower)
      borrower.code = error.code
      const isExpected = ['FST_SWOOLE_POOL_TIMEOUT', 'FST_SWOOLE_POOL_CLOSED', 'FST_SWOOLE_POOL_CONNECT'].includes(error.code) || error === borrower.controller.signal.reason
      check(`borrower ${borrower.n} had ${error.stack}`, isExpected)
    }).catch((error) => { failure ??= error })
  }
  let failure: Error | undefined
  const giveBack = (borrower: Borrower) => {
    holding.delete(borrower)
    const connection = borrower.connection!
    if (chance(20)) connection.isDirty = true
    if (chance(10)) pool.doubt(connection)
    if (chance(5)) pool.cut(connection)
    connection.lastUsedMs = clock.nowMs
    pool.put(connection)
    if (chance(20)) {
      let code
      try {
        pool.put(connection, 0)
      } catch (error) {
        code = (error as { code?: string }).code
      }
      check('a second put was taken', pool.isClosed || code === 'FST_SWOOLE_POOL_NOT_BORROWED')
    }
  }
  const pick = <T> (from: Iterable<T>): T | undefined => {
    const all = [...from]
    return all.length === 0 ? undefined : all[next(all.length)]
  }
  const look = () => {
    if (failure !== undefined) throw failure
    const stats = pool.stats()
    check(`the server has counted ${server.most} connections, but there may be ${size}`, server.most <= size)
    check(`it says ${JSON.stringify(stats)}`, stats.current <= size && stats.available + stats.inUse === stats.current && stats.available >= 0)
    check(`${stats.inUse} are in use, but ${holding.size} lent`, stats.inUse - server.busy <= holding.size && holding.size <= stats.inUse)
    check(`${stats.waiting} are waiting, but it is ${waiting.size}`, stats.waiting === waiting.size)
    check('somebody waits beside a connection that is idle', stats.available === 0 || stats.waiting <= server.busy + server.opening)
    for (const { n, deadlineMs } of waiting) check(`borrower ${n} still waits after its deadline`, clock.nowMs <= deadlineMs)
  }

  try {
    for (let step = 0; step < STEPS; step++) {
      const action = next(100)
      const holder = pick(holding)
      if (action < 30 && !hasClosed) borrow()
      else if (action < 55 && holder !== undefined) giveBack(holder)
      else if (action < 60) pick(waiting)?.controller.abort()
      else if (action < 67) {
        const connection = pick(server.connections)
        if (connection !== undefined) server.break(connection, chance(50))
      } else if (action < 72) Object.assign(moods, { refuses: next(3) * 40, isFinal: chance(10), slow: next(3) * 40, hangs: next(3) * 5, fails: next(3) * 20 })
      else if (action < 73 && step > STEPS / 2) {
        hasClosed = true
        pool.close()
      } else await clock.advance(next(60))
      await turn()
      look()
    }

    Object.assign(moods, { refuses: 0, slow: 0, hangs: 0, fails: 0 })
    isDone = true
    while (waiting.size > 0 || holding.size > 0) {
      for (const holder of [...holding]) giveBack(holder)
      await clock.advance(10)
      look()
    }
    await clock.advance(20_000)
    const idle = pool.stats()
    check(`when all is back it says ${JSON.stringify(idle)}`, idle.inUse === 0 && idle.waiting === 0)
    const graceMs = chance(50) ? 100 : undefined
    let hasEnded = false
    pool.close(graceMs).then(() => { hasEnded = true })
    await clock.advance(20_000)
    check('the close has not ended', hasEnded)
    check(`${server.count} connections are open after the close`, server.count === 0)
    const { current, opened, closed } = pool.stats()
    check(`${opened} were opened, ${closed} closed, and there are ${current}`, opened === closed && current === 0)
    check(`${clock.timers} timers are left`, clock.timers === 0)
  } finally {
    clock.uninstall()
    Math.random = realRandom
  }
}

t.test('whatever happens in whatever order: no more connections than may be, none lent twice, everybody answered in time, nothing left', async t => {
  const only = process.env.SEED
  const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, n) => n + 1) : [Number(only)]
  for (const seed of seeds) await runSchedule(seed)
  t.pass(`${seeds.length} schedules`)
})
