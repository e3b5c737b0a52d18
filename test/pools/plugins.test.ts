import Fastify from 'fastify'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { completedUrl, serverOf } from '../../plugins/pools/index.ts'
import swoole from '../../plugins/swoole.ts'
import { startOwnServer } from '../support/database-servers.ts'
import { eventually } from '../support/processes.ts'
import { KINDS, observe, openSubject } from './subjects.ts'
import type { Kind, Server, Test } from './subjects.ts'

const PLUGINS = {
  postgresql: () => import('../../plugins/postgres/index.ts'),
  mysql: () => import('../../plugins/mysql/index.ts'),
  redis: () => import('../../plugins/redis/index.ts')
}
/** Letters that mean something in a URL, in a connection string, in SQL. */
const PASSWORD = 'p@ss:/?#[]%&=+ \'"\\$1ö🦥'
const SLACK_MS = 500

async function register (t: Test, kind: Kind, options: object) {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  const { default: plugin } = await PLUGINS[kind]()
  await fastify.register(plugin as Awaited<ReturnType<typeof PLUGINS.postgresql>>['default'], options as object)
  return fastify as any
}

/** What the decorators of the libraries' own plugins are asked, beside ours. */
const asks: Record<Kind, (fastify: any, name?: string) => Array<() => Promise<unknown>>> = {
  postgresql: (fastify, name) => {
    const pg = name === undefined ? fastify.pg : fastify.pg[name]
    return [
      async () => (await pg.query('SELECT 1 AS n')).rows[0].n,
      async () => {
        const client = await pg.connect()
        const { rows } = await client.query('SELECT 1 AS n')
        client.release()
        return rows[0].n
      },
      async () => (await pg.transact((client: any) => client.query('SELECT 1 AS n'))).rows[0].n,
      () => new Promise((resolve, reject) => pg.pool.connect((error: Error | undefined, client: any, release: () => void) => {
        if (error) return reject(error)
        client.query('SELECT 1 AS n').then(({ rows }: any) => { release(); resolve(rows[0].n) })
      })),
      () => new Promise((resolve, reject) => pg.query('SELECT 1 AS n', (error: Error, result: any) => error ? reject(error) : resolve(result.rows[0].n)))
    ]
  },
  mysql: (fastify, name) => {
    const mysql = name === undefined ? fastify.mysql : fastify.mysql[name]
    return [
      async () => (await mysql.query('SELECT 1 AS n'))[0][0].n,
      async () => (await mysql.execute('SELECT 1 AS n'))[0][0].n,
      async () => {
        const connection = await mysql.getConnection()
        const [rows] = await connection.query('SELECT 1 AS n')
        connection.release()
        return rows[0].n
      },
      async () => (await mysql.pool.query('SELECT 1 AS n'))[0][0].n
    ]
  },
  redis: (fastify, name) => {
    const redis = name === undefined ? fastify.redis : fastify.redis[name]
    return [async () => await redis.ping() === 'PONG' ? 1 : 0, async () => Number(await redis.echo('1'))]
  }
}

