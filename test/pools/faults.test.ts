import t from 'tap'
import type { Test as Tap } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/processes.ts'
import type { RedisPool, SqlPool } from '../../plugins/pools/index.ts'
import { Proxy } from './proxy.ts'
import { isWhole, unique } from './whole.ts'
import { KINDS, failOnUncaught, headersOf, observe, openSubject, turn } from './subjects.ts'
import type { Kind, Observer, Subject, Test } from './subjects.ts'

/** Beyond the time that something may take: the machine has other things to do as well. */
const SLACK_MS = 1000
const TIMEOUT_MS = 1000
const STATEMENT_MS = 500

/** PostgreSQL's end of an answer becomes an error, and its row an end; the others are of lengths, and of what is none of a protocol. */
const FLIPS = [0x01, 0x06, 0x16, 0x1e, 0x80]

interface Parts {
  observer: Observer
  proxy: Proxy
  subject: Subject
}

async function behindProxy (t: Test, kind: Kind, options: object = {}): Promise<Parts> {
  const observer = await observe(t, kind)
  const proxy = await Proxy.start(observer.server, headersOf(kind))
  const subject = await openSubject(t, kind, { ...observer.server, host: '127.0.0.1', port: proxy.port }, { ...observer.options, ...options })
  t.teardown(() => proxy.close())
  return { observer, proxy, subject }
}

/** So many connections at the same time, which are idle then. */
async function warm ({ pool, askOn }: Subject, count: number): Promise<void> {
  const all = Promise.withResolvers<void>()
  let here = 0
  await Promise.all(Array.from({ length: count }, () => pool.withConnection(async (connection) => {
    await askOn(connection, unique())
    if (++here === count) all.resolve()
    await all.promise
  })))
}

/** All connections are lost, and the pool has heard of it. */
async function loseAll ({ pool, kind }: Subject, proxy: Proxy): Promise<void> {
  const isConnected = () => proxy.links.size > 0 || pool.getStats().available > 0 || (kind === 'redis' && (pool as RedisPool).shared.status === 'ready')
  // Redis connects again by itself.
  do {
    proxy.reset()
    await turn()
  } while (isConnected())
}

/** The error, and how long it took. */
async function failureOf (promise: Promise<unknown>): Promise<{ error: any, tookMs: number }> {
  const begun = performance.now()
  try {
    await promise
  } catch (error) {
    return { error, tookMs: performance.now() - begun }
  }
  throw new Error('It did not fail')
}

t.jobs = KINDS.length
failOnUncaught(t)

