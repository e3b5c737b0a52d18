import type { FastifyBaseLogger } from 'fastify'
import { Header, SharedEntries, Slot, slotWord } from '../shared-memory/index.ts'
import type { EntriesStats, EntrySpace, Found, SharedMemory } from '../shared-memory/index.ts'
import { Encoded, dataOfError, decode, errorOf, isJsonKind, isKind, read } from '../values/index.ts'
import type { ErrorData } from '../values/index.ts'
import { Flights } from './flights.ts'
import type { Flight } from './flights.ts'
import { NearValues } from './near-values.ts'

/** What was kept under a key: a copy of one's own. */
export interface Stored {
  value: unknown
  /** It has expired, but may be given while another is made. */
  isStale: boolean
  createdMs: number
  expiresMs: number
  /** How long it took to make; 0 when that is not known. */
  computeMs: number
  /** No two writes of a key have the same. */
  version: number
}

export interface StoreOptions {
  nowMs: number
  ttlMs: number
  /** How long it may be given as stale after that; 0 by default. */
  staleMs?: number
  computeMs?: number
  tags?: readonly string[]
  /** In which it was made: it is not written when the key was written, deleted or cleared, or a tag invalidated, since that began. */
  flight?: Flight | undefined
  sinceEpoch?: number | undefined
  /** The version of the fresh value that it takes the place of; of another one that is there it does not. */
  unlessOther?: number | undefined
}

export interface CacheSettings {
  /** Bytes of shared memory that all entries together take. */
  size: number
  /** Whether a reload clears values, and not only answers. */
  clearOnReload: boolean
}

/** What waits for those that followed a flight which stored nothing; not for whoever asked later than `epoch`, in invalidations. */
export type Outcome = ({ error: unknown } | { value: unknown }) & { epoch: number } | { alone: true }

/** Of two times in invalidations, which wrap. */
export const isAfter = (epoch: number, other: number): boolean => (epoch - other | 0) > 0

const OUTCOME_MS = 10_000
const aValue = () => 'The value'

/** The entries of an application's cache, in memory that all workers share. It is taken when the first is written. */
export class CacheStore {
  readonly log: FastifyBaseLogger
  readonly #memory: SharedMemory
  readonly #settings: CacheSettings
  readonly #encoded = new Encoded()
  readonly #near = new NearValues()
  /** The number of this worker's code: what other code made is not its own. */
  readonly #reloads: number
  #entries: SharedEntries | undefined
  #flights: Flights | undefined
  #outcomes: EntrySpace | undefined
  #spaces: { clears: number, newest: number, values: EntrySpace, answers: EntrySpace, later: Map<EntrySpace, EntrySpace> } | undefined

  constructor (memory: SharedMemory, settings: CacheSettings, log: FastifyBaseLogger) {
    this.#memory = memory
    this.#settings = settings
    this.log = log
    this.#reloads = memory.region.i32[slotWord(memory.slot.index, Slot.CACHE_RELOADS)]!
  }

  /** Keys of values. Those of before a clearing, by a reload or from the command line, are in another space, which nobody reads. */
  get values (): EntrySpace {
    return this.#currentSpaces().values
  }

  /** Keys of HTTP answers. */
  get answers (): EntrySpace {
    return this.#currentSpaces().answers
  }

  get flights (): Flights {
    this.#flights ??= new Flights(this.#memory)
    return this.#flights
  }

  /** The most bytes that a value can have. */
  get maxBytes (): number {
    return this.#open().maxBytes
  }

