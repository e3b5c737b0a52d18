import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import type * as Ioredis from 'ioredis'
import { OptionsInvalidError } from '../errors.ts'
import { resolveOptions } from '../options/index.ts'
import type { ResolvedOptions, SwooleOptions } from '../options/index.ts'
import { importOptional } from '../packages.ts'
import { RedisPool, completedUrl, openPool, requirePoolName, serverOf } from '../pools/index.ts'
import { RedisDriver } from './driver.ts'
import { outliveStrayNulls } from './stray-nulls.ts'
import type { Client } from './driver.ts'

type Block = NonNullable<Exclude<SwooleOptions['database'], false | undefined>['redis']>
type Resolved = Exclude<ResolvedOptions['database'], false>['redis']

const SCHEMES = ['redis', 'rediss']

/** The block `database.redis` of the options. */
export type RedisOptions = Block & {
  /** Of one pool of several: it is `fastify.pools[name]` and `fastify.redis[name]`. Without it, `fastify.pools.redis` and `fastify.redis`. */
  name?: string
}

export type { Client as RedisClient } from './driver.ts'
export type { RedisPool } from '../pools/index.ts'

const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 2000
const RETRY_PART = 0.2

const redis: FastifyPluginAsync<RedisOptions> = async (fastify, { name, ...given }) => {
  requirePoolName(name)
  const options = (resolveOptions({ database: { redis: given } }).database as { redis: Resolved }).redis
  const [{ default: plugin }, ioredis, { default: answers }] = await importOptional('A Redis pool', ['@fastify/redis', 'ioredis'],
    () => Promise.all([import('@fastify/redis'), import('ioredis'), import('ioredis/built/DataHandler.js')]))
  outliveStrayNulls(answers.default)
  const driver = new RedisDriver(clientFactory(ioredis, options, name ?? 'redis'), {
    server: serverName(options),
    database: databaseOf(options),
    commandTimeoutMs: options.cluster === null ? options.commandTimeout : 0
  })
  const pool = await openPool<Client, RedisPool<Client>>(fastify, name ?? 'redis', driver, options, (pool) => new RedisPool(pool as never, options.timeout))
  await fastify.register(plugin as unknown as FastifyPluginAsync<object>, { client: pool.shared, ...(name === undefined ? {} : { namespace: name }) } as object)
}

function databaseOf ({ url, cluster, sentinels, ...options }: Resolved): number {
  if (cluster !== null) return 0
  if (url === null || sentinels !== null) return options.database
  const path = new URL(completedUrl('database.redis.url', SCHEMES, { ...options, url })).pathname.slice(1)
  if (!/^\d+$/.test(path)) throw new OptionsInvalidError('database.redis.url has a path that is not the number of a database: give redis://host:port/0')
  return Number(path)
}

function serverName (options: Resolved): string {
  if (options.cluster !== null) return `Redis Cluster at ${options.cluster.join(', ')}`
  if (options.sentinels !== null) return `Redis "${options.sentinelName}" of the sentinels at ${options.sentinels.join(', ')}`
  return serverOf('Redis', options)
}

/** Makes clients that do not connect yet. */
function clientFactory (ioredis: typeof Ioredis, options: Resolved, name: string): (isShared: boolean) => Client {
  const { url, host, port, user, password, database, tls, timeout, clientOptions, cluster, sentinels, sentinelName } = options
  if (cluster !== null && sentinels !== null) throw new OptionsInvalidError('database.redis has cluster and sentinels, but can have only one of them')
  if (cluster !== null && database !== 0) throw new OptionsInvalidError(`database.redis.database is ${database}, but must be 0: a cluster has no other`)
  const common = (isShared: boolean): Ioredis.RedisOptions => ({
    connectionName: `fastify-swoole:${name}`,
    ...(tls ? { tls: {} } : {}),
    // What was sent when a connection is lost may have been done: it is not sent again.
    maxRetriesPerRequest: 0,
    // Who comes while the server is away is to see a further attempt within his time.
    retryStrategy: (attempts) => Math.min(attempts * FIRST_RETRY_MS, LONGEST_RETRY_MS, timeout * RETRY_PART),
    ...clientOptions,
    connectTimeout: timeout,
    lazyConnect: true,
    ...(isShared ? {} : { retryStrategy: () => null })
  })
  const credentials = { ...(user === null ? {} : { username: user }), ...(password === null ? {} : { password }) }
  if (cluster !== null) {
    const nodes = cluster.map((node) => addressOf('database.redis.cluster', node))
    return (isShared) => new ioredis.Cluster(nodes, {
      lazyConnect: true,
      redisOptions: { ...isShared && options.commandTimeout > 0 && { socketTimeout: options.commandTimeout }, ...common(isShared), ...credentials },
      ...(isShared ? {} : { clusterRetryStrategy: () => null })
    })
  }
  if (sentinels !== null) {
    const addresses = sentinels.map((node) => addressOf('database.redis.sentinels', node))
    return (isShared) => new ioredis.Redis({
      ...common(isShared),
      ...credentials,
      db: database,
      sentinels: addresses,
      name: sentinelName,
      ...(isShared ? {} : { sentinelRetryStrategy: () => null })
    })
  }
  if (url === null) return (isShared) => new ioredis.Redis({ ...common(isShared), ...credentials, host, port, db: database })
  const full = completedUrl('database.redis.url', SCHEMES, { ...options, url })
  return (isShared) => new ioredis.Redis(full, common(isShared))
}

function addressOf (path: string, node: string): { host: string, port: number } {
  const found = /^(?:\[(?<ip6>[^\]]+)\]|(?<name>[^:]+)):(?<port>\d+)$/.exec(node)?.groups
  if (found === undefined) throw new OptionsInvalidError(`${path} has ${JSON.stringify(node)}, but must be a list of "host:port"`)
  return { host: found.ip6 ?? found.name!, port: Number(found.port) }
}

export default fp(redis, { fastify: '5.x', name: 'fastify-swoole-redis' })
