/* The servers that have to run, and the client libraries in the copies that our pools load. */
import { createRequire } from 'node:module'

export const SERVERS = ['postgresql', 'mysql', 'redis'] as const
export type Server = typeof SERVERS[number]

export const POSTGRESQL = { host: '127.0.0.1', port: 5432, user: 'postgres', database: 'test' }
export const MYSQL = { host: '127.0.0.1', port: 3306, user: 'root', database: 'test' }
export const REDIS = { host: '127.0.0.1', port: 6379 }

const ofThePlugins = createRequire(new URL('../../plugins/pools/index.ts', import.meta.url))
export const pg = ofThePlugins('pg') as typeof import('pg')
export const mysql2 = ofThePlugins('mysql2/promise') as typeof import('mysql2/promise')
export const ioredis = ofThePlugins('ioredis') as typeof import('ioredis')

/** Of servers and libraries. Throws with what is needed when a server does not answer. */
export async function versions (): Promise<Record<string, string>> {
  return {
    PostgreSQL: await answers('PostgreSQL', POSTGRESQL, postgresqlVersion),
    'MySQL or MariaDB': await answers('MySQL or MariaDB', MYSQL, mysqlVersion),
    ...Object.fromEntries(['pg', 'mysql2', 'ioredis'].map((name) => [name, ofThePlugins(`${name}/package.json`).version]))
  }
}

async function answers (name: string, { host, port, user, database }: typeof MYSQL, version: () => Promise<string>): Promise<string> {
  try {
    return await version()
  } catch (cause) {
    throw new Error(`This benchmark needs ${name} on ${host}:${port} with a database "${database}" and a user "${user}" without a password`, { cause })
  }
}

async function postgresqlVersion (): Promise<string> {
  const client = new pg.Client(POSTGRESQL)
  await client.connect()
  const { rows: [{ server_version: version }] } = await client.query('SHOW server_version')
  await client.end()
  return version
}

async function mysqlVersion (): Promise<string> {
  const connection = await mysql2.createConnection(MYSQL)
  const [rows] = await connection.query('SELECT version() AS version')
  await connection.end()
  return (rows as Array<{ version: string }>)[0]!.version
}
