import { applicationFault } from '../application-fault.ts'
import { SessionTooLargeError, ValueInvalidError } from '../errors.ts'
import { SharedEntries } from '../shared-memory/index.ts'
import type { EntriesStats, EntrySpace, SharedMemory } from '../shared-memory/index.ts'
import { Encoded, decode, read } from '../values/index.ts'
import { isSameCookie, plainSession, restoreCookie, timesOf } from './cookie.ts'
import type { CookieLike, PlainSession, SessionLike } from './cookie.ts'
import { EvictionReport } from './evictions.ts'
import type { Log } from './evictions.ts'
import { mergeSessions } from './merge.ts'

const LEAST_BYTES = 256 * 1024
const MOST_BYTES_BY_DEFAULT = 8 * 1024 * 1024

/** The memory for sessions where nobody says it: the cache and the rate limits have to fit beside them. */
export function defaultSize (memoryBytes: number): number {
  return Math.max(LEAST_BYTES, Math.min(MOST_BYTES_BY_DEFAULT, Math.floor(memoryBytes / 8)))
}

export interface EngineOptions {
  /** Milliseconds that a session lives whose cookie says nothing of it. */
  ttl: number
  /** Bytes for all sessions. */
  size: number
  /** Of the largest one. */
  maxBytes: number
  log: Log
  /** Undefined: that of the plugin. */
  name?: string | undefined
}

/** How a session stood when it was last read or written: what a change is measured by. */
export interface Reading {
  readonly id: string
  /** NaN: others have changed more of it since than the session object knows. */
  readonly version: number
  readonly kind: number
  /** A copy of its value, not decoded. */
  readonly copy: unknown
  readonly cookie: CookieLike | undefined
  /** When its cookie was last sent. */
  readonly cookieMs: number
  /** When it ends, if nobody lets it live on. */
  expiresMs: number
}

export type Outcome = 'saved' | 'gone'

/**
 * How a session stands at the end of a request. 'new': it is not stored, and still is not. 'kept': it is stored as it is now.
 * 'renewed': so it is, and its cookie is to be sent. 'gone': it was destroyed, or had to go, since it was read.
 */
export type Settled = 'new' | 'kept' | 'renewed' | 'gone'

/** The cookie of a session is sent anew when so much of its life has passed since. */
const RENEWED_AFTER = 1 / 50
/** The longest that an entry can tell: more than that part of any life. */
const LONGEST_AGE_MS = 2 ** 31 - 1
/** Sessions in shared memory. What all of its methods do is done when they return. */
export class SharedSessions {
  readonly #entries: SharedEntries
  readonly #space: EntrySpace
  readonly #evictions: EvictionReport
  readonly #options: EngineOptions
  readonly #maxBytes: number
  readonly #encoded = new Encoded()
  /** Of the last session read. */
  #copy: unknown
  /** Under which the cookie of a session that was read has its Reading: what another store gave is new here. */
  readonly #mark = Symbol('fastify-swoole.session')
  /** By the session object; 'gone', when it was found to have been destroyed. */
  readonly #readings = new WeakMap<object, Reading | 'gone'>()

  /** With another `size` it is another memory, so that new code may change it. Throws FST_SWOOLE_NAME_INVALID, _MEMORY_FULL. */
  constructor (memory: SharedMemory, options: EngineOptions) {
    const name = options.name === undefined ? `${options.size} bytes` : `${options.name}, ${options.size} bytes`
    this.#entries = new SharedEntries(memory, { type: 'sessions', name, bytes: options.size, eviction: 'lru' })
    this.#space = this.#entries.space('sessions')
    this.#evictions = new EvictionReport(memory, name, options.log)
    this.#options = options
    this.#maxBytes = Math.min(options.maxBytes, this.#entries.maxBytes)
  }