  /** Undefined: there is none, or what there was cannot be read, and has been removed. */
  read (space: EntrySpace, key: string, nowMs: number): Stored | undefined {
    const entries = this.#open()
    if (!entries.read(space, key, nowMs, this.#near)) return undefined
    const { isNear, kind, block, generation, bytes } = entries.found
    if (isNear) return storedOf(entries.found, nowMs, this.#near.copyOf(block))
    const stored = this.#decode(entries, space, key, nowMs)
    if (stored === undefined || !isJsonKind(kind) || !this.#near.isReadAgain(block, generation)) return stored
    if (this.#near.keep(block, generation, bytes, stored.value)) stored.value = this.#near.copyOf(block)
    return stored
  }

  /** The same, for one who has missed already: it counts neither as a hit nor as a miss. */
  look (space: EntrySpace, key: string, nowMs: number): Stored | undefined {
    const entries = this.#open()
    return entries.look(space, key, nowMs) ? this.#decode(entries, space, key, nowMs) : undefined
  }

  has (space: EntrySpace, key: string, nowMs: number): boolean {
    return this.#open().has(space, key, nowMs)
  }

  /** 'conflict': it was out of date already, see `flight`. Throws FST_SWOOLE_VALUE_INVALID, _MEMORY_FULL. */
  write (space: EntrySpace, key: string, value: unknown, { nowMs, ttlMs, staleMs = 0, computeMs, tags, flight, sinceEpoch, unlessOther }: StoreOptions): 'written' | 'too large' | 'conflict' {
    const entries = this.#open()
    const encoded = this.#encoded
    encoded.setData(value, () => `The value for the key ${JSON.stringify(key.slice(0, 80))} of the cache`)
    const isWanted = flight === undefined ? undefined : () => this.flights.isCurrent(flight)
    const expiresMs = nowMs + ttlMs
    try {
      return entries.write(space, key, encoded, { nowMs, expiresMs, staleMs: expiresMs + staleMs, computeMs, tags, ifVersion: undefined, unlessOther, isWanted, sinceEpoch })
    } finally {
      encoded.clear()
    }
  }

  /** A copy of the value, as `read` would give it. */
  copyOf (value: unknown): unknown {
    const encoded = this.#encoded
    encoded.setData(value, aValue)
    const { scratch } = this.#open()
    encoded.write(scratch.reserve(encoded.bytes), 0)
    const { kind, bytes } = encoded
    encoded.clear()
    return decode(kind, read(scratch, kind, 0, bytes))
  }

  /** Throws FST_SWOOLE_VALUE_INVALID for what is no data. */
  requireData (value: unknown): void {
    this.sizeOf(value)
  }

  /** How many bytes the value takes. */
  sizeOf (value: unknown): number {
    this.#encoded.setData(value, aValue)
    const { bytes } = this.#encoded
    this.#encoded.clear()
    return bytes
  }

  /** Whoever computes the key at the moment computes it in vain. */
  delete (space: EntrySpace, key: string): boolean {
    const isThere = this.deleteLater(space, key)
    this.flights.cancel(space, key)
    return this.#open().remove(space, key, Date.now()) || isThere
  }

  /** What newer code has there already, while this worker finishes what it has to do. */
  deleteLater (space: EntrySpace, key: string): boolean {
    const later = this.#currentSpaces().later.get(space)
    return later !== undefined && this.delete(later, key)
  }

  /** The time of invalidations, for `sinceEpoch`. */
  epoch (): number {
    return this.#open().epoch()
  }

  /** Until when something with these tags is not out of date that was made since then. */
  validUntil (sinceEpoch: number, tags: readonly string[]): number {
    return this.#open().validUntil(sinceEpoch, tags)
  }

  invalidate (tag: string): Generator<number> {
    return this.#open().invalidate(tag, Date.now())
  }

  /** Also what was left for those that follow flights of the keys: they ask again. */
  clear (spaces: readonly EntrySpace[], prefix: string): Generator<number> {
    const { later } = this.#currentSpaces()
    return this.#open().clear([...spaces.flatMap((space) => [space, later.get(space) ?? []].flat()), this.#outcomesSpace()], prefix)
  }

  /** For those that follow the flight, when they find nothing. */
  leave ({ key, id }: Flight, outcome: Outcome): void {
    const left = 'error' in outcome ? { ...outcome, id, error: dataOfError(outcome.error) } : { ...outcome, id }
    if (this.write(this.#outcomesSpace(), key, left, { nowMs: Date.now(), ttlMs: OUTCOME_MS }) === 'too large') {
      this.write(this.#outcomesSpace(), key, { id, alone: true }, { nowMs: Date.now(), ttlMs: OUTCOME_MS })
    }
  }

  /** What was left for those that follow this flight. */
  outcome ({ key, id }: Flight): Outcome | undefined {
    const left = this.look(this.#outcomesSpace(), key, Date.now())?.value as Outcome & { id: number } | undefined
    if (left?.id !== id) return undefined
    return 'error' in left ? { ...left, error: errorOf(left.error as ErrorData) } : left
  }

  stats (): EntriesStats {
    return this.#open().stats()
  }

  #decode (entries: SharedEntries, space: EntrySpace, key: string, nowMs: number): Stored | undefined {
    const { kind, bytes, version } = entries.found
    try {
      if (!isKind(kind)) throw new RangeError(`a value of kind ${kind}`)
      return storedOf(entries.found, nowMs, decode(kind, read(entries.scratch, kind, 0, bytes)))
    } catch (error) {
      entries.removeCorrupt(space, key, version)
      this.log.warn({ key, err: error }, 'an entry of the cache is damaged: it was removed')
      return undefined
    }
  }

  #open (): SharedEntries {
    const bytes = this.#settings.size
    this.#entries ??= new SharedEntries(this.#memory, { type: 'cache', name: `${bytes} bytes`, bytes, eviction: 's3-fifo' })
    return this.#entries
  }

  #outcomesSpace (): EntrySpace {
    this.#outcomes ??= this.#open().space('outcomes')
    return this.#outcomes
  }

  #currentSpaces () {
    const { i32 } = this.#memory.region
    const clears = Atomics.load(i32, Header.CACHE_CLEARS)
    const newest = Atomics.load(i32, Header.CACHE_RELOADS)
    if (this.#spaces?.clears === clears && this.#spaces.newest === newest) return this.#spaces
    const entries = this.#open()
    const space = (name: string, reloads: number) => entries.space(`${name} after ${clears} clears and ${reloads} reloads`)
    const { clearOnReload } = this.#settings
    const values = space('values', clearOnReload ? this.#reloads : 0)
    const answers = space('answers', this.#reloads)
    const later = new Map<EntrySpace, EntrySpace>()
    if (newest !== this.#reloads) {
      later.set(answers, space('answers', newest))
      if (clearOnReload) later.set(values, space('values', newest))
    }
    this.#spaces = { clears, newest, values, answers, later }
    return this.#spaces
  }
}

const storedOf = ({ version, createdMs, expiresMs, computeMs }: Found, nowMs: number, value: unknown): Stored =>
  ({ value, isStale: expiresMs <= nowMs, createdMs, expiresMs, computeMs, version })
