import t from 'tap'
import { ConnectionPool } from '../../plugins/pools/index.ts'
import type { PoolLog } from '../../plugins/pools/index.ts'
import { FakeServer } from './fake-server.ts'
import type { Behaviour, FakeConnection } from './fake-server.ts'
import { VirtualClock, turn } from './virtual-clock.ts'

const TIMEOUT_MS = 1000

interface Given {
  size?: number
  idleTimeoutMs?: number
  maxLifetimeMs?: number
  validateAfterIdleMs?: number
}

function makePool (t: { teardown (end: () => void): void }, given: Given = {}, behaviour: Partial<Behaviour> = {}) {
  const clock = new VirtualClock()
  clock.install()
  t.teardown(() => clock.uninstall())
  const server = new FakeServer(behaviour)
  const warnings: Array<{ details: object, message: string }> = []
  const log: PoolLog = { warn: (details, message) => { warnings.push({ details, message }) } }
  const options = { size: 2, timeoutMs: TIMEOUT_MS, idleTimeoutMs: 60_000, maxLifetimeMs: 0, validateAfterIdleMs: 10_000, ...given }
  const pool = new ConnectionPool<FakeConnection>('test', server, options, log)
  return { clock, server, pool, warnings }
}

/** What has come of a promise by now. */
function watch<T> (promise: Promise<T>) {
  const outcome: { value?: T, error?: any, isSettled: boolean } = { isSettled: false }
  promise.then((value) => Object.assign(outcome, { value, isSettled: true }), (error) => Object.assign(outcome, { error, isSettled: true }))
  return outcome
}

t.test('the first borrower has a new connection at once', async t => {
  const { clock, server, pool } = makePool(t)
  const begunMs = clock.nowMs
  const connection = await pool.borrow()
  t.equal(clock.nowMs, begunMs)
  t.equal(server.opened, 1)
  t.match(pool.stats(), { size: 2, current: 1, available: 0, inUse: 1, waiting: 0 })
  pool.put(connection)
  t.match(pool.stats(), { size: 2, current: 1, available: 1, inUse: 0, waiting: 0 })
  t.equal(await pool.borrow(), connection)
})

t.test('who waits first is served first, and nobody overtakes', async t => {
  const { pool } = makePool(t, { size: 1 })
  const connection = await pool.borrow()
  const order: number[] = []
  const borrowers = [1, 2, 3].map(async (n) => {
    const borrowed = await pool.borrow()
    order.push(n)
    pool.put(borrowed)
  })
  t.equal(pool.stats().waiting, 3)
  pool.put(connection)
  // There is one that is free in between, but not for somebody who comes now.
  borrowers.push(pool.borrow().then((borrowed) => { order.push(4); pool.put(borrowed) }))
  await Promise.all(borrowers)
  t.same(order, [1, 2, 3, 4])
})

t.test('a waiter gives up after one time-out, and the error says why', async t => {
  const { clock, pool } = makePool(t)
  await Promise.all([pool.borrow(), pool.borrow()])
  const outcome = watch(pool.borrow())
  const short = watch(pool.borrow(10))
  await clock.advance(10)
  t.match(short.error, { code: 'FST_SWOOLE_POOL_TIMEOUT', statusCode: 503 })
  await clock.advance(TIMEOUT_MS - 11)
  t.notOk(outcome.isSettled)
  await clock.advance(1)
  t.match(outcome.error, { code: 'FST_SWOOLE_POOL_TIMEOUT', statusCode: 503, message: /"test" had no connection within 1000 ms: 2 of 2 are lent, and 0 callers more/ })
  t.match(pool.stats(), { waiting: 0, timeouts: 2 })
})

