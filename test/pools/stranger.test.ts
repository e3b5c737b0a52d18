import type { PoolConnection } from 'mysql2/promise'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { SqlPool } from '../../plugins/pools/index.ts'
import { serverFor } from '../support/database-servers.ts'
import { KINDS, observe, openSubject } from './subjects.ts'

for (const kind of ['postgresql', 'mysql'] as const) {
  t.test(kind, async t => {
    const { server, run } = await observe(t, kind)
    const { pool } = await openSubject(t, kind, server) as { pool: SqlPool<any> }
    await run('CREATE TABLE items (id int PRIMARY KEY)')

    t.test('an abort within a transaction ends all of it, even if the outer one takes no notice', async t => {
      const controller = new AbortController()
      const reason = new Error('nobody waits for it any more')
      const both = pool.transaction(async (connection) => {
        await connection.query('INSERT INTO items VALUES (1)')
        await pool.transaction(async () => {
          await connection.query('INSERT INTO items VALUES (2)')
          controller.abort(reason)
        }, { signal: controller.signal }).catch((error) => t.equal(error, reason))
      })
      await t.rejects(both, reason)
      t.same(await run('SELECT id FROM items'), [])
      while (pool.getStats().inUse > 0) await sleep(5)
    })
  })
}

t.test('a number of parameters that is not that of the placeholders is an error on MySQL too', async t => {
  const { server, run } = await observe(t, 'mysql')
  const { pool } = await openSubject(t, 'mysql', server, { poolSize: 1 }) as { pool: SqlPool<PoolConnection> }
  await run('CREATE TABLE items (id int, name varchar(20))')
  const insert = 'INSERT INTO items VALUES (?, ?)'
  const wrong = { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /2 placeholders, but was given \d parameters/ }
  // Prepared for the first, and known for the next.
  for (const params of [[1, 'Ann', 3], [1, 'Ann', 3], [1]]) {
    await t.rejects(pool.execute(insert, params), wrong)
    await t.rejects(pool.withConnection((connection) => connection.execute(insert, params)), wrong)
  }
  await t.rejects(pool.withConnection(async (connection) => await (await connection.prepare(insert)).execute([1, 'Ann', 3])), wrong)
  t.same(await run('SELECT * FROM items'), [])
  t.equal(await pool.execute(insert, [1, 'Ann']), 1)
  t.same(await pool.query('SELECT * FROM items WHERE id = ?', [1]), [{ id: 1, name: 'Ann' }])
})

t.test('several statements in one text are run each time on PostgreSQL, and not the first time alone', async t => {
  const { server } = await observe(t, 'postgresql')
  const { pool } = await openSubject(t, 'postgresql', server, { poolSize: 1 }) as { pool: SqlPool<any> }
  for (let time = 0; time < 3; time++) t.same(await pool.query('SELECT 1 AS a; SELECT 2 AS b'), [{ b: 2 }])
})

t.test('a temporary table that EXPLAIN ANALYZE has made is not there for the next one', async t => {
  const { server } = await observe(t, 'postgresql')
  const { pool } = await openSubject(t, 'postgresql', server, { poolSize: 1 }) as { pool: SqlPool<any> }
  await pool.query('EXPLAIN ANALYZE CREATE TEMPORARY TABLE left_behind AS SELECT 1 AS a')
  t.same(await pool.query("SELECT to_regclass('pg_temp.left_behind') AS found"), [{ found: null }])
})

t.test('what is no function is refused by name, before a connection is lent for it', async t => {
  for (const kind of KINDS) {
    const { server } = await observe(t, kind)
    const { pool, shared } = await openSubject(t, kind, server) as { pool: SqlPool<any>, shared: number }
    const lent: number[] = []
    for (const wrong of [undefined, null, 'SELECT 1', {}] as any[]) {
      const refused = [pool.withConnection(wrong), ...(kind === 'redis' ? [] : [pool.transaction(wrong)])]
      lent.push(pool.getStats().inUse)
      for (const call of refused) await t.rejects(call, { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /^What (withConnection|transaction)\(\) is to run is .+, but must be a function$/ })
    }
    t.same(lent, [shared, shared, shared, shared])
  }
})

t.test('more parameters than the protocol of PostgreSQL can count are refused, and 65,535 are not', async t => {
  const { server } = await observe(t, 'postgresql')
  const { pool } = await openSubject(t, 'postgresql', server, { poolSize: 1, queryTimeout: '1m' }) as { pool: SqlPool<any> }
  const count = (n: number) => pool.query(`SELECT count(*)::int AS n FROM (VALUES ${Array.from({ length: n }, (_, index) => `($${index + 1}::int)`).join()}) AS v`, new Array(n).fill(1))
  t.same(await count(65_535), [{ n: 65_535 }])
  await t.rejects(count(65_536), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /given 65536 parameters/ })
  t.same(await count(1), [{ n: 1 }])
})

t.test('a URL that is not percent-encoded is refused at once, and nothing of it is told', async t => {
  for (const kind of KINDS) {
    for (const part of ['root:100%secret@127.0.0.1/0', '127.0.0.1/%E0%A4%A']) {
      const error = await openSubject(t, kind, await serverFor(kind), { url: `${kind}://${part}` }).catch((error) => error)
      t.equal(error.code, 'FST_SWOOLE_OPTIONS_INVALID')
      t.notMatch(error.message, /secret|E0/)
    }
  }
})

t.test('what cannot name a pool is refused at once', async t => {
  for (const kind of KINDS) {
    for (const name of ['', null, 5, '__proto__', 'constructor']) {
      await t.rejects(openSubject(t, kind, await serverFor(kind), { name }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /^The name of a pool is / })
    }
  }
})
