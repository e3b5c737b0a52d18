import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { OptionsInvalidError, PoolQueryTimeoutError } from '../errors.ts'
import { parseDuration, requireFunction, requireNames } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import { showValue } from '../options/show.ts'
import type { Driver } from './driver.ts'
import type { ConnectionPool, PoolLog, PoolStats } from './pool.ts'

export interface Wait {
  /** How long to wait for a connection; `timeout` of the pool by default. */
  timeout?: Duration
  /** Ends the wait, and what runs then, on the server too. */
  signal?: AbortSignal
}

export interface TransactionOptions extends Wait {
  /** 'read uncommitted', 'read committed', 'repeatable read' or 'serializable'; the server's default when it is left out. */
  isolation?: string
  readOnly?: boolean
  /** How often the whole is done again when the server gave it up for another's sake (a serialization failure, a deadlock); 0 by default. */
  retries?: number
}

export interface Answer {
  rows: unknown[]
  /** Rows that were changed. */
  affected: number
}

/** What the dialects of SQL and their clients differ in. */
export interface SqlDriver<C> extends Driver<C> {
  /** Parameters go to the server beside the statement, never in it. */
  run (connection: C, sql: string, params: readonly unknown[]): Promise<Answer>
  begin (connection: C, isolation: string | undefined, readOnly: boolean): Promise<unknown>
  /** Rejects when the server rolled back instead. */
  commit (connection: C): Promise<unknown>
  /** Whether another transaction was in the way, and this one may be tried again. */
  isConflict (error: unknown): boolean
  /** Whether the connection has broken: what was sent on it has perhaps been done, and perhaps not. */
  isBroken (connection: C): boolean
}

const ISOLATIONS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable']
const WAIT_NAMES = ['timeout', 'signal'] as const
const TRANSACTION_NAMES = [...WAIT_NAMES, 'isolation', 'readOnly', 'retries'] as const
const FIRST_RETRY_MS = 5
const LONGEST_RETRY_MS = 200

/** A transaction that goes on, for those that are begun within it. */
interface Scope<C> {
  connection: C
  depth: number
  isOver: boolean
  /** Those within it have one connection, so they have it one after another. */
  last: Promise<unknown>
}

/** A pool of connections to a server that speaks SQL. After the original's `ConnectionPool` and `PostgreSQLPool`. */
export class SqlPool<C extends object> {
  readonly #pool: ConnectionPool<C>
  readonly #driver: SqlDriver<C>
  readonly #queryTimeoutMs: number
  readonly #log: PoolLog
  readonly #scopes = new AsyncLocalStorage<Scope<C>>()
  /** What ran on them was ended, and why; they are cut then, and come back though nobody puts them back. */
  readonly #cancelled = new WeakMap<C, unknown>()

  constructor (pool: ConnectionPool<C>, driver: SqlDriver<C>, queryTimeoutMs: number, log: PoolLog) {
    this.#pool = pool
    this.#driver = driver
    this.#queryTimeoutMs = queryTimeoutMs
    this.#log = log
  }

  /** Opens the first connection, or tells why there is none. Rejects with FST_SWOOLE_POOL_CONNECT and _POOL_TIMEOUT. */
  async start (): Promise<void> {
    this.#pool.put(await this.#pool.borrow())
  }

  /**
   * Lends a connection of the client library, which `put` takes back. Rejects with FST_SWOOLE_POOL_TIMEOUT, _POOL_CLOSED,
   * _POOL_CONNECT, and with the signal's reason.
   */
  async get (wait?: Wait): Promise<C> {
    const { timeoutMs, signal } = this.#waitOf('get', wait)
    return await this.#pool.borrow(timeoutMs, signal)
  }

  /**
   * Takes back what `get` lent. A transaction that is open is rolled back, and the session is made as it was, before anybody
   * else has the connection. Throws FST_SWOOLE_POOL_NOT_BORROWED for one that was put back already, or is none of the pool's.
   */
  put (connection: C): void {
    this.#pool.put(connection)
  }

