import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Connection as CoreConnection, PoolConnection as CorePoolConnection, PoolOptions } from 'mysql2'
import { resolveOptions } from '../options/index.ts'
import type { ResolvedOptions, SwooleOptions } from '../options/index.ts'
import { importOptional } from '../packages.ts'
import { SlowQueries, SqlPool, completedUrl, openPool, requirePoolName, serverOf } from '../pools/index.ts'
import type { ConnectionPool } from '../pools/index.ts'
import { MysqlDriver, destroy } from './driver.ts'
import type { Client } from './driver.ts'

type Block = NonNullable<Exclude<SwooleOptions['database'], false | undefined>['mysql']>
type Resolved = Exclude<ResolvedOptions['database'], false>['mysql']

const SCHEMES = ['mysql', 'mariadb']

/** The block `database.mysql` of the options. */
export type MysqlOptions = Block & {
  /** Of one pool of several: it is `fastify.pools[name]` and `fastify.mysql[name]`. Without it, `fastify.pools.mysql` and `fastify.mysql`. */
  name?: string
}

export type { Client as MysqlClient } from './driver.ts'
/** After the original's `ConnectionPool`. */
export type MysqlPool = SqlPool<Client>

type Connected = (error: Error | null, connection?: CorePoolConnection) => void
interface Library {
  getConnection (callback: Connected): void
  releaseConnection (connection: CorePoolConnection): void
}

const mysql: FastifyPluginAsync<MysqlOptions> = async (fastify, { name, ...given }) => {
  requirePoolName(name)
  const options = (resolveOptions({ database: { mysql: given } }).database as { mysql: Resolved }).mysql
  const [{ default: plugin }, { default: mysql2 }] = await importOptional('A MySQL pool', ['@fastify/mysql', 'mysql2'], () => Promise.all([import('@fastify/mysql'), import('mysql2')]))
  const poolName = name ?? 'mysql'
  const config = clientConfig(options)
  const connectAlone = () => mysql2.createConnection(config)
  const slow = new SlowQueries(poolName, options.slowQueryMs, fastify.log)

  let connections: Promise<(callback: Connected) => void> | undefined
  const registered = async () => {
    // The plugin connects when it is registered, and cannot be registered again when that fails.
    await answers(connectAlone)
    connections ??= register(fastify, plugin as unknown as FastifyPluginAsync<object>, { ...config, ...(name === undefined ? {} : { name }) }, pool!)
    return await connections
  }
  const driver = new MysqlDriver(async () => {
    const getConnection = await (connections ?? registered())
    return await new Promise((resolve, reject) => getConnection((error, connection) => error === null ? resolve(connection!) : reject(error)))
  }, connectAlone, slow, { name: poolName, server: serverOf('MySQL', options), timeoutMs: options.timeout })

  let pool: ConnectionPool<Client> | undefined
  await openPool(fastify, poolName, driver, options, (opened) => {
    pool = opened
    driver.onRelease = (client) => opened.put(client)
    return new SqlPool(opened, driver, options.queryTimeout, fastify.log)
  })
}

/** Of a connection: the library's 16,000 are nearly as many as a server has for all. */
const MOST_PREPARED = 200

function clientConfig (options: Resolved): PoolOptions {
  const { url, host, port, user, password, database, tls, timeout, clientOptions } = options
  const fields = { host, port, user: user ?? undefined, password: password ?? undefined, database: database ?? undefined }
  return {
    ...(tls ? { ssl: { verifyIdentity: true } } : {}),
    maxPreparedStatements: MOST_PREPARED,
    ...clientOptions,
    ...(url === null ? fields : { uri: completedUrl('database.mysql.url', SCHEMES, { ...options, url }) }),
    connectTimeout: timeout,
    gracefulEnd: true,
    // Ours says how many there may be.
    connectionLimit: 0
  } as PoolOptions
}

async function answers (connectAlone: () => CoreConnection): Promise<void> {
  const connection = connectAlone()
  try {
    await new Promise<void>((resolve, reject) => {
      connection.on('error', reject)
      connection.connect((error) => error === null ? resolve() : reject(error))
    })
  } finally {
    destroy(connection)
  }
}

/** `fastify.mysql` has the same connections as our pool. Gives what makes the library's pool connect. */
async function register (fastify: FastifyInstance, plugin: FastifyPluginAsync<object>, config: { name?: string }, pool: ConnectionPool<Client>): Promise<(callback: Connected) => void> {
  const { name } = config
  await fastify.register(plugin, { ...config, promise: true } as object)
  const decorator = (fastify as unknown as { mysql: Record<string, unknown> }).mysql
  const { pool: { pool: library } } = (name === undefined ? decorator : decorator[name]) as { pool: { pool: Library } }
  const connect = library.getConnection.bind(library)
  library.getConnection = (callback) => {
    pool.borrow().then(({ connection }) => callback(null, connection as unknown as CorePoolConnection), callback)
  }
  // The library calls it for connections that have broken; those that are lent come back by their own `release`.
  library.releaseConnection = () => {}
  return connect
}

export default fp(mysql, { fastify: '5.x', name: 'fastify-swoole-mysql' })