t.test('what is put twice, or is a stranger, is refused, and nobody is harmed', async t => {
  const { pool } = makePool(t)
  const connection = await pool.borrow()
  const lease = pool.leaseOf(connection)
  pool.put(connection)
  t.throws(() => pool.put(connection), { code: 'FST_SWOOLE_POOL_NOT_BORROWED', message: /was put back already/ })
  t.throws(() => pool.put({ ...connection }), { code: 'FST_SWOOLE_POOL_NOT_BORROWED', message: /is none of its/ })
  t.equal(await pool.borrow(), connection)
  t.throws(() => pool.put(connection, lease), { code: 'FST_SWOOLE_POOL_NOT_BORROWED' }, 'it is lent to another now')
  t.not(await pool.borrow(), connection)
  t.match(pool.stats(), { current: 2, inUse: 2 })
})

t.test('a connection that breaks while it is idle is not lent', async t => {
  const { server, pool } = makePool(t)
  const first = await pool.borrow()
  pool.put(first)
  server.break(first)
  t.match(pool.stats(), { current: 0, available: 0 })
  t.not(await pool.borrow(), first)
})

t.test('a connection that breaks while it is lent is replaced when it is put back', async t => {
  const { server, pool } = makePool(t, { size: 1 })
  const first = await pool.borrow()
  const next = pool.borrow()
  server.break(first)
  pool.put(first)
  t.not(await next, first)
  t.equal(server.most, 1)
})

t.test('a connection that somebody may still use is closed when it is put back', async t => {
  const { server, pool } = makePool(t, { size: 1 })
  const first = await pool.borrow()
  pool.doubt(first)
  pool.put(first)
  t.notOk(server.connections.has(first))
  const second = await pool.borrow()
  pool.cut(second)
  t.notOk(server.connections.has(second))
  pool.put(second)
  t.not(await pool.borrow(), second)
})

t.test('only a connection that was idle for long is asked whether it works', async t => {
  const { clock, server, pool } = makePool(t, { validateAfterIdleMs: 100 })
  const first = await pool.borrow()
  pool.put(first)
  await clock.advance(99)
  t.equal(await pool.borrow(), first)
  t.equal(first.checks, 0)
  pool.put(first)
  await clock.advance(100)
  t.equal(await pool.borrow(), first)
  t.equal(first.checks, 1)
  pool.put(first)
  await clock.advance(100)
  server.break(first, false)
  t.not(await pool.borrow(), first, 'another took the place of the dead one')
  t.equal(first.checks, 2)
})

t.test('when the look at a connection hangs, the borrower has another one within its time-out', async t => {
  const { clock, server, pool } = makePool(t, { validateAfterIdleMs: 100 }, { check: () => clock.sleep(1e9) })
  const connections = await Promise.all([pool.borrow(), pool.borrow()])
  for (const connection of connections) pool.put(connection)
  await clock.advance(200)
  const outcome = watch(pool.borrow())
  await clock.advance(TIMEOUT_MS / 2)
  t.equal(outcome.value?.id, 3, 'a new one, for the other idle one is as old as that which did not answer')
  t.equal(server.most, 2)
})

t.test('a connection that cannot be reset is closed, and one that takes too long to', async t => {
  let reset: () => Promise<void> = async () => { throw new Error('no') }
  const { clock, server, pool } = makePool(t, { size: 1 }, { reset: () => reset() })
  const first = await pool.borrow()
  first.isDirty = true
  pool.put(first)
  t.match(pool.stats(), { current: 1, available: 0, inUse: 1 }, 'nobody has it while it is reset')
  const second = await pool.borrow()
  t.not(second, first)
  reset = () => clock.sleep(1e9)
  second.isDirty = true
  pool.put(second)
  await clock.advance(TIMEOUT_MS)
  t.equal(server.connections.size, 0)
  t.match(pool.stats(), { current: 0, inUse: 0 })
})

t.test('a connection that breaks while it is reset is not lent, though the reset has ended well', async t => {
  const { pool } = makePool(t, { size: 1 }, { reset: (connection) => { connection.onBreak() } })
  const first = await pool.borrow()
  const next = pool.borrow()
  first.isDirty = true
  pool.put(first)
  t.not(await next, first)
})

