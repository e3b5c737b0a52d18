import { OptionsInvalidError, PoolClosedError, PoolNotBorrowedError, PoolTimeoutError } from '../errors.ts'
import { parseDuration, requireFunction, requireNames } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import { showValue } from '../options/show.ts'
import type { ConnectionPool, PoolStats } from './pool.ts'
import type { Wait } from './sql-pool.ts'

/** What is used of a client of Redis; that of ioredis, or of its Cluster. */
export interface RedisClient {
  readonly status: string
  call (name: string, ...args: Array<string | number | Buffer>): Promise<unknown>
  pipeline (): RedisPipeline
  once (event: string, listener: () => void): unknown
  off (event: string, listener: () => void): unknown
  setMaxListeners (most: number): unknown
}

export interface RedisPipeline {
  exec (): Promise<Array<[error: Error | null, result: unknown]> | null>
}

/** What a pipeline is going to send; its types do not tell. */
interface Queued {
  readonly _queue: ReadonlyArray<{ readonly name: string, readonly args: readonly RedisArgument[] }>
}

export type RedisArgument = string | number | Buffer

/** What would change, or block, the connection that all commands share. */
const ALONE = new Set(['multi', 'exec', 'discard', 'watch', 'unwatch', 'select', 'auth', 'hello', 'reset', 'quit', 'monitor', 'sync', 'psync', 'readonly', 'readwrite', 'asking',
  'subscribe', 'unsubscribe', 'psubscribe', 'punsubscribe', 'ssubscribe', 'sunsubscribe',
  'blpop', 'brpop', 'brpoplpush', 'blmove', 'blmpop', 'bzpopmin', 'bzpopmax', 'bzmpop', 'wait', 'waitaof'])
const ALONE_CLIENT = /^(?:reply|tracking|caching|setname|setinfo|no-evict|no-touch)$/i

/**
 * Connections to Redis or Valkey: one that all commands share, which go over it without waiting for each other's answers, and
 * others that `get` lends to those that need one alone. After the original's `RedisPool`.
 */
export class RedisPool<C extends RedisClient = any> {
  readonly #pool: ConnectionPool<C>
  readonly #timeoutMs: number
  #shared: C | undefined
  #isClosing = false

  /** `timeoutMs`: how long a command waits for a connection that is lost. */
  constructor (pool: ConnectionPool<C>, timeoutMs: number) {
    this.#pool = pool
    this.#timeoutMs = timeoutMs
  }

  /** Opens the connection that all commands share. */
  async start (): Promise<void> {
    this.#shared = await this.#pool.borrow()
    // When it is lost, each command that waits for it listens.
    this.#shared.setMaxListeners(0)
  }

  /** The connection that all commands share. */
  get shared (): C {
    return this.#shared!
  }

  /**
   * Lends a connection for what one needs alone: WATCH and MULTI, subscriptions, commands that block. `put` takes it back. Rejects
   * with FST_SWOOLE_POOL_TIMEOUT, _POOL_CLOSED, _POOL_CONNECT, and with the signal's reason.
   */
  async get (wait?: Wait): Promise<C> {
    requireNames('The options of get()', wait, ['timeout', 'signal'])
    return await this.#pool.borrow(wait?.timeout === undefined ? undefined : parseDuration(wait.timeout, 'timeout'), wait?.signal)
  }

