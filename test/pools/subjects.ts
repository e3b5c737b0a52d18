import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import mysql2 from 'mysql2/promise'
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import mysqlPlugin from '../../plugins/mysql/index.ts'
import postgresPlugin from '../../plugins/postgres/index.ts'
import redisPlugin from '../../plugins/redis/index.ts'
import type { RedisPool, SqlPool } from '../../plugins/pools/index.ts'
import { databaseFor, serverFor } from '../support/database-servers.ts'
import type { Kind, Server } from '../support/database-servers.ts'
import { mysqlHeaders, postgresHeaders, redisHeaders } from './headers.ts'
import type { HeaderFinder } from './proxy.ts'

export type { Kind, Server } from '../support/database-servers.ts'
export const KINDS: readonly Kind[] = ['postgresql', 'mysql', 'redis']

export interface Test {
  teardown (end: () => unknown): void
}

export interface Asked {
  signal?: AbortSignal
  timeout?: number
}

/** A pool of any kind, for tests that ask all of them for the same. */
export interface Subject {
  readonly kind: Kind
  readonly pool: SqlPool<any> | RedisPool
  readonly fastify: FastifyInstance
  /** Connections that are lent though nobody has borrowed any: Redis has one that all commands share. */
  readonly shared: number
  /** Asks the server for a number, which is the answer to this call alone. */
  ask (number: number, asked?: Asked): Promise<number>
  /** The same on a connection that is lent. */
  askOn (connection: any, number: number): Promise<number>
  /** Answers after so many milliseconds. */
  sleepOn (connection: any, ms: number): Promise<unknown>
  /** Changes the session, so that the connection is reset, or closed, before the next caller has it. */
  changeOn (connection: any): Promise<unknown>
}

const PLUGINS = { postgresql: postgresPlugin, mysql: mysqlPlugin, redis: redisPlugin }
const HEADERS: Record<Kind, () => HeaderFinder> = { postgresql: postgresHeaders, mysql: mysqlHeaders, redis: redisHeaders }
export const headersOf = (kind: Kind) => HEADERS[kind]

/** A pool of a new application; what is not said is short, so that what has to end by its time ends soon. */
export async function openSubject (t: Test, kind: Kind, server: Server, options: Record<string, unknown> = {}): Promise<Subject> {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  const { user, password, database, host, port } = server
  const limits = { timeout: 1000, ...(kind === 'redis' ? { commandTimeout: 500 } : { queryTimeout: 500 }) }
  await fastify.register(PLUGINS[kind] as typeof postgresPlugin, {
    host,
    port,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(database === undefined ? {} : { database }),
    ...limits,
    ...options
  } as object)
  const name = options.name as string | undefined
  return subjectOf(kind, fastify, name)
}

function subjectOf (kind: Kind, fastify: FastifyInstance, name: string = kind): Subject {
  const pool = (fastify.pools as unknown as Record<string, SqlPool<any> & RedisPool>)[name]!
  if (kind === 'redis') {
    return {
      kind,
      pool,
      fastify,
      shared: 1,
      ask: async (number, { signal, timeout } = {}) => signal === undefined && timeout === undefined
        ? Number(await pool.command('echo', number))
        : await pool.withConnection(async (client) => Number(await client.echo(number)), { ...(signal ? { signal } : {}), ...(timeout === undefined ? {} : { timeout }) }),
      askOn: async (client: Redis, number) => Number(await client.echo(String(number))),
      sleepOn: (client: Redis, ms) => client.blpop('fastify-swoole:nothing', ms / 1000),
      changeOn: (client: Redis) => client.watch('fastify-swoole:nothing')
    }
  }
  const sql = kind === 'postgresql' ? 'SELECT $1::int AS answer' : 'SELECT CAST(? AS SIGNED) AS answer'
  const answerOf = ([row]: any[]) => Number(row.answer)
  const asked = ({ signal, timeout }: Asked) => ({ ...(signal ? { signal } : {}), ...(timeout === undefined ? {} : { timeout }) })
  const ask: Subject['ask'] = async (number, wait = {}) => answerOf(await pool.query(sql, [number], asked(wait)))
  if (kind === 'postgresql') {
    return {
      kind,
      pool,
      fastify,
      shared: 0,
      ask,
      askOn: async (client: pg.Client, number) => answerOf((await client.query(sql, [number])).rows),
      sleepOn: (client: pg.Client, ms) => client.query(`SELECT pg_sleep(${ms / 1000})`),
      changeOn: (client: pg.Client) => client.query('SET search_path = pg_catalog')
    }
  }
  return {
    kind,
    pool,
    fastify,
    shared: 0,
    ask,
    askOn: async (client: mysql2.Connection, number) => answerOf((await client.execute(sql, [number]))[0] as any[]),
    sleepOn: (client: mysql2.Connection, ms) => client.query(`SELECT SLEEP(${ms / 1000})`),
    changeOn: (client: mysql2.Connection) => client.query('SET @a = 1')
  }
}