t.test('who waits for a connection that is reset has an idle one when that has outlived its time', async t => {
  const { clock, pool } = makePool(t, { maxLifetimeMs: 1000, validateAfterIdleMs: 10 }, { reset: () => clock.sleep(50), close: () => clock.sleep(1e9) })
  const first = await pool.borrow()
  await clock.advance(960)
  const second = await pool.borrow()
  pool.put(second)
  first.isDirty = true
  pool.put(first)
  await clock.advance(20)
  const outcome = watch(pool.borrow())
  await clock.advance(50)
  t.equal(outcome.value, second)
})

t.test('what is reset goes to who waits, as it was new', async t => {
  const { pool } = makePool(t, { size: 1 })
  const first = await pool.borrow()
  const next = pool.borrow()
  first.isDirty = true
  pool.put(first)
  t.equal(await next, first)
  t.notOk(first.isDirty)
})

t.test('an idle connection is closed after its time', async t => {
  const { clock, server, pool } = makePool(t, { idleTimeoutMs: 500 })
  const [first, second] = await Promise.all([pool.borrow(), pool.borrow()])
  pool.put(first)
  await clock.advance(300)
  pool.put(second)
  await clock.advance(250)
  t.same([...server.connections], [second])
  await clock.advance(300)
  t.equal(server.connections.size, 0)
  t.match(pool.stats(), { current: 0, opened: 2, closed: 2 })
})

t.test('with an idle time-out of 0 none is kept, unless somebody waits', async t => {
  const { server, pool } = makePool(t, { idleTimeoutMs: 0, size: 1 })
  const first = await pool.borrow()
  const next = pool.borrow()
  pool.put(first)
  t.equal(await next, first)
  pool.put(first)
  await turn()
  t.equal(server.connections.size, 0)
})

t.test('a connection is replaced at the end of its life', async t => {
  const { clock, server, pool } = makePool(t, { maxLifetimeMs: 1000, validateAfterIdleMs: 1e6 })
  const first = await pool.borrow()
  await clock.advance(2000)
  t.ok(server.connections.has(first), 'not while it is lent')
  pool.put(first)
  await turn()
  t.notOk(server.connections.has(first))
  const second = await pool.borrow()
  pool.put(second)
  await clock.advance(899)
  t.ok(server.connections.has(second))
  await clock.advance(101)
  t.notOk(server.connections.has(second), 'nor does an idle one outlive it')
})

t.test('while the server cannot be reached it is tried again, until the deadline', async t => {
  let isUp = false
  const { clock, server, pool, warnings } = makePool(t, { size: 1 }, { open: () => { if (!isUp) throw new Error('ECONNREFUSED') } })
  const patient = watch(pool.borrow())
  const hasty = watch(pool.borrow(50))
  await clock.advance(50)
  t.match(hasty.error, { code: 'FST_SWOOLE_POOL_TIMEOUT', message: /a fake server cannot be reached \(ECONNREFUSED\)/, cause: { message: 'ECONNREFUSED' } })
  await clock.advance(50)
  t.notOk(patient.isSettled)
  t.match(warnings, [{ details: { pool: 'test', err: { message: 'ECONNREFUSED' } } }], 'it is said once')
  isUp = true
  await clock.advance(800)
  t.ok(patient.value)
  t.equal(server.most, 1)
  t.ok(pool.stats().failures > 1)
})

t.test('what will never work fails at once', async t => {
  const { clock, pool } = makePool(t, {}, { open: () => { throw new Error('final: wrong password') } })
  const outcomes = [watch(pool.borrow()), watch(pool.borrow())]
  await turn()
  for (const { error } of outcomes) t.match(error, { code: 'FST_SWOOLE_POOL_CONNECT', message: /wrong password/, cause: { message: 'final: wrong password' } })
  t.equal(clock.timers, 0, 'nothing is tried again')
})

