import type { PoolConnection } from 'mysql2/promise'
import t from 'tap'
import type { SqlPool } from '../../plugins/pools/index.ts'
import type { PostgresClient } from '../../plugins/postgres/index.ts'
import { observe, openSubject } from './subjects.ts'

/** What has ended a literal, a comment or a statement somewhere, or was taken for a placeholder. */
const CORPUS = [
  '', ' ', "'", "''", '"', '""', '`', '\\', '\\\\', "\\'", '\\"', "\\\\'", "'\\''", "' OR '1'='1", "'; DROP TABLE items; --", "x' OR 1=1 #", '") OR ("1"="1',
  '?', '??', '?, ?', ':id', ':id2', '::id', '$1', '$2', '$1$2', '$$', '$x$', "$x$'$x$", '@id', '@@version', '%', '_', '%_\\%\\_', '100%', '%s', '%27',
  '-- ', '--\n', '#', '/* */', '/*', '*/', '/*! SELECT 1 */', '/*!50000 1*/', ';', ';;', '\n', '\r\n', '\t', '\b', '\x1a', '\x7f', '\u2028\u2029',
  "\xbf'", "\xbf\\'", "縗'", "縗' OR 1=1 -- ", '\xbf\x27 OR 1=1', "\xa5'", "誠'", '\u02bc', '\uff07', '\u2019', '\u2032', "\xc0\xa7'", "\xe0\x80\xa7'",
  'ü', 'ß', '漢字', '🦥', '👩‍👩‍👧', '\u0301e', 'e\u0301', '\ufeff', '\u200b', '\u202e', '\ufffd', 'null', 'NULL', 'true', '0', '00', '1e309', 'NaN', '{}', '[]', '{"a":1}',
  '$' + '{process.exit()}', '<script>', '\\x41', "E'\\x41'", "U&'\\0041'", "x'41'", '0x41', '\\0', '\\N', '\\Z', 'a'.repeat(70_000), `'${"\\'".repeat(1000)}`
]
const BYTES = [[], [0], [0, 0x27, 0], [0xbf, 0x27], [0xbf, 0x5c, 0x27], [0xc0, 0xa7], [0xe0, 0x80, 0xa7], [0xed, 0xa0, 0x80], [0xff, 0xfe], Array.from({ length: 256 }, (_, n) => n)].map((bytes) => Buffer.from(bytes))
/** In letters that mean nothing to what reads the names of tests. */
const nameOf = (value: string) => Buffer.from(value.slice(0, 20)).toString('hex')
/** A SELECT of these, each under a name of its own. */
const select = (...expressions: string[]) => `SELECT ${expressions.map((expression, n) => `${expression} AS c${n}`).join(', ')}`
const LONE_SURROGATES = ['\ud800', "\udc00'", "a\ud83d'b"]