for (const kind of KINDS) {
  t.test(`${kind}: the decorator of the library's plugin has the connections of our pool, and no others`, async t => {
    const { server, options, connections } = await observe(t, kind)
    const { fastify, pool, ask } = await openSubject(t, kind, server, { ...options, poolSize: 3, timeout: '20s' })
    const name = (options as { name?: string }).name
    let most = 0
    const counting = new AbortController()
    const counted = (async () => {
      while (!counting.signal.aborted) most = Math.max(most, (await connections()).length)
    })()
    const all = Array.from({ length: 40 }, () => [...asks[kind](fastify, name), () => ask(1)]).flat()
    t.same(new Set(await Promise.all(all.map((run) => run()))), new Set([1]))
    counting.abort()
    await counted
    t.ok(most <= 3, `${most} connections`)
    t.match(pool.getStats(), { waiting: 0 })
    if (kind !== 'redis') await eventually('all are back', () => pool.getStats().available === 3)
  })

  t.test(`${kind}: what a connection of the library's decorator has changed is reset as well`, { skip: kind === 'redis' && 'it is the one that all share' }, async t => {
    const { server, options } = await observe(t, kind)
    const { fastify, pool } = await openSubject(t, kind, server, { ...options, poolSize: 1 }) as any
    const client = await (kind === 'postgresql' ? fastify.pg.connect() : fastify.mysql.getConnection())
    await client.query(kind === 'postgresql' ? 'SET search_path = pg_catalog' : 'SET @a = 1')
    await client.query(kind === 'postgresql' ? 'BEGIN' : 'START TRANSACTION')
    client.release()
    t.throws(() => client.release(), { code: 'FST_SWOOLE_POOL_NOT_BORROWED' })
    const [row] = await pool.query(kind === 'postgresql' ? "SELECT current_setting('search_path') <> 'pg_catalog' AS fresh" : 'SELECT @a IS NULL AS fresh')
    t.ok(row.fresh)
    t.equal(pool.getStats().opened, 1)
  })

  t.test(`${kind}: several by name`, async t => {
    const { server } = await observe(t, kind)
    const { host, port, user, password, database } = server
    const where = { host, port, ...(user ? { user } : {}), ...(password ? { password } : {}), ...(database ? { database } : {}) }
    const fastify = await register(t, kind, where)
    const { default: plugin } = await PLUGINS[kind]()
    await fastify.register(plugin, { ...where, name: 'second', poolSize: 2 })
    t.not(fastify.pools[kind], fastify.pools.second)
    t.match(fastify.pools.second.getStats(), { size: 2, current: 1 })
    for (const run of [...asks[kind](fastify, 'second')]) t.equal(await run(), 1)
    const third = Fastify()
    t.teardown(() => third.close())
    await third.register(plugin as never, { ...where, name: 'one' } as never)
    await t.rejects(async () => { await third.register(plugin as never, { ...where, name: 'one' } as never) }, /one/)
  })

  t.test(`${kind}: an application of all defaults but the place, by the root plugin`, async t => {
    const { server, connections, options } = await observe(t, kind)
    const { host, port, user, password, database } = server
    const fastify = Fastify() as any
    t.teardown(() => fastify.close())
    const where = { host, port, ...(user ? { user } : {}), ...(password ? { password } : {}), ...(database ? { database } : {}), ...(kind === 'postgresql' ? options : {}) }
    await fastify.register(swoole, { database: { enablePool: false, [kind]: where } })
    t.same(Object.keys(fastify.pools), [kind])
    const pool = fastify.pools[kind]
    const isRedis = kind === 'redis'
    t.equal(await (isRedis ? pool.command('echo', '1') : pool.query('SELECT 1 AS n').then(([{ n }]: any) => String(n))), '1')
    await pool.withConnection((connection: any) => isRedis ? connection.echo('1') : connection.query('SELECT 1'))
    t.match(pool.getStats(), { available: 0 }, 'without pooling none is kept')
    await fastify.close()
    if (!isRedis) t.same(await connections(), [])
  })

  t.test(`${kind}: a server that is not there is named within the time-out`, async t => {
    const nobody = createServer().listen(0, '127.0.0.1')
    await once(nobody, 'listening')
    const { port } = nobody.address() as AddressInfo
    nobody.close()
    await once(nobody, 'close')
    const begunMs = performance.now()
    await t.rejects(register(t, kind, { host: '127.0.0.1', port, timeout: 300 }), { code: 'FST_SWOOLE_POOL_TIMEOUT', statusCode: 503, message: new RegExp(`127.0.0.1:${port} cannot be reached .*ECONNREFUSED`) })
    t.ok(performance.now() - begunMs < 300 + SLACK_MS)
  })

  t.test(`${kind}: nor is a server waited for that says nothing`, async t => {
    const silent = createServer((socket) => { socket.on('error', () => {}) }).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    t.teardown(() => silent.close())
    const { port } = silent.address() as AddressInfo
    const begunMs = performance.now()
    await t.rejects(register(t, kind, { host: '127.0.0.1', port, timeout: 300 }), { code: 'FST_SWOOLE_POOL_TIMEOUT' })
    t.ok(performance.now() - begunMs < 600 + SLACK_MS)
  })
}

/** A server that asks for a password, and how to log in. */
async function guarded (t: Test, kind: Kind): Promise<Server & { user: string, password: string }> {
  const own = await startOwnServer(kind)
  t.teardown(() => own.remove())
  const user = "us:er/@'%"
  const { host, port } = own
  if (kind === 'postgresql') {
    const { run } = await observe(t, kind, { host, port, user: 'postgres', database: 'postgres' })
    await run(`CREATE ROLE "${user}" LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`)
    await run('CREATE DATABASE "data base%"')
    await run("COPY (SELECT 'host all postgres all trust' UNION ALL SELECT 'host all all all scram-sha-256') TO PROGRAM 'sort -r > pg_hba.conf'")
    await run('SELECT pg_reload_conf()')
    return { host, port, user, password: PASSWORD, database: 'data base%' }
  }
  if (kind === 'mysql') {
    const { run } = await observe(t, kind, { host, port, user: 'root', database: 'mysql' })
    await run('SET NAMES utf8mb4')
    await run(`CREATE USER \`${user}\`@'%' IDENTIFIED BY '${PASSWORD.replaceAll(/['\\]/g, '\\$&')}'`)
    await run('CREATE DATABASE `data base%`')
    await run(`GRANT ALL ON \`data base%\`.* TO \`${user}\`@'%'`)
    return { host, port, user, password: PASSWORD, database: 'data base%' }
  }
  const admin = await openSubject(t, kind, { host, port }) as any
  await admin.fastify.redis.acl('SETUSER', user, 'on', `>${PASSWORD}`, '~*', '&*', '+@all')
  await admin.fastify.redis.acl('SETUSER', 'default', 'off')
  return { host, port, user, password: PASSWORD }
}

