import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/processes.ts'
import { KINDS, observe, openSubject } from './subjects.ts'

/** What the machine may take beside the work. */
const SLACK_MS = 150

async function codeOf (promise: Promise<unknown>): Promise<string | undefined> {
  return await promise.then(() => undefined, (error) => error.code)
}

for (const kind of KINDS) {
  t.test(kind, async t => {
    const observer = await observe(t, kind)
    const { connections } = observer
    const open = (options: object = {}) => openSubject(t, kind, observer.server, { ...observer.options, ...(kind === 'redis' ? {} : { queryTimeout: '1m' }), ...options })

    t.test('the first connection is there at once', async t => {
      const { pool, fastify } = await open()
      const begunMs = performance.now()
      const connection = await pool.get() as never
      t.ok(performance.now() - begunMs < 50)
      pool.put(connection)
      await fastify.close()
    })

    t.test('a connection that has to be opened takes no longer than that', async t => {
      const { pool, askOn, fastify } = await open({ idleTimeout: 0 })
      const begunMs = performance.now()
      t.equal(await pool.withConnection((connection) => askOn(connection, 7)), 7)
      t.ok(performance.now() - begunMs < 500, `${performance.now() - begunMs} ms`)
      await fastify.close()
    })

    t.test('when all are lent, a borrower hears of it after one time-out', async t => {
      const { pool, shared, fastify } = await open({ poolSize: 2, timeout: 300 })
      const lent = [] as any[]
      while (lent.length < 2 - shared) lent.push(await pool.get())
      const begunMs = performance.now()
      await t.rejects(pool.get() as Promise<unknown>, { code: 'FST_SWOOLE_POOL_TIMEOUT', statusCode: 503, message: /2 of 2 are lent/ })
      const tookMs = performance.now() - begunMs
      t.ok(tookMs > 295 && tookMs < 330 + SLACK_MS, `${tookMs} ms`)
      t.match(pool.getStats(), { size: 2, current: 2, available: 0, inUse: 2, waiting: 0, timeouts: 1 })
      for (const connection of lent) pool.put(connection as never)
      await fastify.close()
    })

    t.test('a thousand borrowers at a time have what they ask for over no more connections than there may be', async t => {
      const { pool, askOn, ask, fastify } = await open({ poolSize: 6, timeout: '30s' })
      let most = 0
      const counting = new AbortController()
      const counted = (async () => {
        while (!counting.signal.aborted) most = Math.max(most, (await connections()).length)
      })()
      const numbers = Array.from({ length: 1000 }, (_, n) => n)
      const answers = await Promise.all(numbers.map((n) => n % 2 === 0 ? ask(n) : pool.withConnection((connection) => askOn(connection, n))))
      counting.abort()
      await counted
      t.same(answers, numbers)
      t.ok(most > 1 && most <= 6, `the server has counted ${most}`)
      t.equal((await connections()).length, pool.getStats().current)
      await fastify.close()
    })

    t.test('what is put back twice, or is a stranger, is refused, and nobody shares a connection', async t => {
      const { pool, fastify } = await open({ poolSize: 3 })
      const connection = await pool.get() as any
      pool.put(connection as never)
      t.throws(() => pool.put(connection as never), { code: 'FST_SWOOLE_POOL_NOT_BORROWED' })
      t.throws(() => pool.put({} as never), { code: 'FST_SWOOLE_POOL_NOT_BORROWED' })
      const [one, other] = await Promise.all([pool.get(), pool.get()]) as any[]
      t.not(one, other)
      t.throws(() => { pool.put(one as never); pool.put(one as never) }, { code: 'FST_SWOOLE_POOL_NOT_BORROWED' })
      pool.put(other as never)
      await fastify.close()
    })

    t.test('the close of the application waits for what is lent, and leaves nothing behind', async t => {
      const { pool, askOn, fastify } = await open({ poolSize: 2 })
      const connection = await pool.get()
      let hasClosed = false
      const closed = fastify.close().then(() => { hasClosed = true })
      // Whoever still comes before it is closed is served as ever, by no connection that is not lent.
      while (await codeOf(pool.get({ timeout: 1 }).then((late) => pool.put(late as never))) !== 'FST_SWOOLE_POOL_CLOSED') await sleep(1)
      t.equal(await askOn(connection, 5), 5)
      t.notOk(hasClosed)
      pool.put(connection as never)
      await closed
      t.match(pool.getStats(), { current: 0, inUse: 0 })
      await eventually('the server has no connection of the pool', async () => (await connections()).length === 0)
    })

    t.test('a session that was changed is another for who comes next', async t => {
      const { pool, changeOn, askOn, fastify } = await open({ poolSize: 2 })
      const connection = await pool.get() as any
      await changeOn(connection)
      pool.put(connection as never)
      t.equal(await pool.withConnection((next) => askOn(next, 3)), 3)
      await fastify.close()
    })
  })
}
