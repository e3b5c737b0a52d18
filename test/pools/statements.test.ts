import Fastify from 'fastify'
import { Writable } from 'node:stream'
import t from 'tap'
import mysql from '../../plugins/mysql/index.ts'
import { effectOf, shapeOf } from '../../plugins/pools/index.ts'
import postgres from '../../plugins/postgres/index.ts'
import { observe } from './subjects.ts'

t.test('the shape of a statement has none of its literals', async t => {
  for (const [sql, shape] of [
    ['SELECT * FROM users WHERE id = $1 AND name = $2', 'SELECT * FROM users WHERE id = $1 AND name = $2'],
    ["SELECT 'secret', 42, -1.5e3, 0xSECRET, x'SECRET', N'secret', U&'secret' FROM t1", 'SELECT ?, ?, -?, ?, ?, ?, U&? FROM t1'],
    ["SELECT 'it''s secret', 'a'", 'SELECT ?, ?'],
    ['SELECT "secret", "se""cret", `name`', 'SELECT ?, ?, `name`'],
    ['SELECT $$secret$$, $a$secret $$ \' $a$, $1', 'SELECT ?, ?, $1'],
    ['SELECT t$a$, \'x$a$secret\', $10', 'SELECT t$a$, ?, $10'],
    ["INSERT INTO t VALUES (1, 'secret'), (2, 'secret')", 'INSERT INTO t VALUES (?, …), (?, …)'],
    ['SELECT a\n  FROM t -- secret\n WHERE /* it\'s secret */ b IN (1, 2, 3)', 'SELECT a FROM t WHERE b IN (?, …)'],
    ['SELECT a FROM t # secret\nWHERE b', 'SELECT a FROM t WHERE b'],
    ["SELECT a #> '{secret}' FROM t", 'SELECT a #> ? FROM t'],
    ["SELECT 'a\\n', b", 'SELECT ?, b'],
    ["SELECT 'secret", 'SELECT ?'],
    ['SELECT /* secret', 'SELECT'],
    ['SELECT $a$ secret', 'SELECT ?'],
    ["SELECT _utf8mb4'secret'", 'SELECT _utf8mb4?']
  ]) t.equal(shapeOf(sql), shape, JSON.stringify(sql))
})

t.test('what one server reads otherwise than another has no shape from there on', async t => {
  for (const sql of [
    "SELECT 'a\\', 'secret'", "SELECT 'a\\'secret', 1", "SELECT E'a\\'secret'", "SELECT E'a\\\\', 'secret'", 'SELECT "a\\", "secret"', "SELECT 'a\\''secret'",
    "SELECT `it's`, 'secret'", "SELECT ` 'secret' `", 'SELECT /* /* */ secret */ 1', "SELECT 5--'a\nsecret'", "SELECT a # 'multi\nsecret'", "SELECT 1 # it's\n, 'secret'",
    "SELECT 1 --it's\n, 'secret'", "SELECT 1 -- it's\n, 'secret'", "SELECT 'a' 'secret'", "SELECT 1;SELECT 'secret'", `SELECT '${'x'.repeat(20_000)}secret'`,
    `SELECT ${' '.repeat(9_990)}'secret'`, `SELECT ${' '.repeat(9_985)}$tag$ secret $tag$`
  ]) t.notMatch(shapeOf(sql), /secret/, JSON.stringify(sql.slice(0, 60)))
  t.ok(shapeOf(`SELECT ${'a, '.repeat(1000)}`).length <= 500)
  t.equal(shapeOf(undefined), 'a statement of no text')
})

t.test('a statement that leaves nothing behind is known as such', async t => {
  for (const sql of [
    'SELECT 1', 'select * from t where a = $1 for update', '  -- a comment\n/* another */ (SELECT 1) UNION SELECT 2', 'WITH x AS (SELECT 1) SELECT * FROM x', 'INSERT INTO t VALUES (1) RETURNING id',
    'UPDATE t SET a = 1', 'DELETE FROM t', 'MERGE INTO t USING s ON a WHEN MATCHED THEN DELETE', 'REPLACE INTO t VALUES (1)', 'SHOW TABLES', 'VALUES (1)', 'TABLE t', 'SELECT 1;', 'BEGIN', 'COMMIT', 'SAVEPOINT a'
  ]) t.notOk(effectOf(sql).changesSession, sql)
})