for (const kind of KINDS) {
  t.test(`${kind} with a password`, async t => {
    const { host, port, user, password, database } = await guarded(t, kind)
    const place = database === undefined ? {} : { database }
    const scheme = kind === 'postgresql' ? 'postgres' : kind
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
    const path = database === undefined ? '3' : encodeURIComponent(database)
    /** Who and where one is. */
    const whoAmI = async (fastify: any) => {
      const pool = fastify.pools[kind]
      if (kind === 'redis') return await pool.withConnection(async (client: any) => [await client.acl('WHOAMI'), / db=(\d+) /.exec(await client.client('INFO'))![1]])
      const [row] = await pool.query(kind === 'postgresql' ? 'SELECT current_user AS user, current_database() AS db' : "SELECT SUBSTRING_INDEX(USER(), '@', 2) AS user, DATABASE() AS db")
      return [row.user, row.db]
    }

    t.test('by fields', async t => {
      t.same(await whoAmI(await register(t, kind, { host, port, user, password, ...place })), [user, database ?? '0'])
    })

    t.test('by a URL, which goes before the fields', async t => {
      const url = `${scheme}://${login}@${host}:${port}/${path}`
      t.same(await whoAmI(await register(t, kind, { url })), [user, database ?? '3'])
      t.same(await whoAmI(await register(t, kind, { url, host: 'nowhere.invalid', port: 1, user: 'nobody', password: 'none', database: kind === 'redis' ? 5 : 'nothing' })), [user, database ?? '3'])
    })

    t.test('what the URL does not name comes from the fields', async t => {
      t.same(await whoAmI(await register(t, kind, { url: `${scheme}://${host}`, port, user, password, database: kind === 'redis' ? 4 : database })), [user, database ?? '4'])
      t.same(await whoAmI(await register(t, kind, { url: `${scheme}://${encodeURIComponent(user)}@${host}:${port}/${path}`, password })), [user, database ?? '3'])
    })

    for (const [what, options] of [
      ['a wrong password', { host, port, user, password: 'wrong', ...place }],
      ['a wrong password in a URL', { url: `${scheme}://${encodeURIComponent(user)}:wrong@${host}:${port}/${path}` }],
      ['no password', { host, port, user, ...place }],
      ['an unknown user', { host, port, user: 'nobody', password, ...place }],
      ['an unknown database', { host, port, user, password, database: kind === 'redis' ? 999 : 'nothing' }],
      ['an unknown database in a URL', { url: `${scheme}://${login}@${host}:${port}/${kind === 'redis' ? 999 : 'nothing'}` }]
    ] as Array<[string, object]>) {
      t.test(`with ${what} the application does not start, and says so at once`, async t => {
        const begunMs = performance.now()
        const error: any = await register(t, kind, options).then(() => undefined, (error) => error)
        t.match(error, { code: 'FST_SWOOLE_POOL_CONNECT', statusCode: 503, cause: {} })
        t.notMatch(error?.message, 'wrong@')
        t.notMatch(error?.message, password)
        t.ok(performance.now() - begunMs < 1500)
      })
    }
  })
}

t.test('a URL that is none is refused, and nothing of it is said', async t => {
  for (const kind of KINDS) {
    const error: any = await register(t, kind, { url: 'a secret:// that is none' }).then(() => undefined, (error) => error)
    t.equal(error.code, 'FST_SWOOLE_OPTIONS_INVALID')
    t.notMatch(error.message, 'secret')
    await t.rejects(register(t, kind, { url: 'http://me:secret@127.0.0.1/x' }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /begins with "http:"/ })
  }
  await t.rejects(register(t, 'redis', { url: 'redis://127.0.0.1/name' }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /path that is not the number/ })
})

t.test('a URL is completed by the fields', async t => {
  const fields = { host: 'db.internal', port: 5433, user: 'me@here', password: 'a/b', database: 'da ta' }
  const complete = (url: string, more: object = {}) => completedUrl('url', ['postgres', 'mysql', 'redis', 'db'], { ...fields, url, ...more })
  t.equal(complete('postgres://'), 'postgres://me%40here:a%2Fb@db.internal:5433/da%20ta')
  t.equal(complete('postgres:///other'), 'postgres://me%40here:a%2Fb@db.internal:5433/other')
  t.equal(complete('postgres://there:1?sslmode=require'), 'postgres://me%40here:a%2Fb@there:1/da%20ta?sslmode=require')
  t.equal(complete('postgres://you@there/x'), 'postgres://you:a%2Fb@there:5433/x')
  t.equal(complete('postgres:///x', { host: '::1' }), 'postgres://me%40here:a%2Fb@[::1]:5433/x')
  t.equal(complete('postgres:///x', { host: '/run/postgresql' }), 'postgres://me%40here:a%2Fb@%2Frun%2Fpostgresql:5433/x')
  t.equal(serverOf('PostgreSQL', { ...fields, url: null }), 'PostgreSQL at db.internal:5433')
  t.equal(serverOf('PostgreSQL', { ...fields, url: 'postgres://you:secret@there/x' }), 'PostgreSQL at there:5433')
})
