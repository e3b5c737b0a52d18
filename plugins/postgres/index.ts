import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import type * as Pg from 'pg'
import { resolveOptions } from '../options/index.ts'
import type { ResolvedOptions, SwooleOptions } from '../options/index.ts'
import { importOptional } from '../packages.ts'
import { SlowQueries, SqlPool, completedUrl, openPool, requirePoolName, serverOf } from '../pools/index.ts'
import type { ConnectionPool } from '../pools/index.ts'
import { PostgresDriver, notingClient } from './driver.ts'
import type { Client } from './driver.ts'

type Block = NonNullable<Exclude<SwooleOptions['database'], false | undefined>['postgresql']>
type Resolved = Exclude<ResolvedOptions['database'], false>['postgresql']

const SCHEMES = ['postgres', 'postgresql']

/** The block `database.postgresql` of the options. */
export type PostgresOptions = Block & {
  /** Of one pool of several: it is `fastify.pools[name]` and `fastify.pg[name]`. Without it, `fastify.pools.postgresql` and `fastify.pg`. */
  name?: string
}

export type { Client as PostgresClient } from './driver.ts'
/** After the original's `PostgreSQLPool`. */
export type PostgresPool = SqlPool<Client>

const postgres: FastifyPluginAsync<PostgresOptions> = async (fastify, { name, ...given }) => {
  requirePoolName(name)
  const options = (resolveOptions({ database: { postgresql: given } }).database as { postgresql: Resolved }).postgresql
  const [{ default: plugin }, { default: pg }] = await importOptional('A PostgreSQL pool', ['@fastify/postgres', 'pg'], () => Promise.all([import('@fastify/postgres'), import('pg')]))
  const poolName = name ?? 'postgresql'
  const slow = new SlowQueries(poolName, options.slowQueryMs, fastify.log)
  await fastify.register(plugin as unknown as FastifyPluginAsync<object>, {
    ...clientConfig(options),
    // Its own pool makes the clients, ours lends them, and says how many there may be: one that is still being given up is not to hold up the next.
    Client: notingClient(pg.Client, slow),
    max: Infinity,
    idleTimeoutMillis: 0,
    pg: Object.create(pg, { Pool: { value: lendingPool(pg.Pool) } }),
    ...(name === undefined ? {} : { name })
  } as object)
  const { pool: library } = (name === undefined ? fastify.pg : fastify.pg[name]) as unknown as { pool: Library }
  // It says so when a connection breaks that it has been given back to close; without a listener that ends the process.
  library.on('error', () => {})

  const driver = new PostgresDriver(pg, () => library.open(), {
    name: poolName,
    server: serverOf('PostgreSQL', options),
    prepare: options.prepare,
    timeoutMs: options.timeout
  })
  await openPool(fastify, poolName, driver, options, (pool) => {
    lendThrough(pool, driver, library)
    return new SqlPool(pool, driver, options.queryTimeout, fastify.log)
  })
}

function clientConfig (options: Resolved): Pg.PoolConfig {
  const { url, host, port, user, password, database, tls, timeout, clientOptions } = options
  const fields = { host, port, user: user ?? undefined, password: password ?? undefined, database: database ?? undefined }
  return {
    keepAlive: true,
    ...(tls ? { ssl: true } : {}),
    ...clientOptions,
    ...(url === null ? fields : { connectionString: completedUrl('database.postgresql.url', SCHEMES, { ...options, url }) }),
    connectionTimeoutMillis: timeout
  }
}

type Connected = (error: Error | undefined, client: Client | undefined, release: (error?: Error | boolean) => void) => void
type Connect = (callback?: Connected) => Promise<Client> | undefined

interface Library {
  /** What `connect` does. */
  lend: Connect
  /** A new client. */
  open (): Promise<Client>
  on (event: 'error', listener: () => void): unknown
}

/** The pool of the library, which makes the clients and closes them. Who asks it for one has one of ours: it is there from the start, for the plugin keeps its methods. */
function lendingPool (Base: typeof Pg.Pool): new (config: unknown) => Library {
  // A class of JavaScript that has more overloads than can be repeated.
  const Pool = Base as unknown as new (config: unknown) => { connect (callback?: Connected): unknown, on: Library['on'] }
  return class LendingPool extends Pool {
    lend: Connect = () => undefined

    override connect (callback?: Connected): unknown {
      return this.lend(callback)
    }

    open (): Promise<Client> {
      return super.connect() as Promise<Client>
    }
  }
}

/** `fastify.pg` has the same connections as our pool. */
function lendThrough (pool: ConnectionPool<Client>, driver: PostgresDriver, library: Library): void {
  const release = (client: Client, error?: Error | boolean) => {
    if (error) pool.doubt(client)
    pool.put(client)
  }
  driver.onRelease = release
  library.lend = (callback) => {
    if (callback === undefined) return pool.borrow()
    pool.borrow().then((client) => callback(undefined, client, (error) => release(client, error)), (error: Error) => callback(error, undefined, () => {}))
  }
}

export default fp(postgres, { fastify: '5.x', name: 'fastify-swoole-postgres' })