t.test('of what cannot be told the worse is assumed', async t => {
  for (const sql of [
    '', 'SET a = 1', 'CREATE TEMP TABLE t (a int)', 'DO $$ BEGIN END $$', 'CALL p()', 'USE db', 'LOCK TABLES t READ', 'LISTEN x', 'PREPARE a AS SELECT 1', 'EXECUTE a', 'COPY t FROM stdin', 'DISCARD ALL',
    "SELECT set_config('a', 'b', false)", 'SELECT pg_advisory_lock(1)', "SELECT GET_LOCK('a', 1)", 'SELECT @a := 1', 'SELECT 1 INTO @a', 'SELECT 1 INTO TEMP t', '/*! SET @a = 1 */', '/*M!100000 SET @a = 1 */',
    'SELECT 1 /*!50000 INTO @a */', 'SELECT 1; SET a = 1', '# a comment\nSELECT 1', '-- a comment without an end', undefined, { text: 'SELECT 1' }
  ]) t.ok(effectOf(sql).changesSession, String(sql))
})

t.test('a transaction is open after some, and none after others', async t => {
  for (const sql of ['BEGIN', 'begin isolation level serializable', 'START TRANSACTION', 'SAVEPOINT a', 'SELECT 1; BEGIN']) t.ok(effectOf(sql).beginsTransaction, sql)
  for (const sql of ['COMMIT', 'ROLLBACK', 'rollback work', 'END', 'ABORT', 'COMMIT AND NO CHAIN'.replace(' AND NO CHAIN', '')]) t.ok(effectOf(sql).endsTransaction, sql)
  for (const sql of ['COMMIT AND CHAIN', 'ROLLBACK TO a', 'ROLLBACK TO SAVEPOINT a', 'COMMIT; BEGIN', 'SELECT 1', 'ROLLBACK AND CHAIN']) t.notOk(effectOf(sql).endsTransaction, sql)
})

for (const kind of ['postgresql', 'mysql'] as const) {
  t.test(`${kind}: a slow statement is logged with its shape, and with nothing that is of one call`, async t => {
    const { server } = await observe(t, kind)
    const { host, port, user, password, database } = server
    const lines: string[] = []
    const fastify = Fastify({ logger: { level: 'warn', stream: new Writable({ write (line, _encoding, done) { lines.push(String(line)); done() } }) } }) as any
    t.teardown(() => fastify.close())
    const options = { host, port, ...(user ? { user } : {}), ...(password ? { password } : {}), ...(database ? { database } : {}), slowQueryMs: 100 }
    await fastify.register((kind === 'postgresql' ? postgres : mysql) as typeof postgres, options as object)
    const pool = fastify.pools[kind]
    const [sleep, place] = kind === 'postgresql' ? ['pg_sleep(0.12)', '$1::text'] : ['SLEEP(0.12)', '?']
    await pool.query("SELECT 'secret literal'")
    await pool.query(`SELECT 'secret literal', ${place}, ${sleep}`, ['secret parameter'])
    await pool.execute(`SELECT ${place}, ${sleep}`, ['secret parameter'])
    await pool.withConnection((connection: any) => connection.query(`SELECT ${sleep}, 'secret literal' -- secret comment`))
    await (kind === 'postgresql' ? fastify.pg : fastify.mysql).query(`SELECT 'secret literal', ${sleep}`)
    await pool.query(`SELECT ${sleep}, 'secret literal' FROM nothing`).catch(() => {})
    await pool.query(kind === 'postgresql' ? `SELECT ${sleep}, CAST('secret literal' AS int)` : `SELECT ${sleep} UNION SELECT JSON_EXTRACT('secret literal', 1)`).catch(() => {})
    const call = kind === 'postgresql' ? 'pg_sleep(?)' : 'SLEEP(?)'
    const shapes = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'a statement was slow')
    t.match(shapes[0], { level: 40, pool: kind, durationMs: Number })
    t.ok(shapes[0].durationMs >= 100)
    t.same(shapes.slice(0, 4).map(({ statement }) => statement), [`SELECT ?, ${place}, ${call}`, `SELECT ${place}, ${call}`, `SELECT ${call}, ?`, `SELECT ?, ${call}`])
    t.notMatch(lines.join(''), /secret/)
  })

  t.test(`${kind}: with slowQueryMs null none is logged`, async t => {
    const { server } = await observe(t, kind)
    const { host, port, user, password, database } = server
    const lines: string[] = []
    const fastify = Fastify({ logger: { level: 'warn', stream: new Writable({ write (line, _encoding, done) { lines.push(String(line)); done() } }) } }) as any
    t.teardown(() => fastify.close())
    const options = { host, port, ...(user ? { user } : {}), ...(password ? { password } : {}), ...(database ? { database } : {}), slowQueryMs: null }
    await fastify.register((kind === 'postgresql' ? postgres : mysql) as typeof postgres, options as object)
    await fastify.pools[kind].query(kind === 'postgresql' ? 'SELECT pg_sleep(0.05)' : 'SELECT SLEEP(0.05)')
    t.same(lines, [])
  })
}
