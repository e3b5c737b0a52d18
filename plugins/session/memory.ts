import { SessionTooLargeError } from '../errors.ts'
import { SharedEntries } from '../shared-memory/index.ts'
import type { EntriesStats, EntrySpace, SharedMemory } from '../shared-memory/index.ts'
import { Encoded, decode, read } from '../values/index.ts'
import { plainSession, restoreCookie, timesOf } from './cookie.ts'
import type { PlainSession } from './cookie.ts'
import { EvictionReport } from './evictions.ts'
import type { Log } from './evictions.ts'
import { mergeSessions } from './merge.ts'

export interface EngineOptions {
  /** Milliseconds that a session lives whose cookie says nothing of it. */
  ttl: number
  /** Bytes for all sessions. */
  size: number
  /** Of the largest one. */
  maxBytes: number
  log: Log
}

/** How a session stood when it was last read or written: what a change is measured by. */
export interface Reading {
  readonly id: string
  /** NaN: others have changed more of it since than the session object knows. */
  readonly version: number
  readonly kind: number
  /** A copy of its value, not decoded. */
  readonly copy: unknown
  /** When it was last written, and its cookie sent. */
  readonly writtenMs: number
}

export type Outcome = 'saved' | 'gone'

/** A session is written anew, and its cookie sent, when so much of its life has passed since. */
const RENEWED_AFTER = 1 / 50
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

  /** With another `size` it is another memory, so that new code may change it. Throws FST_SWOOLE_MEMORY_FULL. */
  constructor (memory: SharedMemory, options: EngineOptions) {
    const name = `${options.size} bytes`
    this.#entries = new SharedEntries(memory, { type: 'sessions', name, bytes: options.size, eviction: 'lru' })
    this.#space = this.#entries.space('sessions')
    this.#evictions = new EvictionReport(memory, name, options.log)
    this.#options = options
    this.#maxBytes = Math.min(options.maxBytes, this.#entries.maxBytes)
  }

  get (id: string): PlainSession | undefined {
    const plain = this.#read(id, Date.now())
    if (plain === undefined) return undefined
    const { kind, version, createdMs, expiresMs } = this.#entries.found
    const cookie = restoreCookie(plain, expiresMs)
    if (cookie !== undefined) cookie[this.#mark] = { id, version, kind, copy: this.#copy, writtenMs: createdMs }
    return plain
  }

  /**
   * Stores a session. What others changed of it since it was read stays, and one that was destroyed meanwhile is not made
   * anew: 'gone'. One that has not changed only lives on.
   * Throws FST_SWOOLE_SESSION_TOO_LARGE, _VALUE_INVALID.
   */
  save (id: string, session: object): Outcome {
    const nowMs = Date.now()
    const { expiresMs, lifeMs } = timesOf(session, nowMs, this.#options.ttl)
    if (expiresMs <= nowMs) {
      this.remove(id)
      return 'saved'
    }
    const reading = this.#readingOf(id, session)
    if (reading === 'gone') return 'gone'
    this.#encode(plainSession(session))
    if (reading !== undefined && nowMs - reading.writtenMs < lifeMs * RENEWED_AFTER && this.#isEncoded(reading)) {
      return this.#entries.touch(this.#space, id, nowMs, expiresMs) ? 'saved' : this.#lose(session)
    }
    if (!this.#write(id, nowMs, expiresMs, reading?.version)) return this.#mergeInto(id, session, reading!, nowMs, expiresMs)
    this.#remember(id, session, this.#entries.found.version, nowMs)
    return 'saved'
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

  /** 'new': it is not stored. 'due': nothing but that its cookie is to be sent again. */
  stateOf (id: string, session: object): 'new' | 'unchanged' | 'due' | 'changed' | 'gone' {
    const reading = this.#readingOf(id, session)
    if (reading === undefined) return 'new'
    if (reading === 'gone') return 'gone'
    this.#encode(plainSession(session))
    if (!this.#isEncoded(reading)) return 'changed'
    const nowMs = Date.now()
    return nowMs - reading.writtenMs < timesOf(session, nowMs, this.#options.ttl).lifeMs * RENEWED_AFTER ? 'unchanged' : 'due'
  }

  isGone (session: object): boolean {
    return this.#readings.get(session) === 'gone'
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
    this.#encoded.setData(plain, 'The session')
  }

  /** False: it is not the version that it should be. */
  #write (id: string, nowMs: number, expiresMs: number, ifVersion?: number): boolean {
    const { bytes } = this.#encoded
    if (bytes > this.#maxBytes) throw new SessionTooLargeError(bytes, this.#maxBytes)
    const outcome = this.#entries.write(this.#space, id, this.#encoded, { nowMs, expiresMs, ifVersion })
    if (this.#entries.evicted > 0) this.#evictions.add(this.#entries.evicted, nowMs)
    if (outcome === 'too large') throw new SessionTooLargeError(bytes, this.#maxBytes)
    return outcome === 'written'
  }

  #mergeInto (id: string, session: object, reading: Reading, nowMs: number, expiresMs: number): Outcome {
    const { kind } = this.#encoded
    const copy = this.#copyEncoded()
    // Both through the same form, so that what is equal looks equal.
    const base = decode(reading.kind, reading.copy) as PlainSession
    const mine = decode(kind, copy) as PlainSession
    for (;;) {
      const theirs = this.#read(id, nowMs)
      if (theirs === undefined) return this.#lose(session)
      const { version } = this.#entries.found
      this.#encode(mergeSessions(base, mine, theirs))
      if (!this.#write(id, nowMs, expiresMs, version)) continue
      this.#readings.set(session, { id, version: NaN, kind, copy, writtenMs: nowMs })
      return 'saved'
    }
  }

  #lose (session: object): 'gone' {
    this.#readings.set(session, 'gone')
    return 'gone'
  }

  #remember (id: string, session: object, version: number, writtenMs: number): void {
    this.#readings.set(session, { id, version, kind: this.#encoded.kind, copy: this.#copyEncoded(), writtenMs })
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
