import type { PoolConnection } from 'mysql2/promise'
import t from 'tap'
import type { SqlPool } from '../../plugins/pools/index.ts'
import type { PostgresClient } from '../../plugins/postgres/index.ts'
import { eventually } from '../support/processes.ts'
import { observe, openSubject } from './subjects.ts'
import type { Observer } from './subjects.ts'

type AnyPool = SqlPool<any>

const KINDS = ['postgresql', 'mysql'] as const
const QUERIES = {
  postgresql: {
    sleep: 'SELECT pg_sleep(60)',
    id: 'SELECT pg_backend_pid() AS id',
    isolation: 'SELECT current_setting(\'transaction_isolation\') AS isolation, current_setting(\'transaction_read_only\') AS ro',
    tables: ['CREATE TABLE items (id int PRIMARY KEY, n int)', "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 50', current_database()); END $$"]
  },
  mysql: {
    sleep: 'SELECT SLEEP(60)',
    id: 'SELECT CONNECTION_ID() AS id',
    isolation: '',
    tables: ['CREATE TABLE items (id int PRIMARY KEY, n int) ENGINE = InnoDB']
  }
}

/** Settles when so many have come. */
function meeting (count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  return async () => {
    if (--count === 0) resolve()
    await promise
  }
}

for (const kind of KINDS) {
  const { sleep, tables } = QUERIES[kind]

  t.test(kind, async t => {
    const observer: Observer = await observe(t, kind)
    const { server, options } = observer
    const open = async (more: object = {}) => (await openSubject(t, kind, server, { ...options, queryTimeout: '30s', ...more })).pool as AnyPool
    for (const sql of tables) await (await open()).query(sql)
    const pool = await open()
    const place = kind === 'postgresql' ? '$1' : '?'
    const insert = (connection: any, id: number) => connection.query(`INSERT INTO items VALUES (${Number(id)}, 0)`)
    const ids = async () => (await pool.query<{ id: number }>('SELECT id FROM items ORDER BY id')).map(({ id }) => id)
    const isAtRest = async () => {
      await eventually('all is back', () => pool.getStats().inUse === 0)
      await eventually('nothing is left on the server', async () => (await observer.sleeping()).length === 0)
    }
    t.beforeEach(async () => { await pool.query('DELETE FROM items') })

    t.test('a transaction is committed when its function has ended, and gives its result', async t => {
      t.equal(await pool.transaction(async (connection) => {
        await insert(connection, 1)
        t.same(await ids(), [], 'nobody sees it before')
        return 'result'
      }), 'result')
      t.same(await ids(), [1])
    })

    t.test('what its function throws rolls it back, and goes to the caller', async t => {
      const error = new Error('no')
      await t.rejects(pool.transaction(async (connection) => { await insert(connection, 1); throw error }), error)
      await t.rejects(pool.transaction((connection) => insert(connection, 1).then(() => connection.query('SELECT nothing'))))
      await t.rejects(pool.transaction(() => { throw error }), error)
      t.same(await ids(), [])
      await isAtRest()
    })

    t.test('begin, commit and rollback by hand', async t => {
      const one = await pool.beginTransaction()
      await insert(one, 1)
      await pool.commit(one)
      const other = await pool.beginTransaction()
      await insert(other, 2)
      await pool.rollback(other)
      t.same(await ids(), [1])
      await t.rejects(pool.commit(other), { code: 'FST_SWOOLE_POOL_NOT_BORROWED' })
      await t.rejects(pool.rollback({} as never), { code: 'FST_SWOOLE_POOL_NOT_BORROWED' })
      await isAtRest()
    })

    t.test('a transaction within another one is a part of it, that can fail alone', async t => {
      await pool.transaction(async (connection) => {
        await insert(connection, 1)
        await t.rejects(pool.transaction(async (inner) => {
          t.equal(inner, connection)
          await insert(inner, 2)
          await pool.transaction((innermost) => insert(innermost, 3))
          await insert(inner, 1)
        }), { message: /duplicate/i })
        await pool.transaction((inner) => insert(inner, 4))
        await t.rejects(pool.transaction(async () => {}, { isolation: 'serializable' }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
      })
      t.same(await ids(), [1, 4])
    })

    t.test('those that are begun at the same time within one are done one after another', async t => {
      await pool.transaction(async () => {
        const outcomes = await Promise.allSettled([1, 2, 3, 4].map((id) => pool.transaction(async (inner) => {
          await insert(inner, id)
          if (id % 2 === 0) throw new Error('no')
          await pool.transaction((innermost) => insert(innermost, id * 10))
        })))
        t.same(outcomes.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled', 'rejected'])
      })
      t.same(await ids(), [1, 3, 10, 30])
    })

    t.test('a part that nobody waits for is ended with the whole', async t => {
      await pool.transaction(async () => { pool.transaction((inner) => insert(inner, 1)) })
      t.same(await ids(), [1])
      await isAtRest()
    })

    t.test('what was begun in a transaction that has ended is one of its own', async t => {
      let late = () => {}
      const done = pool.transaction(async () => {
        const wait = new Promise<void>((resolve) => { late = resolve })
        return { after: wait.then(() => pool.transaction((connection) => insert(connection, 1))) }
      })
      const { after } = await done
      late()
      await after
      t.same(await ids(), [1])
    })

    t.test('statements that nobody waits for are a part of the transaction', async t => {
      await pool.transaction((connection) => { insert(connection, 1); insert(connection, 2) })
      t.same(await ids(), [1, 2])
    })

    t.test('options that are none are refused', async t => {
      for (const options of [{ isolation: 'snapshot' }, { isolation: 7 }, { readOnly: 'yes' }, { retries: -1 }, { retries: 1.5 }, { attempts: 3 }, { signal: {} }]) {
        await t.rejects(pool.transaction(async () => {}, options as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' }, JSON.stringify(options))
      }
      await t.rejects(pool.transaction(async () => {}, { timeout: 'soon' }), { code: 'FST_SWOOLE_DURATION_INVALID' })
      await isAtRest()
    })

    t.test('a read-only transaction can change nothing', async t => {
      await t.rejects(pool.transaction((connection) => insert(connection, 1), { readOnly: true }), { message: /read.only/i })
      await pool.transaction((connection) => insert(connection, 1))
      t.same(await ids(), [1])
    })

    t.test('a conflict is tried again as often as is said, and then goes to the caller', async t => {
      for (const id of [1, 2]) await pool.transaction((connection) => insert(connection, id))
      /** Each needs what the other one has: the server gives one of them up. */
      const contend = async (retries: number) => {
        const met = meeting(2)
        let attempts = 0
        const outcomes = await Promise.allSettled([[1, 2], [2, 1]].map(([first, second]) => pool.transaction(async (connection) => {
          attempts++
          await connection.query(`UPDATE items SET n = n + 1 WHERE id = ${first}`)
          if (attempts <= 2) await met()
          await connection.query(`UPDATE items SET n = n + 1 WHERE id = ${second}`)
        }, { retries })))
        return { attempts, statuses: outcomes.map(({ status }) => status).sort() }
      }
      t.same(await contend(0), { attempts: 2, statuses: ['fulfilled', 'rejected'] })
      t.same(await contend(3), { attempts: 3, statuses: ['fulfilled', 'fulfilled'] })
      t.same(await pool.query('SELECT n FROM items'), [{ n: 3 }, { n: 3 }])
      await isAtRest()
    })

    t.test('what is no conflict is not tried again', async t => {
      let attempts = 0
      await t.rejects(pool.transaction(async (connection) => { attempts++; await connection.query('SELECT nothing') }, { retries: 5 }))
      t.equal(attempts, 1)
    })

    t.test('a transaction that the server gave up cannot be committed, though its function took no notice', async t => {
      for (const id of [1, 2]) await pool.transaction((connection) => insert(connection, id))
      const met = meeting(2)
      const outcomes = await Promise.allSettled([[1, 2], [2, 1]].map(([first, second]) => pool.transaction(async (connection) => {
        await connection.query(`UPDATE items SET n = n + 1 WHERE id = ${first}`)
        await met()
        await connection.query(`UPDATE items SET n = n + 1 WHERE id = ${second}`).catch(() => {})
      })))
      t.same(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      t.match(outcomes.find(({ status }) => status === 'rejected'), { reason: { code: 'FST_SWOOLE_TRANSACTION_ABORTED' } })
      await isAtRest()
    })

    t.test('nor when a part of it was given up', async t => {
      for (const id of [1, 2]) await pool.transaction((connection) => insert(connection, id))
      const met = meeting(2)
      const outcomes = await Promise.allSettled([[1, 2], [2, 1]].map(([first, second]) => pool.transaction(async (connection) => {
        await connection.query(`UPDATE items SET n = n + 1 WHERE id = ${first}`)
        await met()
        await pool.transaction((inner) => inner.query(`UPDATE items SET n = n + 1 WHERE id = ${second}`)).catch(() => {})
      })))
      const rejected = outcomes.filter(({ status }) => status === 'rejected')
      // PostgreSQL rolls back to the savepoint: the rest of the transaction stands.
      t.equal(rejected.length, kind === 'postgresql' ? 0 : 1)
      await isAtRest()
    })

    for (const [what, run] of Object.entries<(pool: AnyPool, signal: AbortSignal) => Promise<unknown>>({
      query: (pool, signal) => pool.query(sleep, [], { signal }),
      execute: (pool, signal) => pool.execute(sleep, undefined, { signal }),
      withConnection: (pool, signal) => pool.withConnection((connection) => connection.query(sleep), { signal }),
      transaction: (pool, signal) => pool.transaction(async (connection) => { await insert(connection, 1); await connection.query(sleep) }, { signal, retries: 2 }),
      'a transaction within another one': (pool, signal) => pool.transaction(() => pool.transaction((inner) => inner.query(sleep)), { signal })
    })) {
      t.test(`a signal ends what runs on the server: ${what}`, async t => {
        const controller = new AbortController()
        const reason = new Error('enough')
        const running = run(pool, controller.signal)
        running.catch(() => {})
        await eventually('the server is at it', async () => (await observer.sleeping()).length === 1)
        controller.abort(reason)
        await t.rejects(running, reason)
        await eventually('the server has left it', async () => (await observer.sleeping()).length === 0, 2000)
        await isAtRest()
        t.same(await ids(), [])
        await t.rejects(run(pool, controller.signal), reason, 'nor is anything begun after it')
        t.match(pool.getStats(), { waiting: 0, inUse: 0 })
      })
    }

    t.test('the signal of a transaction within another one ends the whole', async t => {
      const controller = new AbortController()
      const running = pool.transaction(async (connection) => {
        await insert(connection, 1)
        await pool.transaction((inner) => inner.query(sleep), { signal: controller.signal }).catch(() => {})
        await insert(connection, 2)
      })
      running.catch(() => {})
      await eventually('the server is at it', async () => (await observer.sleeping()).length === 1)
      controller.abort()
      await t.rejects(running)
      await isAtRest()
      t.same(await ids(), [])
      t.equal(await pool.transaction(() => pool.transaction(async () => 1, { signal: controller.signal }).catch(() => 2)), 2, 'one that has aborted before ends nothing')
    })

    t.test('a signal that aborts later than the end does nothing', async t => {
      const controller = new AbortController()
      const { opened } = pool.getStats()
      t.equal((await pool.query('SELECT 1 AS n', [], { signal: controller.signal })).length, 1)
      await pool.transaction((connection) => insert(connection, 1), { signal: controller.signal })
      controller.abort()
      t.same(await ids(), [1])
      t.equal(pool.getStats().opened, opened)
    })

    t.test('a statement that takes too long is ended on the server', async t => {
      const pool = await open({ queryTimeout: 200 })
      await t.rejects(pool.query(sleep), { code: 'FST_SWOOLE_POOL_QUERY_TIMEOUT', statusCode: 504 })
      await eventually('the server has left it', async () => (await observer.sleeping()).length === 0, 2000)
      t.equal((await pool.query('SELECT 1 AS n')).length, 1)
      t.match(pool.getStats(), { inUse: 0 })
    })

    t.test('a statement that was prepared works on when its table has changed', async t => {
      const sql = `SELECT * FROM changing WHERE id = ${place}`
      await pool.query('CREATE TABLE changing (id int)')
      await pool.query('INSERT INTO changing VALUES (1)')
      for (let n = 0; n < 4; n++) t.same(await pool.query(sql, [1]), [{ id: 1 }])
      await pool.query('ALTER TABLE changing ADD COLUMN more int')
      for (let n = 0; n < 4; n++) t.same(await pool.query(sql, [1]), [{ id: 1, more: null }])
      await pool.query('DROP TABLE changing')
      await t.rejects(pool.query(sql, [1]))
      await pool.query('CREATE TABLE changing (id int, other int)')
      await pool.query('INSERT INTO changing VALUES (1, 2)')
      t.same(await pool.query(sql, [1]), [{ id: 1, other: 2 }])
      await isAtRest()
    })

    t.test('the answers of both methods', async t => {
      t.equal(await pool.execute(`INSERT INTO items VALUES (${place}, 0)`, [1]), 1)
      t.equal(await pool.execute('INSERT INTO items VALUES (2, 0), (3, 0)'), 2)
      t.equal(await pool.execute('UPDATE items SET n = 1 WHERE id > 1'), 2)
      t.equal(await pool.execute(`DELETE FROM items WHERE id = ${place}`, [9]), 0)
      t.same(await pool.query('SELECT id, n FROM items ORDER BY id'), [{ id: 1, n: 0 }, { id: 2, n: 1 }, { id: 3, n: 1 }])
      t.same(await pool.query('DELETE FROM items'), [])
    })
  })
}

t.test('postgresql: isolation', async t => {
  const { server } = await observe(t, 'postgresql')
  const pool = (await openSubject(t, 'postgresql', server)).pool as SqlPool<PostgresClient>
  const seen = async (options: object) => await pool.transaction(async (client) => Object.values((await client.query(QUERIES.postgresql.isolation)).rows[0]), options)

  t.test('a transaction has the isolation that it was begun with, and the next one has not', async t => {
    for (const isolation of ['read committed', 'repeatable read', 'serializable', 'read uncommitted']) {
      t.same(await seen({ isolation }), [isolation, 'off'])
      t.same(await seen({ isolation: isolation.toUpperCase(), readOnly: true }), [isolation, 'on'])
    }
    t.same(await seen({}), ['read committed', 'off'])
    const client = await pool.beginTransaction({ isolation: 'serializable', readOnly: true })
    t.same((await client.query('SHOW transaction_isolation')).rows, [{ transaction_isolation: 'serializable' }])
    await pool.commit(client)
  })

  t.test('serializable transactions that cannot both be are tried again, also when the commit finds it out', async t => {
    await pool.query('CREATE TABLE doctors (id int, on_call bool)')
    await pool.query('INSERT INTO doctors VALUES (1, true), (2, true)')
    const met = meeting(2)
    let attempts = 0
    const left = await Promise.all([1, 2].map((id) => pool.transaction(async (client) => {
      const { rows } = await client.query('SELECT * FROM doctors WHERE on_call')
      if (++attempts <= 2) await met()
      if (rows.length < 2) return false
      await client.query('UPDATE doctors SET on_call = false WHERE id = $1', [id])
      return true
    }, { isolation: 'serializable', retries: 5 })))
    t.same(left.sort(), [false, true], 'one of them has seen what the other one did')
    t.ok(attempts > 2)
    t.match(await pool.query('SELECT * FROM doctors WHERE on_call'), { length: 1 })
  })
})

t.test('mysql: isolation', async t => {
  const { server, run } = await observe(t, 'mysql')
  const pool = (await openSubject(t, 'mysql', server)).pool as SqlPool<PoolConnection>
  await pool.query('CREATE TABLE counted (id int PRIMARY KEY) ENGINE = InnoDB')
  const insert = (id: number) => run(`INSERT INTO ${server.database}.counted VALUES (${id})`)

  /** What a transaction sees of a row that comes into being while it runs. */
  const sees = async (id: number, options: object) => await pool.transaction(async (connection) => {
    const count = async () => ((await connection.query('SELECT COUNT(*) AS n FROM counted'))[0] as Array<{ n: number }>)[0]!.n
    const before = await count()
    await insert(id)
    return await count() - before
  }, options)

  t.test('a transaction has the isolation that it was begun with, and the next one has not', async t => {
    t.equal(await sees(1, { isolation: 'read committed' }), 1)
    t.equal(await sees(2, { isolation: 'repeatable read' }), 0)
    t.equal(await sees(3, { isolation: 'read committed', readOnly: true }), 1)
    t.equal(await sees(4, {}), 0, 'the default of the server')
    t.equal(pool.getStats().opened, 1)
  })

  t.test('what is read in a serializable transaction nobody changes', async t => {
    await pool.transaction(async (connection) => {
      await connection.query('SELECT * FROM counted WHERE id = 1')
      await t.rejects(run(`SET STATEMENT innodb_lock_wait_timeout = 0 FOR UPDATE ${server.database}.counted SET id = 11 WHERE id = 1`), { code: 'ER_LOCK_WAIT_TIMEOUT' })
    }, { isolation: 'serializable' })
  })
})