t.test('a server that does not answer is given up after the time-out', async t => {
  const { clock, server, pool } = makePool(t, {}, {
    open: (signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  const outcome = watch(pool.borrow(TIMEOUT_MS * 1.5))
  await clock.advance(TIMEOUT_MS * 1.5)
  t.match(outcome.error, { code: 'FST_SWOOLE_POOL_TIMEOUT', message: /did not answer within 1000 ms/ })
  await clock.advance(TIMEOUT_MS)
  t.equal(server.count, 0)
})

t.test('a waiter whose signal aborts leaves the line', async t => {
  const { pool } = makePool(t, { size: 1 })
  const connection = await pool.borrow()
  const controller = new AbortController()
  const aborted = t.rejects(pool.borrow(undefined, controller.signal), { message: 'enough' })
  const next = pool.borrow()
  controller.abort(new Error('enough'))
  await aborted
  t.equal(pool.stats().waiting, 1)
  pool.put(connection)
  t.equal(await next, connection)
  await t.rejects(pool.borrow(undefined, controller.signal), { message: 'enough' })
})

t.test('a close waits for what is lent, and serves who waits already', async t => {
  const { server, pool } = makePool(t, { size: 1 })
  const connection = await pool.borrow()
  const next = pool.borrow()
  const closed = watch(pool.close())
  await t.rejects(pool.borrow(), { code: 'FST_SWOOLE_POOL_CLOSED', statusCode: 503 })
  pool.put(connection)
  t.equal(await next, connection)
  t.notOk(closed.isSettled)
  pool.put(connection)
  await turn()
  t.ok(closed.isSettled)
  t.equal(server.count, 0)
  t.ok(pool.isClosed)
  await pool.close()
})

t.test('a close ends when those that wait in vain have given up', async t => {
  const { clock, pool } = makePool(t, {}, { open: () => { throw new Error('ECONNREFUSED') } })
  const outcome = watch(pool.borrow())
  const closed = watch(pool.close())
  await clock.advance(TIMEOUT_MS)
  t.equal(outcome.error.code, 'FST_SWOOLE_POOL_TIMEOUT')
  t.ok(closed.isSettled)
  t.equal(clock.timers, 0)
})

t.test('a close with a grace takes what is still out after it', async t => {
  const { clock, server, pool } = makePool(t, {}, { reset: () => clock.sleep(1e9) })
  const [lent, unclean] = await Promise.all([pool.borrow(), pool.borrow()])
  const waiting = watch(pool.borrow())
  unclean.isDirty = true
  pool.put(unclean)
  const closed = watch(pool.close(300))
  await clock.advance(299)
  t.notOk(closed.isSettled)
  await clock.advance(1)
  t.ok(closed.isSettled)
  t.equal(waiting.error.code, 'FST_SWOOLE_POOL_CLOSED')
  t.equal(server.count, 0)
  t.doesNotThrow(() => pool.put(lent), 'its borrower need not know')
  t.match(pool.stats(), { current: 0, inUse: 0, available: 0, waiting: 0 })
})

t.test('a close with a grace does not wait longer for goodbyes', async t => {
  const { clock, server, pool } = makePool(t, {}, { close: () => clock.sleep(1e9) })
  pool.put(await pool.borrow())
  const closed = watch(pool.close(300))
  await clock.advance(300)
  t.ok(closed.isSettled)
  t.equal(server.count, 0)
})

t.test('a close with a grace ends what is being opened, and who waits for it', async t => {
  const { clock, server, pool } = makePool(t, {}, {
    open: (signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  const outcome = watch(pool.borrow())
  const closed = watch(pool.close(100))
  await clock.advance(100)
  t.ok(closed.isSettled)
  t.equal(outcome.error.code, 'FST_SWOOLE_POOL_CLOSED')
  t.equal(server.count, 0)
  t.equal(clock.timers, 0)
})