  /** Takes back what `get` lent. Throws FST_SWOOLE_POOL_NOT_BORROWED for one that was put back already, or is none of the pool's. */
  put (connection: C): void {
    if (connection === this.#shared) throw new PoolNotBorrowedError(this.#pool.name, 'all commands share')
    this.#pool.put(connection)
  }

  /** Lends a connection to a function until that has ended. When the signal aborts, the connection is cut. */
  async withConnection<T> (fn: (connection: C) => Promise<T> | T, wait?: Wait): Promise<T> {
    requireFunction('What withConnection() is to run', fn)
    const connection = await this.get(wait)
    const lease = this.#pool.leaseOf(connection)
    const signal = wait?.signal
    const work = async () => {
      try {
        return await fn(connection)
      } finally {
        this.#pool.put(connection, lease)
      }
    }
    if (signal === undefined) return await work()
    return await new Promise<T>((resolve, reject) => {
      const abort = () => {
        if (this.#pool.leaseOf(connection) === lease) this.#pool.cut(connection)
        reject(signal.reason)
      }
      signal.addEventListener('abort', abort, { once: true })
      work().then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    })
  }

  /** GET. (In the original `get_value`; `get` lends a connection.) */
  getValue (key: string): Promise<string | null> {
    return this.command('get', key) as Promise<string | null>
  }

  /** SET; with a `ttl`, the key is gone after it. */
  async set (key: string, value: string | Buffer, options?: { ttl?: Duration }): Promise<void> {
    requireNames('The options of set()', options, ['ttl'])
    if (options?.ttl === undefined) await this.command('set', key, value)
    else await this.command('set', key, value, 'px', ttlMs(options.ttl))
  }

  /** How many of them there were. */
  async delete (...keys: string[]): Promise<number> {
    return keys.length === 0 ? 0 : await this.command('del', ...keys) as number
  }

  async exists (key: string): Promise<boolean> {
    return await this.command('exists', key) === 1
  }

  /** The new value. */
  async incr (key: string): Promise<number> {
    return await this.command('incr', key) as number
  }

  /** The new value. */
  async decr (key: string): Promise<number> {
    return await this.command('decr', key) as number
  }

  /** 1: the field is new; 0: it had a value. */
  async hset (key: string, field: string, value: string): Promise<number> {
    return await this.command('hset', key, field, value) as number
  }

  async hget (key: string, field: string): Promise<string | null> {
    return await this.command('hget', key, field) as string | null
  }

  /** Without fields when there is no such key. */
  async hgetall (key: string): Promise<Record<string, string>> {
    const answer = await this.command('hgetall', key)
    if (!Array.isArray(answer)) return answer as Record<string, string>
    return Object.fromEntries(Array.from({ length: answer.length / 2 }, (_, n) => [answer[n * 2], answer[n * 2 + 1]]))
  }

  /** The new length. */
  async lpush (key: string, ...values: string[]): Promise<number> {
    return await this.command('lpush', key, ...values) as number
  }

  async rpop (key: string): Promise<string | null> {
    return await this.command('rpop', key) as string | null
  }

  /** False: there is no such key. */
  async expire (key: string, ttl: Duration): Promise<boolean> {
    return await this.command('pexpire', key, ttlMs(ttl)) === 1
  }

  /** Milliseconds that the key has left; -1: it stays, -2: there is no such key. */
  async ttl (key: string): Promise<number> {
    return await this.command('pttl', key) as number
  }

  /**
   * What `build` calls goes to the server in one write. The answers in their order; of a command that failed, its error in its place.
   * Not a transaction: between them, others have theirs.
   */
  async pipeline (build: (pipe: any) => unknown): Promise<unknown[]> {
    if (typeof build !== 'function') throw new OptionsInvalidError(`What builds a pipeline is ${showValue(build)}, but must be a function`)
    const client = await this.#ready()
    const pipe = client.pipeline()
    await build(pipe)
    const mistake = mistakeIn(pipe as unknown as Queued)
    if (mistake !== undefined) throw new OptionsInvalidError(mistake)
    const answers = await pipe.exec()
    return (answers ?? []).map(([error, answer]) => error ?? answer)
  }

  /**
   * Any command of Redis, also of a module, by its name. Rejects with the server's error, and with FST_SWOOLE_OPTIONS_INVALID for one
   * that needs a connection alone, which `withConnection` lends.
   */
  // Not an async function, nor is getValue: each makes a promise more (bench/pools).
  command (name: string, ...args: RedisArgument[]): Promise<unknown> {
    const mistake = mistakeOf(name, args)
    if (mistake !== undefined) return Promise.reject(new OptionsInvalidError(mistake))
    const shared = this.#shared!
    return shared.status === 'ready' && !this.#isClosing ? shared.call(name, ...args) : this.#ready().then((client) => client.call(name, ...args))
  }

  getStats (): PoolStats {
    return this.#pool.stats()
  }

  /** Waits until all that is lent is back and all commands are answered, and closes. */
  async close (): Promise<void> {
    this.#isClosing = true
    const closed = this.#pool.close()
    this.#pool.retire(this.shared)
    await closed
  }

  /** Waits until the shared connection is there again. */
  #ready (): Promise<C> {
    const shared = this.#shared!
    if (this.#isClosing || shared.status === 'end') return Promise.reject(new PoolClosedError(this.#pool.name))
    if (shared.status === 'ready') return Promise.resolve(shared)
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer)
        shared.off('ready', ready)
        shared.off('end', end)
      }
      const ready = () => { finish(); resolve(shared) }
      const end = () => { finish(); reject(new PoolClosedError(this.#pool.name)) }
      const timer = setTimeout(() => {
        finish()
        reject(new PoolTimeoutError(this.#pool.name, this.#timeoutMs, 'the server cannot be reached'))
      }, this.#timeoutMs)
      shared.once('ready', ready)
      shared.once('end', end)
    })
  }
}

function mistakeOf (name: string, args: RedisArgument[]): string | undefined {
  if (typeof name !== 'string' || name === '') return `The name of a command is ${showValue(name)}, but must be a string such as "get"`
  if (needsAlone(name.toLowerCase(), args)) return `The command ${name} changes or blocks the connection, which all commands share: lend one with withConnection()`
  const wrong = args.findIndex((arg) => typeof arg !== 'string' && typeof arg !== 'number' && !((arg as unknown) instanceof Uint8Array))
  return wrong < 0 ? undefined : `Argument ${wrong + 1} of the command ${name} is ${showValue(args[wrong])}, but must be a string, a number or a Buffer`
}

/** A transaction that is in the pipeline as a whole changes nothing for the others. */
function mistakeIn ({ _queue: commands }: Queued): string | undefined {
  let isOpen = false
  for (const { name, args } of commands) {
    const lower = name.toLowerCase()
    if (lower === 'multi' ? !isOpen : isOpen && (lower === 'exec' || lower === 'discard')) isOpen = !isOpen
    else if (needsAlone(lower, args)) return `The command ${name} in a pipeline changes or blocks the connection, which all commands share: lend one with withConnection()`
  }
  return isOpen ? 'A pipeline begins a transaction that it does not end: all commands share the connection' : undefined
}

function needsAlone (name: string, args: readonly RedisArgument[]): boolean {
  if (ALONE.has(name)) return true
  if (name === 'client') return ALONE_CLIENT.test(String(args[0]))
  if (name === 'script') return /^debug$/i.test(String(args[0]))
  if (name !== 'xread' && name !== 'xreadgroup') return false
  const options = args.map(String)
  return options.slice(0, options.findIndex((arg) => /^streams$/i.test(arg))).some((arg) => /^block$/i.test(arg))
}

function ttlMs (ttl: Duration): number {
  const ms = Math.round(parseDuration(ttl, 'ttl'))
  if (ms < 1) throw new OptionsInvalidError(`The ttl of a key is ${showValue(ttl)}, but must be at least 1 ms: delete() removes a key`)
  return ms
}