  get (id: string): PlainSession | undefined {
    const plain = this.#read(id, Date.now())
    if (plain === undefined) return undefined
    const { kind, version, createdMs, computeMs, expiresMs } = this.#entries.found
    const cookie = restoreCookie(plain, expiresMs)
    // Of a session nobody asks how long it took to make: there is how old its cookie was.
    if (cookie !== undefined) cookie[this.#mark] = { id, version, kind, copy: this.#copy, cookie, cookieMs: createdMs - computeMs, expiresMs }
    return plain
  }

  /**
   * Stores a session. What others changed of it since it was read stays, and one that was destroyed meanwhile is not made
   * anew: 'gone'. One that has not changed only lives on.
   * Throws FST_SWOOLE_SESSION_TOO_LARGE, _VALUE_INVALID.
   */
  save (id: string, session: object): Outcome {
    const nowMs = Date.now()
    const { expiresMs } = timesOf(session, nowMs, this.#options.ttl)
    if (expiresMs <= nowMs) {
      this.remove(id)
      return 'saved'
    }
    const reading = this.#readingOf(id, session)
    if (reading === 'gone') return 'gone'
    this.#encode(plainSession(session))
    if (reading !== undefined && this.#isEncoded(reading)) {
      return this.#entries.touch(this.#space, id, nowMs, expiresMs) ? 'saved' : this.#lose(session)
    }
    const cookieMs = reading?.cookieMs ?? nowMs
    if (!this.#write(id, nowMs, expiresMs, cookieMs, reading?.version)) return this.#mergeInto(id, session, reading!, nowMs, expiresMs, cookieMs)
    const { cookie } = session as SessionLike
    this.#readings.set(session, { id, version: this.#entries.found.version, kind: this.#encoded.kind, copy: this.#copyEncoded(), cookie, cookieMs, expiresMs })
    return 'saved'
  }

  /**
   * Saves a session at the end of a request, if it is stored and has changed; if not, it lives on with `isRolling`. What is
   * set of it after that is measured by what was read before.
   * Throws FST_SWOOLE_SESSION_TOO_LARGE, _VALUE_INVALID.
   */
  settle (id: string, session: object, isRolling: boolean): Settled {
    const reading = this.#readingOf(id, session)
    if (reading === undefined) return 'new'
    if (reading === 'gone') return 'gone'
    const nowMs = Date.now()
    const { expiresMs, lifeMs } = timesOf(session, nowMs, this.#options.ttl)
    const isDue = isRolling && nowMs - reading.cookieMs >= lifeMs * RENEWED_AFTER
    const plain = plainSession(session)
    this.#encode(plain)
    if (!isDue && this.#isEncoded(reading)) {
      return !isRolling || this.#entries.touch(this.#space, id, nowMs, expiresMs) ? 'kept' : this.#lose(session)
    }
    const isRenewed = isDue || !isRolling || !isSameCookie(plain, reading.cookie)
    const cookieMs = isRenewed ? nowMs : reading.cookieMs
    const isWritten = this.#write(id, nowMs, expiresMs, cookieMs, reading.version) || this.#mergeInto(id, session, reading, nowMs, expiresMs, cookieMs) === 'saved'
    return isWritten ? isRenewed ? 'renewed' : 'kept' : 'gone'
  }

  /** For the beginning of a request: a session with less than half of its life left has all of it again, so that it does not end during the request. */
  prolong (id: string, session: object): void {
    const reading = this.#readingOf(id, session)
    if (reading === undefined || reading === 'gone') return
    const nowMs = Date.now()
    const { expiresMs, lifeMs } = timesOf(session, nowMs, this.#options.ttl)
    if (reading.expiresMs - nowMs >= lifeMs / 2) return
    if (this.#entries.touch(this.#space, id, nowMs, expiresMs)) reading.expiresMs = expiresMs
  }

  /** Lets a session live on. */
  touch (id: string, session: object): Outcome {
    const nowMs = Date.now()
    const { expiresMs } = timesOf(session, nowMs, this.#options.ttl)
    return this.#entries.touch(this.#space, id, nowMs, expiresMs) ? 'saved' : 'gone'
  }

  remove (id: string): void {
    this.#entries.remove(this.#space, id, Date.now())
  }

  clear (): void {
    finish(this.#entries.clear([this.#space]))
  }

  /** After it has taken away those that have expired. */
  count (): number {
    finish(this.#entries.sweep(Date.now()))
    return this.#entries.stats().entries
  }

  stats (): EntriesStats {
    return this.#entries.stats()
  }

  #read (id: string, nowMs: number): PlainSession | undefined {
    const entries = this.#entries
    if (!entries.read(this.#space, id, nowMs)) return undefined
    const { kind, bytes, version } = entries.found
    try {
      this.#copy = read(entries.scratch, kind, 0, bytes)
      const plain = decode(kind, this.#copy)
      if (typeof plain === 'object' && plain !== null) return plain as PlainSession
    } catch {
      // It is told below, with one that is no session.
    }
    entries.removeCorrupt(this.#space, id, version)
    this.#options.log.warn({ bytes }, 'a stored session could not be read: it was removed')
    return undefined
  }

  #encode (plain: PlainSession): void {
    try {
      this.#encoded.setData(plain, () => 'The session')
    } catch (error) {
      throw error instanceof ValueInvalidError ? applicationFault(error) : error
    }
  }

  /** False: it is not the version that it should be. */
  #write (id: string, nowMs: number, expiresMs: number, cookieMs: number, ifVersion?: number): boolean {
    const { bytes } = this.#encoded
    if (bytes > this.#maxBytes) throw new SessionTooLargeError(bytes, this.#maxBytes)
    const outcome = this.#entries.write(this.#space, id, this.#encoded, { nowMs, expiresMs, computeMs: Math.min(nowMs - cookieMs, LONGEST_AGE_MS), ifVersion })
    if (this.#entries.evicted > 0) this.#evictions.add(this.#entries.evicted, nowMs)
    if (outcome === 'too large') throw new SessionTooLargeError(bytes, this.#maxBytes)
    return outcome === 'written'
  }

  #mergeInto (id: string, session: object, reading: Reading, nowMs: number, expiresMs: number, cookieMs: number): Outcome {
    const { kind } = this.#encoded
    const copy = this.#copyEncoded()
    // Both through the same form, so that what is equal looks equal.
    const base = decode(reading.kind, reading.copy) as PlainSession
    const mine = decode(kind, copy) as PlainSession
    for (;;) {
      const theirs = this.#read(id, nowMs)
      if (theirs === undefined) {
        if (reading.expiresMs <= nowMs) this.#options.log.warn({}, 'a session ended while a request changed it: what that changed is not kept; give sessions a longer ttl')
        return this.#lose(session)
      }
      const { version } = this.#entries.found
      this.#encode(mergeSessions(base, mine, theirs))
      if (!this.#write(id, nowMs, expiresMs, cookieMs, version)) continue
      this.#readings.set(session, { id, version: NaN, kind, copy, cookie: (session as SessionLike).cookie, cookieMs, expiresMs })
      return 'saved'
    }
  }

  #lose (session: object): 'gone' {
    this.#readings.set(session, 'gone')
    return 'gone'
  }

  #isEncoded ({ kind, copy }: Reading): boolean {
    if (kind !== this.#encoded.kind) return false
    const other = this.#copyEncoded()
    return other === copy || (other instanceof Uint8Array && Buffer.compare(other, copy as Uint8Array) === 0)
  }

  #copyEncoded (): unknown {
    const { kind, bytes } = this.#encoded
    const scratch = this.#entries.scratch.reserve(bytes)
    this.#encoded.write(scratch, 0)
    return read(scratch, kind, 0, bytes)
  }

  /** Undefined: under this id the session has been neither read nor written. */
  #readingOf (id: string, session: object): Reading | 'gone' | undefined {
    const reading = this.#readings.get(session) ?? readingWithin(session, this.#mark)
    return reading === 'gone' || reading?.id === id ? reading : undefined
  }
}

function finish (passes: Generator): void {
  while (passes.next().done !== true);
}

let property: string | symbol = 'cookie'

/**
 * What `get` left on the cookie. @fastify/session makes an object of its own of what it gets, and copies all properties of
 * the cookie, those under symbols too, into the options that it keeps, under a symbol, for the session's next cookie.
 */
function readingWithin (session: object, mark: symbol): Reading | undefined {
  const of = (name: string | symbol) => (session as Record<string | symbol, Record<symbol, Reading> | null | undefined>)[name]?.[mark]
  const known = of(property)
  if (known !== undefined) return known
  const found = ['cookie', ...Object.getOwnPropertySymbols(session)].find((name) => of(name) !== undefined)
  if (found === undefined) return undefined
  property = found
  return of(found)
}