/** Looks at a server beside the pools, and ends their connections. */
export interface Observer {
  /** Of the server, with a database of the test's own where it has such. */
  readonly server: Server
  /** Options with which a pool's connections are found again. */
  readonly options: Record<string, unknown>
  /** Those that pools with these options have. */
  connections (): Promise<string[]>
  /** Those of them in which somebody sleeps, as `sleepOn` does. */
  sleeping (): Promise<string[]>
  kill (id: string): Promise<unknown>
  run (sql: string): Promise<any[]>
}

export async function observe (t: Test, kind: Kind, given?: Server, name: string = `faults_${randomBytes(6).toString('hex')}`): Promise<Observer> {
  if (kind === 'postgresql') {
    const server = given ?? await databaseFor(t, kind)
    const client = new pg.Client(server)
    // Its server may be stopped.
    client.on('error', () => {})
    await client.connect()
    t.teardown(() => client.end())
    const run = async (sql: string) => (await client.query(sql)).rows
    return {
      server,
      options: { clientOptions: { application_name: name } },
      run,
      connections: async () => (await run(`SELECT pid FROM pg_stat_activity WHERE application_name = '${name}'`)).map(({ pid }) => String(pid)),
      sleeping: async () => (await run(`SELECT pid FROM pg_stat_activity WHERE application_name = '${name}' AND wait_event = 'PgSleep'`)).map(({ pid }) => String(pid)),
      kill: (id) => run(`SELECT pg_terminate_backend(${id})`)
    }
  }
  if (kind === 'mysql') {
    const server = given ?? await databaseFor(t, kind)
    const connection = await mysql2.createConnection(server)
    connection.on('error', () => {})
    t.teardown(() => connection.end())
    const run = async (sql: string) => (await connection.query(sql))[0] as any[]
    return {
      server,
      options: {},
      run,
      connections: async () => (await run(`SELECT id FROM information_schema.processlist WHERE db = '${server.database}' AND id <> CONNECTION_ID()`)).map(({ id }) => String(id)),
      sleeping: async () => (await run(`SELECT id FROM information_schema.processlist WHERE db = '${server.database}' AND state = 'User sleep'`)).map(({ id }) => String(id)),
      kill: (id) => run(`KILL ${id}`)
    }
  }
  const server = given ?? await serverFor(kind)
  const client = new Redis({ ...server, ...(server.user ? { username: server.user } : {}), db: 0, lazyConnect: true } as object)
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.disconnect())
  const clients = async (of: (line: string) => boolean) => (await client.client('LIST') as string).split('\n')
    .filter((line) => line.includes(` name=fastify-swoole:${name} `) && of(line)).map((line) => /^id=(\d+)/.exec(line)![1]!)
  return {
    server,
    options: { name },
    run: async (key) => [await client.get(key)],
    connections: () => clients(() => true),
    sleeping: () => clients((line) => / flags=\w*b/.test(line)),
    kill: (id) => client.client('KILL', 'ID', id)
  }
}

export const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Fails the test when the process has an exception or a rejection that nobody took. */
export function failOnUncaught (t: Test & { fail (message: string): unknown }): void {
  const onUncaught = (error: unknown) => t.fail(`uncaught: ${String((error as Error)?.stack ?? error)}`)
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, onUncaught)
    t.teardown(() => process.off(event, onUncaught))
  }
}
