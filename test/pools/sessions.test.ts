import type { PoolConnection } from 'mysql2/promise'
import t from 'tap'
import type { PostgresClient } from '../../plugins/postgres/index.ts'
import type { SqlPool } from '../../plugins/pools/index.ts'
import { startOwnServer } from '../support/database-servers.ts'
import { observe, openSubject } from './subjects.ts'

/** Pools of one connection, so that who comes next has what the one before has left. */
t.test('postgresql', async t => {
  const { server, run } = await observe(t, 'postgresql')
  const { pool, fastify } = await openSubject(t, 'postgresql', server, { poolSize: 1 }) as { pool: SqlPool<PostgresClient>, fastify: any }
  await run('CREATE TABLE items (id int PRIMARY KEY)')
  await run('CREATE TABLE parts (item int REFERENCES items DEFERRABLE INITIALLY DEFERRED)')

  t.test('the commit of a transaction that has failed rejects', async t => {
    const connection = await pool.beginTransaction()
    await t.rejects(connection.query('SELECT 1 / 0'), { code: '22012' })
    await t.rejects(pool.commit(connection), { code: 'FST_SWOOLE_TRANSACTION_ABORTED' })
    await t.rejects(pool.transaction(async (client) => {
      await client.query('INSERT INTO items VALUES (1)')
      await client.query('SELECT 1 / 0').catch(() => {})
    }), { code: 'FST_SWOOLE_TRANSACTION_ABORTED' })
    t.same(await pool.query('SELECT * FROM items'), [])
  })

  t.test('the commit that a deferred constraint refuses rejects', async t => {
    await t.rejects(pool.transaction((client) => client.query('INSERT INTO parts VALUES (7)')), { code: '23503' })
    const connection = await pool.beginTransaction()
    await connection.query('INSERT INTO parts VALUES (7)')
    await t.rejects(pool.commit(connection), { code: '23503' })
    t.same(await pool.query('SELECT * FROM parts'), [])
    t.match(pool.getStats(), { inUse: 0 })
  })

  for (const [what, leave] of [
    ['a transaction that was forgotten', async (client) => { await client.query('BEGIN'); await client.query('INSERT INTO items VALUES (2)') }],
    ['one that has failed', async (client) => { await client.query('BEGIN'); await client.query('INSERT INTO items VALUES (2)'); await client.query('SELECT 1 / 0').catch(() => {}) }],
    ['one whose statements nobody waits for', async (client) => { client.query('BEGIN'); client.query('INSERT INTO items VALUES (2)') }],
    ['one begun beside another statement', async (client) => { await client.query('SELECT 1; BEGIN; INSERT INTO items VALUES (2)') }]
  ] as Array<[string, (client: PostgresClient) => Promise<void>]>) {
    t.test(`${what} is rolled back when the connection is put back`, async t => {
      await pool.withConnection(leave)
      await pool.withConnection(async (client) => {
        t.equal(client.getTransactionStatus(), 'I')
        t.same((await client.query('SELECT * FROM items')).rows, [])
      })
      t.same(await run('SELECT * FROM items'), [])
    })
  }

  t.test('nothing of a session is left to who comes next', async t => {
    const state = async (client: PostgresClient) => {
      const { rows } = await client.query(`SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout,
        NULLIF(current_setting('app.tenant', true), '') AS tenant, current_user AS "user", to_regclass('pg_temp.notes') AS notes, to_regclass('pg_temp.more') AS more,
        (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
        (SELECT count(*)::int FROM pg_prepared_statements WHERE name = 'mine') AS prepared,
        (SELECT count(*)::int FROM pg_cursors WHERE name = 'held') AS cursors, (SELECT count(*)::int FROM pg_listening_channels()) AS channels`)
      return { pid: client.processID, ...rows[0] }
    }
    const before = await pool.withConnection(state)
    const { opened } = pool.getStats()
    for (const change of [
      'SET search_path = pg_catalog',
      "SELECT set_config('app.tenant', '7', false)",
      "-- of a tenant\n/* and */ SELECT 1, pg_catalog.set_config('app.tenant', '7', false)",
      'SET statement_timeout = 1234',
      'SET ROLE pg_monitor',
      'CREATE TEMP TABLE notes (id int)',
      'SELECT 1 AS id INTO TEMP notes',
      'SELECT 1 AS id INTO/**/TEMPORARY TABLE notes',
      'SELECT 1 AS id INTO LOCAL TEMP notes',
      'SELECT 1 AS id INTO pg_temp.more',
      'SELECT pg_advisory_lock(77)',
      'SELECT pg_try_advisory_lock(77)',
      'WITH x AS (SELECT pg_advisory_lock_shared(77)) SELECT * FROM x',
      'PREPARE mine AS SELECT 1',
      'BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT 1; COMMIT',
      'LISTEN news'
    ]) {
      await pool.withConnection((client) => client.query(change))
      t.same(await pool.withConnection(state), before, change)
      await pool.withConnection((client) => client.query({ text: change }))
      t.same(await pool.withConnection(state), before, `as an object: ${change}`)
    }
    t.equal(pool.getStats().opened, opened, 'all on one connection')
  })

  t.test('what is prepared works on after the session was reset', async t => {
    const ask = () => pool.query('SELECT $1::int AS n', [5])
    for (let n = 0; n < 3; n++) t.same(await ask(), [{ n: 5 }])
    await pool.withConnection((client) => client.query('SET search_path = pg_catalog'))
    for (let n = 0; n < 3; n++) t.same(await ask(), [{ n: 5 }])
    await pool.query('DISCARD ALL')
    t.same(await ask(), [{ n: 5 }])
    await pool.query('DEALLOCATE ALL')
    t.same(await ask(), [{ n: 5 }])
    await pool.withConnection(async (client) => {
      await client.query({ name: 'own', text: 'SELECT 6 AS n' })
      await client.query('DEALLOCATE ALL')
    })
    t.same(await ask(), [{ n: 5 }])
    t.same(await pool.withConnection(async (client) => (await client.query({ name: 'own', text: 'SELECT 7 AS n' })).rows), [{ n: 7 }])
  })
  await t.test('close', async () => { await fastify.close() })
})

