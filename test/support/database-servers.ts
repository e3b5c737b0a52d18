/*
 * The servers that tests of the pools need. Each is looked for in this order:
 *
 *   1. where these variables of the environment say; HOST or PORT is enough, the rest have the defaults below:
 *        PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
 *        MYSQL_HOST, MYSQL_PORT, MYSQL_USER, MYSQL_PASSWORD, MYSQL_DATABASE
 *        REDIS_HOST, REDIS_PORT, REDIS_USER, REDIS_PASSWORD
 *   2. at the standard port of 127.0.0.1, if it lets the default user in;
 *   3. from installed binaries, in a temporary folder, until the test has ended;
 *   4. the same, once `apt-get` has installed them.
 */
import { Redis } from 'ioredis'
import mysql from 'mysql2/promise'
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import wholeFile from 'tap'
import { freePort } from './ports.ts'
import { eventually } from './processes.ts'

export type Kind = 'postgresql' | 'mysql' | 'redis'

/** As the options of the plugins name it. */
export interface Server {
  host: string
  port: number
  user?: string
  password?: string
  database?: string
}

export interface OwnServer extends Server {
  readonly pid: number
  /** Ends it, and what is connected to it; `crash`: without a word to anybody. What it holds stays until `remove`. */
  stop (options?: { crash?: boolean }): Promise<void>
  /** Starts it at the same port, with what it held before; ends it first when it runs. */
  restart (options?: { crash?: boolean }): Promise<void>
  /** Ends it and removes its folder. */
  remove (): Promise<void>
}

interface Test {
  teardown (end: () => unknown): void
}

interface Recipe {
  prefix: string
  standard: Server
  package: string
  binary: string
  /** Fills the folder in which it starts. */
  prepare? (folder: string): void
  args (folder: string, port: number): string[]
  end: NodeJS.Signals
  crash: NodeJS.Signals
  login (server: Server): Promise<void>
}