t.test('postgresql', async t => {
  const { server, run } = await observe(t, 'postgresql')
  const { pool } = await openSubject(t, 'postgresql', server, { queryTimeout: '1m' }) as { pool: SqlPool<PostgresClient> }
  await run('CREATE TABLE items (id int PRIMARY KEY, value text)')
  const one = async (sql: string, params: unknown[]) => Object.values((await pool.query<Record<string, any>>(sql, params))[0]!)

  t.test('a value reaches the server as it is, whatever is in it', async t => {
    for (const [id, value] of CORPUS.entries()) {
      t.same(await one(select('$1::text', "'$1 ? :id2'", '$2::text', '$1::text'), [value, 'next']), [value, '$1 ? :id2', 'next', value], nameOf(value))
      t.equal(await pool.execute('INSERT INTO items VALUES ($1, $2)', [id, value]), 1)
      t.same(await pool.query('SELECT id FROM items WHERE value = $1', [value]), [{ id }])
    }
    t.same(await run('SELECT value FROM items ORDER BY id'), CORPUS.map((value) => ({ value })))
  })

  t.test('text cannot hold NUL: the server says so, and the connection is as it was', async t => {
    await t.rejects(one(select('$1::text'), ["a\0' OR 1=1"]), { code: '22021' })
    t.same(await one(select('$1::text'), ['a']), ['a'])
  })

  t.test('bytes are what they were', async t => {
    for (const bytes of BYTES) t.same(await one(select('$1::bytea'), [bytes]), [bytes])
    t.same(await one(select('$1::bytea'), [new Uint8Array([0, 0x27])]), [Buffer.from([0, 0x27])])
  })

  t.test('half a character is replaced, and takes nothing beside it away', async t => {
    for (const value of LONE_SURROGATES) t.same(await one(select('$1::text'), [value]), [value.toWellFormed()])
  })

  t.test('each type of parameter', async t => {
    const at = new Date('2024-02-29T12:34:56.789Z')
    t.same(await one(select('$1::int', '$2::float8', '$3::int8', '$4::bool', '$5::bool'), [-7, 1.5, 9007199254740993n, true, false]), [-7, 1.5, '9007199254740993', true, false])
    t.same(await one(select('$1::int', '$2::text'), [null, undefined]), [null, null])
    t.same(await one(select('$1::timestamptz'), [at]), [at])
    t.same(await one(select('$1::jsonb', '$2::json'), [{ "it's": ['?', '$1', null], n: 1 }, { a: { b: '"' } }]), [{ "it's": ['?', '$1', null], n: 1 }, { a: { b: '"' } }])
    t.same(await one(select('$1::text[]', '$2::int[]'), [['a,b', 'c"d', '{e}', '\\', 'NULL', ''], [1, 2]]), [['a,b', 'c"d', '{e}', '\\', 'NULL', ''], [1, 2]])
    t.same(await pool.query('SELECT n FROM generate_series(1, 9) AS n LIMIT $1 OFFSET $2', [2, 3]), [{ n: 4 }, { n: 5 }])
    const eleven = Array.from({ length: 11 }, (_, n) => `value ${n}`)
    t.same(await one(select(...eleven.map((_, n) => `$${11 - n}::text`)), eleven), eleven.toReversed())
  })

  t.test('too few parameters, or too many, are an error', async t => {
    await t.rejects(one(select('$1::int', '$2::int'), [1]), { code: '08P01' })
    await t.rejects(one(select('$1::int'), [1, 2]), { code: '08P01' })
    t.same(await one(select('$1::int'), [1]), [1])
  })
})

for (const [what, clientOptions] of [['utf8mb4', {}], ['gbk', { charset: 'GBK_CHINESE_CI' }], ['big5', { charset: 'BIG5_CHINESE_CI' }], ['no backslash escapes', { noBackslash: true }]] as Array<[string, Record<string, unknown>]>) {
  t.test(`mysql, ${what}`, async t => {
    const { noBackslash, ...rest } = clientOptions
    const { server, run } = await observe(t, 'mysql')
    const { pool } = await openSubject(t, 'mysql', server, { clientOptions: rest, poolSize: 1, queryTimeout: '1m' }) as { pool: SqlPool<PoolConnection> }
    await run(`CREATE TABLE ${server.database}.items (id int PRIMARY KEY, value longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin)`)
    const encoding = what === 'gbk' || what === 'big5' ? what : 'utf8'
    const holds = (value: string) => encoding === 'utf8' || !/[^\0-\x7f]/.test(value) || /^縗'/.test(value)
    const one = async (sql: string, params: unknown[]) => await pool.withConnection(async (connection) => {
      if (noBackslash) await connection.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
      const [rows] = await connection.execute(sql, params as never)
      return Object.values((rows as object[])[0]!)
    })

    t.test('a value reaches the server as it is, whatever is in it', async t => {
      const values = [...CORPUS, '\0', "\0'", "a\0b' OR 1=1"].filter(holds)
      for (const [id, value] of values.entries()) {
        t.same(await one(select('?', "'? :id2 $1'", '?', '?'), [value, 'next', value]), [value, '? :id2 $1', 'next', value], nameOf(value))
        t.equal(await pool.execute('INSERT INTO items VALUES (?, ?)', [id, value]), 1)
        t.same(await pool.query('SELECT id FROM items WHERE value = ?', [value]).then((rows) => rows.map(({ id }) => values[id as number])), [value])
      }
      const stored = await run(`SELECT value FROM ${server.database}.items ORDER BY id`)
      t.same(stored.map(({ value }) => value), values)
    })

    t.test('bytes are what they were', async t => {
      for (const bytes of BYTES) t.same(await one(select('CAST(? AS BINARY)'), [bytes]), [bytes])
    })
  })
}