/** One that starts with latin1, so that a character set of ours is not that of the server by chance. */
t.test('mysql', async t => {
  const own = await startOwnServer('mysql')
  t.teardown(() => own.remove())
  const { host, port, user } = own
  const { run } = await observe(t, 'mysql', { host, port, user: user!, database: 'mysql' })
  const server = { host, port, user: user!, database: 'fastify_swoole' }
  await run('CREATE DATABASE fastify_swoole CHARACTER SET utf8mb4')
  await run('CREATE TABLE fastify_swoole.items (id int PRIMARY KEY) ENGINE = InnoDB')
  const { pool, fastify } = await openSubject(t, 'mysql', server, { poolSize: 1 }) as { pool: SqlPool<PoolConnection>, fastify: any }

  for (const [what, leave] of [
    ['a transaction that was forgotten', async (connection) => { await connection.beginTransaction(); await connection.query('INSERT INTO items VALUES (2)') }],
    ['one begun by its statement', async (connection) => { await connection.query('/* of ours */ start transaction'); await connection.execute('INSERT INTO items VALUES (?)', [2]) }],
    ['one begun by a prepared statement', async (connection) => { await (await connection.prepare('START TRANSACTION')).execute([]); await connection.query('INSERT INTO items VALUES (2)') }],
    ['one begun by a comment that the server executes', async (connection) => { await connection.query('/*!50000 BEGIN */'); await connection.query('INSERT INTO items VALUES (2)') }],
    ['one whose statements nobody waits for', async (connection) => { connection.beginTransaction(); connection.query('INSERT INTO items VALUES (2)') }],
    ['one without an end', async (connection) => { await connection.query('SET autocommit = 0'); await connection.query('INSERT INTO items VALUES (2)') }],
    ['one begun by the end of another', async (connection) => { await connection.beginTransaction(); await connection.query('COMMIT AND CHAIN'); await connection.query('INSERT INTO items VALUES (2)') }],
    ['one of which a part was rolled back', async (connection) => {
      await connection.beginTransaction()
      await connection.query('INSERT INTO items VALUES (2)')
      await connection.query('SAVEPOINT one')
      await connection.query('ROLLBACK TO one')
    }]
  ] as Array<[string, (connection: PoolConnection) => Promise<void>]>) {
    t.test(`${what} is rolled back when the connection is put back`, async t => {
      await pool.withConnection(leave)
      t.same(await pool.query('SELECT id, @@in_transaction AS open, @@autocommit AS auto FROM (SELECT 1) one LEFT JOIN items ON TRUE'), [{ id: null, open: 0, auto: 1 }])
      t.same(await run('SELECT * FROM fastify_swoole.items'), [])
    })
  }

  t.test('nothing of a session is left to who comes next', async t => {
    const state = async () => {
      const [row] = await pool.query(`SELECT CONNECTION_ID() AS id, @tenant AS tenant, @@sql_mode AS mode, @@time_zone AS zone, DATABASE() AS db, IS_USED_LOCK('fastify_swoole') AS locked,
        @@tx_isolation AS isolation, @@tx_read_only AS ro, @@character_set_client AS client, @@character_set_connection AS connection, @@character_set_results AS results, @@collation_connection AS collation`)
      const hasNotes = await pool.query('SELECT * FROM notes').then(() => true, () => false)
      return { ...row, hasNotes }
    }
    const before = await state()
    const { opened } = pool.getStats()
    t.match(before, { client: 'utf8mb4', connection: 'utf8mb4', results: 'utf8mb4', hasNotes: false })
    for (const change of [
      'SET @tenant = 7',
      'SELECT @tenant := 7',
      'SELECT 7 INTO @tenant',
      'SELECT 7 INTO/**/@tenant',
      'SELECT 7 /*! INTO @tenant */',
      'WITH x AS (SELECT 7 AS n) SELECT n FROM x INTO @tenant',
      "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
      "SET time_zone = '+05:00'",
      'USE mysql',
      "SELECT GET_LOCK('fastify_swoole', 0)",
      'CREATE TEMPORARY TABLE notes (id int)',
      'SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE',
      'SET SESSION TRANSACTION READ ONLY',
      'SET NAMES latin1',
      'SET character_set_results = NULL',
      '# of a tenant\nSET @tenant = 7',
      '/*!50000 SET @tenant = 7 */'
    ]) {
      await pool.withConnection((connection) => connection.query(change))
      t.same(await state(), before, change)
      const isPreparable = await pool.withConnection(async (connection) => {
        const statement = await connection.prepare(change)
        await statement.execute([])
      }).then(() => true, () => false)
      if (isPreparable) t.same(await state(), before, `prepared: ${change}`)
      const emoji = '🦥 “naïve” 漢字'
      t.same(await pool.query('SELECT ? AS given, HEX(?) AS bytes', [emoji, emoji]), [{ given: emoji, bytes: Buffer.from(emoji).toString('hex').toUpperCase() }])
      t.same(await pool.query(`SELECT '${emoji}' AS given, HEX('${emoji}') AS bytes`), [{ given: emoji, bytes: Buffer.from(emoji).toString('hex').toUpperCase() }])
    }
    t.equal(pool.getStats().opened, opened, 'all on one connection')
  })

  t.test('the user and the database of a connection are what they were, whoever changed them', async t => {
    await run("CREATE USER other@'127.0.0.1'")
    await pool.withConnection((connection) => connection.changeUser({ user: 'other', database: 'information_schema' }))
    t.same(await pool.query('SELECT DATABASE() AS db, CURRENT_USER() AS user'), [{ db: 'fastify_swoole', user: 'root@localhost' }])
  })

  t.test('what one borrower changes, the connections of others have not', async t => {
    const { pool } = await openSubject(t, 'mysql', server, { poolSize: 3 }) as { pool: SqlPool<PoolConnection> }
    const [one, other] = await Promise.all([pool.get(), pool.get()])
    await one.changeUser({ user: 'other', database: 'information_schema' })
    await one.query('SET NAMES latin1')
    const ask = async (connection: PoolConnection) => (await connection.query("SELECT '漢' AS text, DATABASE() AS db"))[0]
    t.same(await ask(other), [{ text: '漢', db: 'fastify_swoole' }])
    const late = await pool.get()
    t.same(await ask(late), [{ text: '漢', db: 'fastify_swoole' }])
    for (const connection of [one, other, late]) pool.put(connection)
  })

  t.test('what is prepared works on after the session was reset', async t => {
    const ask = () => pool.query('SELECT CAST(? AS SIGNED) AS n', [5])
    t.same(await ask(), [{ n: 5 }])
    await pool.query('SET @a = 1')
    t.same(await ask(), [{ n: 5 }])
  })

  t.test('a statement that nobody waited for is not in the way of the next borrower', async t => {
    let isDone = false
    await pool.withConnection((connection) => { connection.query('SELECT SLEEP(0.2)').then(() => { isDone = true }) })
    await pool.withConnection(() => { t.ok(isDone) })
  })

  t.test('a character set of the options is that of every borrower', async t => {
    const { pool } = await openSubject(t, 'mysql', server, { poolSize: 1, clientOptions: { charset: 'UTF8MB4_UNICODE_CI' } }) as { pool: SqlPool<PoolConnection> }
    const state = () => pool.query('SELECT @@character_set_client AS client, @@collation_connection AS collation')
    const before = await state()
    t.same(before, [{ client: 'utf8mb4', collation: 'utf8mb4_unicode_ci' }])
    await pool.query('SET @a = 1')
    t.same(await state(), before)
  })
  await t.test('close', async () => { await fastify.close() })
})
