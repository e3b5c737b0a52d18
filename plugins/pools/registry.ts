import type { FastifyInstance, FastifyPools } from 'fastify'
import { OptionsInvalidError } from '../errors.ts'
import { showValue } from '../options/show.ts'
import { memoryFor } from '../shared-memory/index.ts'
import { Budget } from './budget.ts'
import type { Driver } from './driver.ts'
import { exposeStats } from './metrics.ts'
import { ConnectionPool } from './pool.ts'
import type { RedisPool } from './redis-pool.ts'
import type { SqlPool } from './sql-pool.ts'

declare module 'fastify' {
  /** Pools by their names; declare those of your own here. */
  interface FastifyPools {
    mysql: SqlPool<any>
    postgresql: SqlPool<any>
    redis: RedisPool
  }
  interface FastifyInstance {
    /** The pools that are configured. */
    pools: FastifyPools
  }
}

/** What the options of all pools have in common. */
export interface PoolSettings {
  poolSize: number
  timeout: number
  idleTimeout: number
  maxLifetime: number
  validateAfterIdle: number
  maxPerMachine: number | null
}

/** What an application has of a pool. */
interface Face {
  start (): Promise<unknown>
  /** Lends no more than it has lent; settles when all is back, and is closed. */
  close (): Promise<void>
}

/** How long a close waits for what is lent: the launcher gives all close hooks of a worker ten seconds. */
const GRACE_MS = 8000

/**
 * A pool of the application, as `fastify.pools[name]`, that is closed with it. Its first connection is opened now, so that
 * a worker with a wrong password does not take the place of one that works.
 * Rejects with FST_SWOOLE_OPTIONS_INVALID (the name is taken), and as `ConnectionPool.start`.
 */
export async function openPool<C, P extends Face> (fastify: FastifyInstance, name: string, driver: Driver<C>, settings: PoolSettings, faceOf: (pool: ConnectionPool<C>) => P): Promise<P> {
  const pools = poolsOf(fastify)
  if (Object.hasOwn(pools, name)) throw new OptionsInvalidError(`There is a pool "${name}" already: give this one another name`)
  const memory = memoryFor(fastify.server)
  const { poolSize, timeout, idleTimeout, maxLifetime, validateAfterIdle, maxPerMachine } = settings
  const share = maxPerMachine === null ? undefined : new Budget(memory, name, maxPerMachine)
  const options = { size: poolSize, timeoutMs: timeout, idleTimeoutMs: idleTimeout, maxLifetimeMs: maxLifetime, validateAfterIdleMs: validateAfterIdle }
  const pool = new ConnectionPool(name, driver, options, fastify.log, share)
  const face = faceOf(pool)
  try {
    await face.start()
  } catch (error) {
    await pool.close(0)
    throw error
  }
  pools[name] = face
  exposeStats(fastify, name, () => pool.stats())
  fastify.addHook('onClose', async () => {
    await Promise.all([face.close(), pool.close(GRACE_MS)])
    memory.close()
  })
  return face
}

/** Throws FST_SWOOLE_OPTIONS_INVALID for what cannot name a pool: it would be found in none of the decorators, or something else would. */
export function requirePoolName (name: unknown): void {
  if (name === undefined || (typeof name === 'string' && name !== '' && !(name in Object.prototype))) return
  throw new OptionsInvalidError(`The name of a pool is ${showValue(name)}, but must be a string that is not empty, and that no object has as a property`)
}

function poolsOf (fastify: FastifyInstance): Record<string, unknown> {
  if (!fastify.hasDecorator('pools')) fastify.decorate('pools', {} as FastifyPools)
  return fastify.pools as unknown as Record<string, unknown>
}