t.test('mysql', async t => {
  const { server } = await observe(t, 'mysql')
  const { pool } = await openSubject(t, 'mysql', server, { queryTimeout: '1m' }) as { pool: SqlPool<PoolConnection> }
  const one = async (sql: string, params: unknown[]) => Object.values((await pool.query<Record<string, any>>(sql, params))[0]!)

  t.test('half a character is replaced, and takes nothing beside it away', async t => {
    for (const value of LONE_SURROGATES) t.same(await one(select('?'), [value]), [value.toWellFormed()])
  })

  t.test('each type of parameter', async t => {
    const at = new Date('2024-02-29T12:34:56.000Z')
    t.same(await one(select('CAST(? AS SIGNED)', '? + 0', 'CAST(? AS CHAR)', '?', '?'), [-7, 1.5, 9007199254740993n, true, false]), [-7, 1.5, '9007199254740993', 1, 0])
    t.same(await one(select('?'), [null]), [null])
    t.same(await one(select('CAST(? AS DATETIME)'), [at]), [at])
    t.same(await one(select('JSON_VALUE(?, \'$.n\')', 'JSON_VALUE(?, \'$.text\')'), [{ n: 1 }, { text: "it's ?" }]), ['1', "it's ?"])
    t.same(await pool.query('SELECT seq AS n FROM seq_1_to_9 LIMIT ? OFFSET ?', [2, 3]), [{ n: 4 }, { n: 5 }])
  })

  t.test('a parameter that is undefined is refused before anything is sent', async t => {
    await t.rejects(pool.query('SELECT ?, ?', [1, undefined]), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /Parameter 2 of a statement is undefined, .*use null/ })
    await t.rejects(pool.query('SELECT ?', [() => {}]))
    t.same(await one(select('CAST(? AS SIGNED)'), [1]), [1])
  })

  t.test('too few parameters, or too many, are an error', async t => {
    await t.rejects(one(select('?', '?'), [1]))
    const eight = select(...Array.from({ length: 8 }, () => 'CAST(? AS CHAR)'))
    await t.rejects(one(eight, [1, 2, 3, 4, 5, 6, 7, 8, 9]))
    t.same(await one(select('CAST(? AS SIGNED)'), [1]), [1])
    t.match(pool.getStats(), { inUse: 0 })
  })
})

t.test('what is no statement, or no list of parameters, is refused', async t => {
  const { server } = await observe(t, 'postgresql')
  const { pool } = await openSubject(t, 'postgresql', server) as { pool: SqlPool<PostgresClient> }
  for (const [sql, params] of [[undefined], [{ text: 'SELECT 1' }], ['SELECT 1', 'a'], ['SELECT 1', { 0: 1, length: 1 }]]) {
    await t.rejects(pool.query(sql as string, params as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  }
  t.match(pool.getStats(), { inUse: 0 })
})

t.test('redis', async t => {
  const { server, options } = await observe(t, 'redis')
  const { pool } = await openSubject(t, 'redis', server, options) as any
  const key = `fastify-swoole:test:${options.name}`
  t.teardown(() => pool.delete(key))

  t.test('a value reaches the server as it is, whatever is in it', async t => {
    for (const value of [...CORPUS, '\r\n*1\r\n$8\r\nFLUSHALL\r\n', '\0']) {
      await pool.set(key, value)
      t.equal(await pool.getValue(key), value, nameOf(value))
    }
    for (const bytes of BYTES) {
      await pool.set(key, bytes)
      t.same(await pool.shared.getBuffer(key), bytes)
    }
  })
})
