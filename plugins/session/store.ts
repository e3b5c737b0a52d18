import { EventEmitter } from 'node:events'
import { OptionsInvalidError } from '../errors.ts'
import { requireNames, resolveOptions } from '../options/index.ts'
import type { Bytes, Duration, ResolvedOptions } from '../options/index.ts'
import { showValue } from '../options/show.ts'
import type { EntriesStats, SharedMemory } from '../shared-memory/index.ts'
import type { SessionLike } from './cookie.ts'
import type { Log } from './evictions.ts'
import { createSession } from './express.ts'
import type { ExpressRequest } from './express.ts'
import { SharedSessions, defaultSize } from './memory.ts'
import type { Settled } from './memory.ts'

export interface StoreOptions {
  /** How long a session lives whose cookie has no maximum age: milliseconds, or a string such as '2h'; by default an hour. */
  ttl?: Duration | undefined
  /** Bytes of the shared memory for all sessions, at least 256 KiB, or a string such as '64mb'; by default 8 MiB, or an eighth of that memory if it is less. */
  size?: Bytes | null | undefined
  /** Stores of one name and one size, in all workers, have the same sessions; those of another name have their own, in memory of their own. */
  name?: string | undefined
  /** Of the largest session; by default 64 KiB. */
  maxBytes?: Bytes | undefined
  /** Told of what was lost: sessions that went for others, or could not be read. */
  log?: Log
}

export type SessionStats = EntriesStats

type ResolvedBlock = Exclude<ResolvedOptions['session'], false>
type Callback = (error?: unknown) => void
type SessionCallback = (error: unknown, session?: any) => void

const NAMES = ['ttl', 'size', 'maxBytes', 'log', 'name']
const NO_LOG = { warn () {} }

/**
 * Sessions that all workers share, for `@fastify/session` and express-session. Its methods have done their work, and called
 * back, when they return.
 *
 * Of two requests with one session that overlap, each keeps what it changed: what is set back is compared with what was read
 * and, when somebody wrote meanwhile, laid over that property by property. A session that was destroyed meanwhile stays so.
 *
 * @example
 * const store = new SessionStore(memoryFor(fastify.server), { ttl: 86_400_000 })
 * await fastify.register(session, { secret, store })
 */
export class SessionStore extends EventEmitter {
  readonly #sessions: SharedSessions

  /** Throws FST_SWOOLE_OPTIONS_INVALID, _NAME_INVALID, _MEMORY_FULL. */
  constructor (memory: SharedMemory, options: StoreOptions = {}) {
    super()
    requireNames('The options of the session store', options, NAMES)
    const { log = NO_LOG, name, ...given } = options
    if (name !== undefined && (typeof name !== 'string' || name === '')) throw new OptionsInvalidError(`name in the options of the session store is ${showValue(name)}, but must be a string of at least one character`)
    const { ttl, size, maxBytes } = resolveOptions({ session: given }).session as ResolvedBlock
    this.#sessions = new SharedSessions(memory, { ttl, size: size ?? defaultSize(memory.region.bytes), maxBytes, log, name })
  }

  get (id: string, callback: SessionCallback): void {
    answer(() => this.#sessions.get(String(id)), callback)
  }

  /**
   * Stores a session until its cookie expires. Calls back with FST_SWOOLE_SESSION_TOO_LARGE, or with FST_SWOOLE_VALUE_INVALID
   * for what is no data; then nothing was stored.
   */
  set (id: string, session: object, callback?: Callback): void {
    answer(() => { this.#sessions.save(String(id), session) }, callback)
  }

  /** Gives a session the time to expire of this cookie, and nothing else. */
  touch (id: string, session: object, callback?: Callback): void {
    answer(() => { this.#sessions.touch(String(id), session) }, callback)
  }

  destroy (id: string, callback?: Callback): void {
    answer(() => { this.#sessions.remove(String(id)) }, callback)
  }

  /** Destroys all sessions. */
  clear (callback?: Callback): void {
    answer(() => { this.#sessions.clear() }, callback)
  }

  /** How many sessions there are. It looks at all of them. */
  length (callback: (error: unknown, length?: number) => void): void {
    answer(() => this.#sessions.count(), callback)
  }

  /** Of all workers together; `bytes` and `capacity` are of the memory that sessions take. */
  stats (): SessionStats {
    return this.#sessions.stats()
  }

  /** For the beginning of a request: a session that could end during it lives on. */
  prolong (id: string, session: object): void {
    this.#sessions.prolong(id, session)
  }

  /**
   * For the end of a request: what `set` or `touch` does, whichever the session needs, if it is stored at all.
   * Throws FST_SWOOLE_SESSION_TOO_LARGE, _VALUE_INVALID.
   */
  settle (id: string, session: object, isRolling: boolean): Settled {
    return this.#sessions.settle(id, session, isRolling)
  }

  /** Makes what `get` gave the session of an Express request. */
  createSession (request: ExpressRequest, session: SessionLike): any {
    return createSession(this, request, session)
  }

  /** Gives an Express request a new session instead of its own. */
  regenerate (request: ExpressRequest, callback: Callback): void {
    this.destroy(request.sessionID, (error) => {
      this.generate!(request)
      callback(error)
    })
  }

  /** The session of this id, as a live one without a request. */
  load (id: string, callback: SessionCallback): void {
    this.get(id, (error, session) => {
      if (error !== null || session === undefined) return callback(error ?? undefined)
      callback(null, this.createSession({ sessionID: id, sessionStore: this }, session))
    })
  }

  /** Set by express-session: gives a request a new session. */
  generate?: (request: ExpressRequest) => void
}

/** Outside of the `try`, so that what the callback throws does not come to it again. */
function answer<T> (work: () => T, callback?: (error: unknown, result?: T) => void): void {
  let result: T
  try {
    result = work()
  } catch (error) {
    if (callback === undefined) throw error
    return callback(error)
  }
  callback?.(null, result)
}