  /** Lends a connection to a function until that has ended. When the signal aborts, what runs on the connection is ended on the server. */
  async withConnection<T> (fn: (connection: C) => Promise<T> | T, wait?: Wait): Promise<T> {
    requireFunction('What withConnection() is to run', fn)
    const { timeoutMs, signal } = this.#waitOf('withConnection', wait)
    const connection = await this.#pool.borrow(timeoutMs, signal)
    const work = this.#lent(connection, async () => await fn(connection))
    return await this.#watched(connection, work, signal)
  }

  /** The rows of a statement. What is a value goes into `params`, which the server gets apart from the statement. */
  query<Row = Record<string, unknown>> (sql: string, params?: readonly unknown[], wait?: Wait): Promise<Row[]> {
    return this.#run(sql, params, wait, 'rows') as Promise<Row[]>
  }

  /** How many rows a statement has changed. */
  execute (sql: string, params?: readonly unknown[], wait?: Wait): Promise<number> {
    return this.#run(sql, params, wait, 'affected')
  }

  /**
   * Runs a function in a transaction: committed when it has ended, rolled back when it throws. Within another one of the
   * same pool it is a savepoint of that; when its signal aborts then, the whole is ended, for they have one connection. Rejects with what `fn` throws, with the server's error when it cannot commit, with
   * FST_SWOOLE_TRANSACTION_ABORTED when the server rolls back instead, and as `get` does.
   */
  async transaction<T> (fn: (connection: C) => Promise<T> | T, options: TransactionOptions = {}): Promise<T> {
    requireFunction('What transaction() is to run', fn)
    const { timeoutMs, signal, isolation, readOnly, retries } = this.#transactionOptions(options)
    const outer = this.#scopes.getStore()
    if (outer !== undefined && !outer.isOver) {
      if (isolation !== undefined || readOnly) throw new OptionsInvalidError(`A transaction within another one of the pool "${this.#pool.name}" has the isolation of that: leave isolation and readOnly away`)
      return await this.#nested(outer, fn, signal)
    }
    const conflicts = (attempt: number, error: unknown) => attempt < retries && signal?.aborted !== true && this.#driver.isConflict(error)
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(fn, timeoutMs, signal, isolation, readOnly)
      } catch (error) {
        if (!conflicts(attempt, error)) throw error
      }
      await sleep(Math.random() * Math.min(FIRST_RETRY_MS * 2 ** attempt, LONGEST_RETRY_MS))
      signal?.throwIfAborted()
    }
  }

  /** Lends a connection with a transaction begun, which `commit` or `rollback` puts back. */
  async beginTransaction (options: Omit<TransactionOptions, 'retries'> = {}): Promise<C> {
    const { timeoutMs, signal, isolation, readOnly } = this.#transactionOptions(options)
    return await this.#begun(timeoutMs, signal, isolation, readOnly)
  }

  /** Commits and puts the connection back. Rejects when the transaction is not committed. */
  async commit (connection: C): Promise<void> {
    await this.#ended(connection, () => this.#driver.commit(connection))
  }

  /** Rolls back and puts the connection back. */
  async rollback (connection: C): Promise<void> {
    await this.#ended(connection, () => this.#driver.run(connection, 'ROLLBACK', []))
  }

  getStats (): PoolStats {
    return this.#pool.stats()
  }

  /** Waits until all that is lent is back, and closes. Who waits for a connection already is still served. */
  async close (): Promise<void> {
    await this.#pool.close()
  }

  async #run<Part extends keyof Answer> (sql: string, params: readonly unknown[] | undefined, wait: Wait | undefined, part: Part): Promise<Answer[Part]> {
    if (typeof sql !== 'string') throw new OptionsInvalidError(`The statement is ${showValue(sql)}, but must be a string`)
    if (params !== undefined && !Array.isArray(params)) throw new OptionsInvalidError(`The parameters of a statement are ${showValue(params)}, but must be an array`)
    let timeoutMs: number | undefined
    let signal: AbortSignal | undefined
    if (wait !== undefined) ({ timeoutMs, signal } = this.#waitOf('query', wait))
    const connection = (signal === undefined ? this.#pool.tryBorrow() : undefined) ?? await this.#pool.borrow(timeoutMs, signal)
    const work = this.#lent(connection, () => this.#driver.run(connection, sql, params ?? []))
    try {
      return (await this.#watched(connection, work, signal, this.#queryTimeoutMs))[part]
    } catch (error) {
      // From here on its stack is that of whoever asked, and not that of the socket on which it came.
      if (error instanceof Error && error !== signal?.reason) Error.captureStackTrace(error)
      throw error
    }
  }

  async #attempt<T> (fn: (connection: C) => Promise<T> | T, timeoutMs: number | undefined, signal: AbortSignal | undefined, isolation: string | undefined, readOnly: boolean): Promise<T> {
    const connection = await this.#begun(timeoutMs, signal, isolation, readOnly)
    const work = this.#lent(connection, async () => {
      const scope: Scope<C> = { connection, depth: 0, isOver: false, last: Promise.resolve() }
      try {
        const result = await this.#scopes.run(scope, fn, connection)
        await scope.last
        signal?.throwIfAborted()
        // One within it may have been ended, though `fn` took no notice of it: what that did is in this one as well.
        this.#throwIfCancelled(connection)
        scope.isOver = true
        await this.#bounded(connection, this.#driver.commit(connection))
        return result
      } catch (error) {
        scope.isOver = true
        await this.#undo(connection, 'ROLLBACK')
        throw error
      }
    })
    return await this.#watched(connection, work, signal)
  }

  async #nested<T> (outer: Scope<C>, fn: (connection: C) => Promise<T> | T, signal: AbortSignal | undefined): Promise<T> {
    const { connection } = outer
    const turn = outer.last
    const done = Promise.withResolvers<void>()
    outer.last = done.promise
    await turn
    try {
      signal?.throwIfAborted()
      return await this.#watched(connection, this.#part(outer, fn), signal)
    } finally {
      done.resolve()
    }
  }

  async #part<T> ({ connection, depth }: Scope<C>, fn: (connection: C) => Promise<T> | T): Promise<T> {
    const savepoint = `fastify_swoole_${depth + 1}`
    const scope: Scope<C> = { connection, depth: depth + 1, isOver: false, last: Promise.resolve() }
    await this.#bounded(connection, this.#driver.run(connection, `SAVEPOINT ${savepoint}`, []))
    try {
      const result = await this.#scopes.run(scope, fn, connection)
      await scope.last
      scope.isOver = true
      await this.#bounded(connection, this.#driver.run(connection, `RELEASE SAVEPOINT ${savepoint}`, []))
      return result
    } catch (error) {
      scope.isOver = true
      await this.#undo(connection, `ROLLBACK TO SAVEPOINT ${savepoint}`)
      throw error
    }
  }

  /** A connection that broke before it has begun anything is as good as none: another one is taken. */
  async #begun (timeoutMs: number | undefined, signal: AbortSignal | undefined, isolation: string | undefined, readOnly: boolean): Promise<C> {
    const deadlineMs = performance.now() + (timeoutMs ?? this.#pool.timeoutMs)
    for (let attempt = 0; ; attempt++) {
      const connection = await this.#pool.borrow(Math.max(0, deadlineMs - performance.now()), signal)
      const lease = this.#pool.leaseOf(connection)
      try {
        await this.#bounded(connection, this.#driver.begin(connection, isolation, readOnly))
        return connection
      } catch (error) {
        const isAgain = this.#driver.isBroken(connection) && !this.#cancelled.has(connection) && performance.now() < deadlineMs
        this.#pool.doubt(connection)
        this.#giveBack(connection, lease)
        if (!isAgain || attempt === this.#pool.stats().size) throw error
      }
    }
  }

  async #ended (connection: C, end: () => Promise<unknown>): Promise<void> {
    const lease = this.#pool.leaseOf(connection)
    if (lease === undefined) return this.#pool.put(connection)
    try {
      await this.#bounded(connection, end())
    } catch (error) {
      this.#pool.doubt(connection)
      throw error
    } finally {
      this.#giveBack(connection, lease)
    }
  }

  /** What fails here fails because the connection is of no use any more; it is then closed, and the server rolls back. */
  async #undo (connection: C, sql: string): Promise<void> {
    try {
      await this.#bounded(connection, this.#driver.run(connection, sql, []))
    } catch {
      this.#pool.doubt(connection)
    }
  }

  async #lent<T> (connection: C, work: () => Promise<T>): Promise<T> {
    const lease = this.#pool.leaseOf(connection)
    try {
      return await work()
    } finally {
      this.#giveBack(connection, lease)
    }
  }

  /** Throws FST_SWOOLE_POOL_NOT_BORROWED when it was put back before, unless that was done for the borrower. */
  #giveBack (connection: C, lease: number | undefined): void {
    const isBack = this.#cancelled.has(connection) && (lease === undefined || this.#pool.leaseOf(connection) !== lease)
    if (!isBack) this.#pool.put(connection, lease)
  }

  /** The work, until its time is over or its signal aborts: it is then ended on the server, and the connection closed. */
  #watched<T> (connection: C, work: Promise<T>, signal: AbortSignal | undefined, timeoutMs = 0): Promise<T> {
    if (signal === undefined && timeoutMs === 0) return work
    const lease = this.#pool.leaseOf(connection)
    return new Promise<T>((resolve, reject) => {
      const end = (error: unknown) => {
        if (lease !== undefined && lease === this.#pool.leaseOf(connection)) this.#cancel(connection, lease, error)
        finish()
        reject(error)
      }
      const abort = () => end(signal!.reason)
      const timer = timeoutMs === 0 ? undefined : setTimeout(() => end(new PoolQueryTimeoutError(this.#pool.name, timeoutMs)), timeoutMs)
      const finish = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
      signal?.addEventListener('abort', abort)
      if (signal?.aborted) abort()
      work.then((result) => { finish(); resolve(result) }, (error: unknown) => { finish(); reject(error) })
    })
  }

  #bounded<T> (connection: C, work: Promise<T>): Promise<T> {
    return this.#watched(connection, work, undefined, this.#queryTimeoutMs)
  }

  /** The connection comes back when that is done, even if the client library never ends what ran on it. */
  #cancel (connection: C, lease: number, reason: unknown): void {
    this.#pool.doubt(connection)
    this.#cancelled.set(connection, reason)
    this.#driver.cancel(connection).catch((error: unknown) => {
      this.#log.warn({ err: error, pool: this.#pool.name }, 'a statement could not be cancelled on the server: its connection was cut')
    }).finally(() => {
      this.#driver.destroy(connection)
      if (this.#pool.leaseOf(connection) === lease) this.#pool.put(connection, lease)
    })
  }

  #throwIfCancelled (connection: C): void {
    if (this.#cancelled.has(connection)) throw this.#cancelled.get(connection)
  }

  #waitOf (what: string, wait: Wait | undefined): { timeoutMs: number | undefined, signal: AbortSignal | undefined } {
    requireNames(`The options of ${what}()`, wait, WAIT_NAMES)
    return { timeoutMs: wait?.timeout === undefined ? undefined : parseDuration(wait.timeout, 'timeout'), signal: wait?.signal }
  }

  #transactionOptions (options: TransactionOptions) {
    requireNames('The options of a transaction', options, TRANSACTION_NAMES)
    const { isolation, readOnly = false, retries = 0, timeout, signal } = options
    if (isolation !== undefined && !ISOLATIONS.includes(String(isolation).toLowerCase())) {
      throw new OptionsInvalidError(`The isolation of a transaction is ${showValue(isolation)}, but must be one of ${ISOLATIONS.join(', ')}`)
    }
    if (typeof readOnly !== 'boolean') throw new OptionsInvalidError(`readOnly of a transaction is ${showValue(readOnly)}, but must be true or false`)
    if (!Number.isSafeInteger(retries) || retries < 0) throw new OptionsInvalidError(`The retries of a transaction are ${showValue(retries)}, but must be a whole number from 0`)
    return { isolation: isolation?.toUpperCase(), readOnly, retries, timeoutMs: timeout === undefined ? undefined : parseDuration(timeout, 'timeout'), signal }
  }
}