for (const kind of KINDS) {
  t.test(kind, { buffered: true, timeout: 150_000 }, async t => {
    t.test('connections that the server has closed while they were idle are never seen by the next caller', async t => {
      const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 4 })
      await warm(subject, 3)
      const links = [...proxy.links]
      for (const id of await observer.connections()) await observer.kill(id)
      // A word of it has come as far as here.
      await Promise.all(links.map(({ closed }) => closed))
      await turn()
      await isWhole(t, subject, observer)
    })

    t.test('a connection that the server closes while it is used fails its caller and nobody else', async t => {
      const { observer, subject } = await behindProxy(t, kind, { poolSize: 1 + (kind === 'redis' ? 1 : 0) })
      const { pool, sleepOn, askOn } = subject
      for (let round = 0; round < 10; round++) {
        const inHand = failureOf(pool.withConnection((connection) => sleepOn(connection, 20_000)))
        const numbers = [unique(), unique(), unique()]
        const waiting = numbers.map((number) => pool.withConnection((connection) => askOn(connection, number)))
        await eventually('it sleeps', async () => (await observer.sleeping()).length === 1)
        for (const id of await observer.sleeping()) await observer.kill(id)
        t.ok((await inHand).tookMs < TIMEOUT_MS + SLACK_MS, 'its caller hears of it')
        t.same(await Promise.all(waiting), numbers, 'those that wait have their answers')
      }
      await isWhole(t, subject, observer)
    })

    for (const fault of ['stall', 'cut', 'reset'] as const) {
      t.test(`${fault} at any byte of an answer: an error or the right answer, and the next caller has the right one`, async t => {
        const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 3, ...short(kind) })
        for (let bytes = 0; bytes < (fault === 'stall' ? 30 : 60); bytes += fault === 'stall' ? 5 : 2) {
          for (const link of proxy.links) link.after(bytes, 'toClient', fault)
          await askTwice(t, subject, proxy, `byte ${bytes}`)
        }
        await isWhole(t, subject, observer)
      })

      t.test(`${fault} at any byte of the handshake: the callers have their answer or an error in time, and nothing stays open`, async t => {
        const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 3, ...short(kind) })
        for (const direction of ['toClient', 'toServer'] as const) {
          for (const bytes of fault === 'cut' ? [0, 1, 7, 40, 90] : [0, 40]) {
            await loseAll(subject, proxy)
            proxy.onLink = (link) => link.after(bytes, direction, fault)
            await askTwice(t, subject, proxy, `${direction}, byte ${bytes}`)
          }
        }
        await isWhole(t, subject, observer)
      })
    }

    for (const splitBytes of [1, Infinity]) {
      t.test(`a corrupt header anywhere in an answer that comes ${splitBytes === 1 ? 'byte by byte' : 'at once'}: nothing crashes or hangs, and nobody else has that connection`, async t => {
        const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 3, ...short(kind) })
        for (let n = 0; n < 40; n++) {
          // Of an answer of Redis there are no more.
          const header = n % (kind === 'redis' ? 4 : 30)
          const flip = FLIPS[(n + Math.trunc(n / 30)) % FLIPS.length]!
          for (const link of proxy.links) {
            link.slow(splitBytes)
            link.after(header, 'toClient', 'corruptHeader', flip)
          }
          await askTwice(t, subject, proxy, `header ${header} ^ ${flip}`)
        }
        await isWhole(t, subject, observer)
      })
    }

    t.test('any byte of the handshake corrupt: nothing crashes or hangs, nothing stays open', async t => {
      const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 3, ...short(kind) })
      for (let bytes = 0; bytes < 100; bytes += 4) {
        await loseAll(subject, proxy)
        proxy.onLink = (link) => link.after(bytes, 'toClient', bytes % 8 === 0 ? 'corrupt' : 'corruptHeader', 1 << bytes % 7)
        await askTwice(t, subject, proxy, `byte ${bytes}`)
      }
      await loseAll(subject, proxy)
      await isWhole(t, subject, observer)
    })

    t.test('while nothing passes, statements end by their time and those that wait by theirs; then all is whole again', async t => {
      const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 2 })
      await warm(subject, kind === 'redis' ? 1 : 2)
      proxy.stall()
      const asked = Array.from({ length: 6 }, () => failureOf(subject.ask(unique())))
      const controller = new AbortController()
      const aborted = failureOf(subject.ask(unique(), { signal: controller.signal }))
      await turn()
      controller.abort(new Error('the caller has gone'))
      t.match(await aborted, { error: { message: 'the caller has gone' } })
      for (const { error, tookMs } of await Promise.all(asked)) {
        t.ok(['FST_SWOOLE_POOL_TIMEOUT', 'FST_SWOOLE_POOL_QUERY_TIMEOUT'].includes(error.code) || kind === 'redis', String(error))
        t.ok(tookMs < TIMEOUT_MS + STATEMENT_MS + SLACK_MS, `${tookMs} ms`)
      }
      proxy.resume()
      await isWhole(t, subject, observer)
    })

    t.test('a caller that goes while its statement runs, or while it waits, leaves the pool whole', async t => {
      const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 2 })
      await warm(subject, kind === 'redis' ? 1 : 2)
      for (const isStalled of [false, true]) {
        if (isStalled) proxy.stall()
        const controller = new AbortController()
        const { signal } = controller
        const callers = Array.from({ length: 4 }, () => failureOf(subject.pool.withConnection((connection) => subject.sleepOn(connection, 1500), { signal })))
        await turn()
        await sleep(50)
        controller.abort(new Error('gone'))
        for (const { error, tookMs } of await Promise.all(callers)) {
          t.equal(error.message, 'gone')
          t.ok(tookMs < SLACK_MS, `${tookMs} ms`)
        }
        proxy.resume()
        await isWhole(t, subject, observer)
      }
    })

    t.test('a stall while a connection is made as it was costs that connection, and no caller', async t => {
      const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 1 + (kind === 'redis' ? 1 : 0), ...short(kind) })
      const lent = await subject.pool.get()
      await subject.changeOn(lent)
      for (const link of proxy.links) link.stall()
      subject.pool.put(lent)
      const [number, other] = [unique(), unique()]
      t.equal(await subject.pool.withConnection((connection) => subject.askOn(connection, number), { timeout: 5000 }), number)
      proxy.resume()
      t.equal(await subject.pool.withConnection((connection) => subject.askOn(connection, other), { timeout: 5000 }), other)
      await isWhole(t, subject, observer)
    })

    if (kind !== 'redis') {
      t.test('a stall during a COMMIT ends by the time of a statement, and whoever comes then finds it done or not done', async t => {
        const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 2 })
        const pool = subject.pool as SqlPool<any>
        await observer.run('CREATE TABLE counted (id int PRIMARY KEY)')
        for (const direction of ['toServer', 'toClient'] as const) {
          const id = unique()
          const { error, tookMs } = await failureOf(pool.transaction(async (connection) => {
            await connection.query(`INSERT INTO counted VALUES (${id})`)
            for (const link of proxy.links) link[direction].stall()
          }))
          t.equal(error.code, 'FST_SWOOLE_POOL_QUERY_TIMEOUT')
          t.ok(tookMs < STATEMENT_MS + TIMEOUT_MS + SLACK_MS, `${tookMs} ms`)
          // What has not come as far as the server does not come any more.
          await loseAll(subject, proxy)
          proxy.heal()
          await isWhole(t, subject, observer)
          t.equal((await observer.run(`SELECT * FROM counted WHERE id = ${id}`)).length, direction === 'toClient' ? 1 : 0, 'as far as it came')
        }
      })
    }

    for (const fault of ['cut', 'reset', 'stall'] as const) {
      t.test(`what was sent when the connection is lost (${fault}) is done once, or not at all`, async t => {
        const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 3, ...short(kind) })
        const key = `fastify-swoole:${observer.options.name}`
        const count = kind === 'redis'
          ? () => (subject.pool as RedisPool).incr(key)
          : () => (subject.pool as SqlPool<any>).execute('UPDATE counted_once SET n = n + 1')
        const counted = async () => Number(kind === 'redis' ? (await observer.run(key))[0] : (await observer.run('SELECT n FROM counted_once'))[0].n)
        if (kind !== 'redis') for (const sql of ['CREATE TABLE counted_once (n int)', 'INSERT INTO counted_once VALUES (0)']) await observer.run(sql)
        await count()
        let done = await counted()
        for (let round = 0; round < 5; round++) {
          // The server has it, and its answer does not come.
          for (const link of proxy.links) link.after(0, 'toClient', fault)
          await failureOf(count())
          proxy.heal()
          await isWhole(t, subject, observer)
          t.equal(await counted(), ++done)
        }
        if (kind === 'redis') await (subject.pool as RedisPool).delete(key)
      })
    }

    t.test('an application closes in bounded time though nothing passes', async t => {
      const { proxy, subject } = await behindProxy(t, kind, { poolSize: 3 })
      await warm(subject, 2)
      proxy.stall()
      const pending = [subject.ask(unique()), subject.ask(unique())].map(failureOf)
      const begun = performance.now()
      await subject.fastify.close()
      t.ok(performance.now() - begun < 2 * TIMEOUT_MS + STATEMENT_MS + SLACK_MS, `${performance.now() - begun} ms`)
      for (const { error } of await Promise.all(pending)) t.ok(error)
      t.equal(subject.pool.getStats().current, 0)
      proxy.resume()
    })

    t.test('a server that refuses, and is there again', async t => {
      const { observer, proxy, subject } = await behindProxy(t, kind, { poolSize: 3 })
      await warm(subject, 2)
      proxy.refuse()
      await loseAll(subject, proxy)
      const { error, tookMs } = await failureOf(subject.pool.withConnection((connection) => subject.askOn(connection, unique())))
      t.equal(error.code, 'FST_SWOOLE_POOL_TIMEOUT')
      t.ok(tookMs < TIMEOUT_MS + SLACK_MS)
      await sleep(TIMEOUT_MS)
      await proxy.accept()
      await isWhole(t, subject, observer)
    })
  })
}

/** One caller while there is a fault, which has its answer or an error in time, and one after it, which has its answer. */
async function askTwice (t: Tap, { kind, ask, pool, askOn }: Subject, proxy: Proxy, message: string): Promise<void> {
  const begun = performance.now()
  const one = unique()
  await ask(one).then((answer) => {
    // The letter of an answer of Redis is nowhere repeated: a string may come as the number that its length is.
    if (answer !== one && kind !== 'redis') t.fail(`${message}: asked for ${one}, got ${answer}`)
  }, (error) => {
    if (!(error instanceof Error)) t.fail(`${message}: ${error}`)
  })
  const tookMs = performance.now() - begun
  if (tookMs > 450 + SLACK_MS) t.fail(`${message}: ${tookMs} ms`)
  proxy.heal()
  const other = unique()
  const answer = await pool.withConnection((connection) => askOn(connection, other), { signal: AbortSignal.timeout(3000), timeout: 3000 }).catch((error) => error)
  if (answer !== other) t.fail(`${message}: then asked for ${other}, got ${answer}`)
}

function short (kind: Kind): object {
  return { timeout: 300, ...(kind === 'redis' ? { commandTimeout: 100 } : { queryTimeout: 100 }) }
}