const RECIPES: Record<Kind, Recipe> = {
  postgresql: {
    prefix: 'PG',
    standard: { host: '127.0.0.1', port: 5432, user: 'postgres', database: 'postgres' },
    package: 'postgresql',
    binary: 'postgres',
    prepare (folder) {
      execFileSync(pathOf('initdb'), ['--pgdata', folder, '--username', 'postgres', '--auth', 'trust', '--encoding', 'UTF8', '--no-sync'], unprivileged())
    },
    args: (folder, port) => ['-D', folder, '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
    end: 'SIGINT',
    // A postmaster that is killed leaves its processes behind, which keep the port.
    crash: 'SIGQUIT',
    async login (server) {
      const client = new pg.Client(server)
      await client.connect()
      await client.end()
    }
  },
  mysql: {
    prefix: 'MYSQL_',
    standard: { host: '127.0.0.1', port: 3306, user: 'root' },
    package: 'mariadb-server',
    binary: 'mariadbd',
    prepare (folder) {
      execFileSync(pathOf('mariadb-install-db'), ['--no-defaults', `--datadir=${folder}`, '--auth-root-authentication-method=normal', '--skip-test-db'], unprivileged())
    },
    args: (folder, port) => ['--no-defaults', `--datadir=${folder}`, `--port=${port}`, '--bind-address=127.0.0.1', `--socket=${folder}/socket`, `--pid-file=${folder}/pid`, '--innodb-flush-log-at-trx-commit=0'],
    end: 'SIGTERM',
    crash: 'SIGKILL',
    async login (server) {
      await (await mysql.createConnection(server)).end()
    }
  },
  redis: {
    prefix: 'REDIS_',
    standard: { host: '127.0.0.1', port: 6379 },
    package: 'redis-server',
    binary: 'redis-server',
    args: (folder, port) => ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
    end: 'SIGTERM',
    crash: 'SIGKILL',
    async login ({ host, port, user, password }) {
      const client = new Redis({ host, port, lazyConnect: true, retryStrategy: () => null, ...(user ? { username: user } : {}), ...(password ? { password } : {}) })
      client.on('error', () => {})
      try {
        await client.connect()
        await client.ping()
      } finally {
        client.disconnect()
      }
    }
  }
}

const started = new Map<Kind, Promise<Server>>()

/** A server for the tests of a file. It may be somebody else's as well: what a test leaves there, it removes. */
export async function serverFor (kind: Kind): Promise<Server> {
  const { standard, login } = RECIPES[kind]
  const named = fromEnvironment(kind)
  if (named !== undefined) return named
  const isThere = await login(standard).then(() => true, () => false)
  if (isThere) return standard
  if (!started.has(kind)) started.set(kind, startForFile(kind))
  return await started.get(kind)!
}

/** It takes a second, and is for all tests of the file. */
async function startForFile (kind: Kind): Promise<Server> {
  const { host, port, user, password, database, remove } = await startOwnServer(kind)
  wholeFile.teardown(remove)
  return { host, port, ...(user ? { user } : {}), ...(password ? { password } : {}), ...(database ? { database } : {}) }
}

/** The same, with a database of the test's own. */
export async function databaseFor (t: Test, kind: 'postgresql' | 'mysql'): Promise<Server & { database: string }> {
  const server = await serverFor(kind)
  const database = `fastify_swoole_${randomBytes(6).toString('hex')}`
  await administer(kind, server, `CREATE DATABASE ${database}${kind === 'mysql' ? ' CHARACTER SET utf8mb4' : ''}`)
  t.teardown(() => administer(kind, server, `DROP DATABASE ${database}${kind === 'postgresql' ? ' WITH (FORCE)' : ''}`))
  return { ...server, database }
}

/** A new server that nobody else has, on a free port; `args` may change the arguments of its command line. */
export async function startOwnServer (kind: Kind, args = (usual: string[], _port: number) => usual): Promise<OwnServer> {
  const recipe = RECIPES[kind]
  install(recipe)
  const folder = mkdtempSync(join(tmpdir(), 'swoole-server-'))
  const { uid, gid } = unprivileged()
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid)
  recipe.prepare?.(folder)
  const server = { ...recipe.standard, port: await freePort() }
  let child: ChildProcess

  const isRunning = () => child.exitCode === null && child.signalCode === null
  const start = async () => {
    let said = ''
    child = spawn(pathOf(recipe.binary), args(recipe.args(folder, server.port), server.port), { ...unprivileged(), stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text) => { said = (said + text).slice(-10_000) })
    await eventually(`${recipe.binary} lets somebody in`, async () => {
      if (!isRunning()) throw new Error(`${recipe.binary} has ended: ${said}`)
      return await recipe.login(server).then(() => true, () => false)
    })
  }
  const stop = async ({ crash = false } = {}) => {
    if (!isRunning()) return
    const ended = once(child, 'exit')
    child.kill(crash ? recipe.crash : recipe.end)
    await ended
  }
  const onExit = () => child.kill(recipe.crash)
  process.once('exit', onExit)
  await start()
  return {
    ...server,
    get pid () { return child.pid! },
    stop,
    async restart (options) {
      await stop(options)
      await start()
    },
    async remove () {
      process.off('exit', onExit)
      await stop({ crash: true })
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

function fromEnvironment (kind: Kind): Server | undefined {
  const { prefix, standard } = RECIPES[kind]
  const of = (name: string) => process.env[`${prefix}${name}`]
  if (of('HOST') === undefined && of('PORT') === undefined) return undefined
  const [user, password, database] = [of('USER') ?? standard.user, of('PASSWORD'), of('DATABASE') ?? standard.database]
  return {
    host: of('HOST') ?? standard.host,
    port: Number(of('PORT') ?? standard.port),
    ...(user ? { user } : {}),
    ...(password ? { password } : {}),
    ...(database ? { database } : {})
  }
}

async function administer (kind: 'postgresql' | 'mysql', server: Server, sql: string): Promise<void> {
  if (kind === 'postgresql') {
    const client = new pg.Client(server)
    await client.connect()
    await client.query(sql)
    await client.end()
  } else {
    const connection = await mysql.createConnection(server)
    await connection.query(sql)
    await connection.end()
  }
}

function pathOf (binary: string): string {
  const folders = [...process.env.PATH!.split(':'), '/usr/sbin', '/usr/lib/postgresql/*/bin', '/usr/local/sbin', '/opt/homebrew/bin']
  return globSync(folders.map((folder) => join(folder, binary))).sort().at(-1) ?? ''
}

function install (recipe: Recipe): void {
  if (pathOf(recipe.binary) !== '') return
  const apt = (...args: string[]) => execFileSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', '-qq', ...args], { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: 'pipe' })
  try {
    apt('update')
    apt('install', '-y', recipe.package)
  } catch (error) {
    throw new Error(`The tests need ${recipe.binary}: install ${recipe.package}, or say with ${recipe.prefix}HOST and ${recipe.prefix}PORT where one runs`, { cause: error })
  }
}

/** PostgreSQL and MariaDB do not run as root. */
function unprivileged (): { uid?: number, gid?: number, stdio: 'pipe' } {
  if (process.getuid!() !== 0) return { stdio: 'pipe' }
  const [uid, gid] = ['-u', '-g'].map((of) => Number(execFileSync('id', [of, 'nobody'])))
  return { uid: uid!, gid: gid!, stdio: 'pipe' }
}
