/* The ways to a server: our pools, and the bare client libraries that those stand on. */
import Fastify from 'fastify'
import mysql from '../../plugins/mysql/index.ts'
import postgres from '../../plugins/postgres/index.ts'
import redis from '../../plugins/redis/index.ts'
import { MYSQL, POSTGRESQL, REDIS, ioredis, mysql2, pg } from './servers.ts'
import type { Server } from './servers.ts'
import { transact } from './tpcb.ts'

export const FACES = ['fastify-swoole', 'bare'] as const
export type Face = typeof FACES[number]

export interface Caller {
  /** A small query with one parameter. */
  query (): Promise<void>
  /** The transaction of TPC-B. */
  transaction? (): Promise<void>
}

/** All else is as it is by default: ours has its time-outs and its log of slow statements. */
export const POOL_SIZE = 10
const KEY = 'fastify-swoole-bench:pools'
const KEY_SECONDS = 3600

export const openCaller = (server: Server, face: Face): Promise<Caller> => (face === 'bare' ? bare : ours)[server]()

const ours: Record<Server, () => Promise<Caller>> = {
  async postgresql () {
    const fastify = Fastify()
    await fastify.register(postgres, { ...POSTGRESQL, poolSize: POOL_SIZE })
    const pool = fastify.pools.postgresql
    return {
      query: async () => expect(7, (await pool.query<{ n: number }>('SELECT $1::int AS n', [7]))[0]!.n),
      transaction: () => pool.transaction(transact)
    }
  },
  async mysql () {
    const fastify = Fastify()
    await fastify.register(mysql, { ...MYSQL, poolSize: POOL_SIZE })
    const pool = fastify.pools.mysql
    return { query: async () => expect(7, (await pool.query<{ n: number }>('SELECT ? AS n', [7]))[0]!.n) }
  },
  async redis () {
    const fastify = Fastify()
    await fastify.register(redis, { ...REDIS, poolSize: POOL_SIZE })
    const pool = fastify.pools.redis
    await pool.set(KEY, '7', { ttl: `${KEY_SECONDS}s` })
    return { query: async () => expect('7', await pool.getValue(KEY)) }
  }
}

const bare: Record<Server, () => Promise<Caller>> = {
  async postgresql () {
    const pool = new pg.Pool({ ...POSTGRESQL, max: POOL_SIZE, idleTimeoutMillis: 0 })
    return {
      query: async () => expect(7, (await pool.query<{ n: number }>('SELECT $1::int AS n', [7])).rows[0]!.n),
      async transaction () {
        const client = await pool.connect()
        try {
          await client.query('BEGIN')
          await transact(client)
          await client.query('COMMIT')
        } catch (error) {
          await client.query('ROLLBACK')
          throw error
        } finally {
          client.release()
        }
      }
    }
  },
  async mysql () {
    const pool = mysql2.createPool({ ...MYSQL, connectionLimit: POOL_SIZE })
    return { query: async () => expect(7, ((await pool.execute('SELECT ? AS n', [7]))[0] as Array<{ n: number }>)[0]!.n) }
  },
  async redis () {
    const client = new ioredis.Redis(REDIS)
    await client.set(KEY, '7', 'EX', KEY_SECONDS)
    return { query: async () => expect('7', await client.get(KEY)) }
  }
}

function expect (expected: unknown, answer: unknown): void {
  if (answer !== expected) throw new Error(`the answer is ${String(answer)}, and not ${String(expected)}`)
}
