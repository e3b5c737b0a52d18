import { hashKey, otherHalf } from './keys.ts'
import type { KeyNotes } from './key-notes.ts'
import { REF_BYTES } from './layout.ts'
import type { Region } from './region.ts'
import type { SharedMemory } from './shared-memory.ts'

export interface LruOptions {
  /** Name space and name in the directory of objects. */
  type: string
  name: string
  /** What all that open it must agree on, beside the numbers below. */
  definition?: object
  /** How many keys it holds at once. */
  records: number
  /** 32-bit words of a record that are its owner's; an even number. */
  payloadWords: number
}

export interface LruStats {
  records: number
  capacity: number
  /** Records that went for others. */
  evictions: number
}

/** Keys of different owners, or of one with other settings, are different keys. */
export type Space = readonly [seed0: number, seed1: number]

/*
 * Records of one size by key, in shards of their own guard, each with the order of use of its records:
 *
 *     shard:   header 64 bytes | heads of the chains | records
 *     record:  KEY_LOW | KEY_HIGH | USED | NEXT | NEWER | OLDER | payload
 *
 * Records are numbered from 1 in their shard, 0 is none. A key is known by 64 bits of a keyed hash, which nobody can
 * choose. USED decides: 0, the record is free; else it is in use, and the greater the later it was used. All that
 * joins records (chains, the free list, the order of use, the count) can be made from that, and is, when somebody died
 * between two stores.
 */
const ShardWord = { GUARD: 0, FREE: 1, TOUCHED: 2, NEWEST: 3, OLDEST: 4, COUNT: 5, CLOCK: 6, EVICTIONS: 7 } as const
const HEADER_WORDS = 16

const RecordWord = { KEY_LOW: 0, KEY_HIGH: 1, USED: 2, NEXT: 3, NEWER: 4, OLDER: 5 } as const
const RECORD_HEADER_WORDS = 6

/** What a worker notes of a key: its hash, and the payload that it had last. */
const NoteWord = { KEY_LOW: 0, KEY_HIGH: 1, PAYLOAD: 2 } as const
export const NOTE_WORDS = 3

/** So that a guard is seldom busy; fewer records than this are one shard, whose order of use is exact. */
const RECORDS_PER_SHARD = 4096
const MOST_SHARDS = 64
/** Hashes do not fill all shards alike: each has room for so many times the standard deviation more. */
const SPARE_DEVIATIONS = 4
/** How many of the least recently used are looked at for one that is spent. */
const LOOKED_AT = 8

interface Shape {
  shards: number
  perShard: number
  buckets: number
  recordWords: number
  shardWords: number
  /** How many others of its shard may have been used since a record was before it is worth a new place in the order of use. */
  idleTicks: number
}

/**
 * Every method but `space`, `isEmpty`, `sweep` and `stats` is for the time between `enter` and `leave`, which is a critical section:
 * bounded, no waiting, no call-back. What the owner writes to a payload has to make sense after every single store.
 */
export class LruRecords {
  readonly #region: Region
  readonly #i32: Int32Array
  readonly #guard: SharedMemory['guard']
  readonly #shape: Shape
  readonly #capacity: number
  readonly #first: number
  readonly #isSpent: (payload: number) => boolean
  readonly #evict: (payload: number) => void
  #shard = 0
  #low = 0
  #high = 0
  #notes: KeyNotes | undefined
  #note = -1

  /**
   * `isSpent` tells which records may go before any other, `evict` gives back what a record that goes refers to; both
   * run inside the guard, and `evict` may run again for the same record.
   * Throws FST_SWOOLE_SCHEMA_MISMATCH, _MEMORY_FULL.
   */
  constructor (memory: SharedMemory, { type, name, definition, records, payloadWords }: LruOptions, isSpent: (payload: number) => boolean = () => false, evict: (payload: number) => void = () => {}) {
    this.#region = memory.region
    this.#i32 = memory.region.i32
    this.#guard = memory.guard
    this.#capacity = records
    this.#shape = shapeOf(records, payloadWords)
    this.#isSpent = isSpent
    this.#evict = evict
    const bytes = this.#shape.shards * this.#shape.shardWords * 4
    this.#first = memory.open({ type, name, definition: { ...definition, records, payloadWords }, bytes }) / 4
  }

  /** The keys that a name has to itself. */
  space (name: string): Space {
    const [seed0, seed1] = this.#region.seed
    return [hashKey(name, seed0, seed1), otherHalf()]
  }

  /** Enters the guard of the key's shard. `notes`, of three words, are this space's: they save hashing and seeking keys that come often. */
  enter (space: Space, key: string, notes?: KeyNotes): void {
    this.#notes = notes
    this.#note = notes === undefined ? -1 : notes.find(key)
    if (this.#note === -1) {
      this.#low = hashKey(key, space[0], space[1])
      this.#high = otherHalf()
      if (notes !== undefined) this.#takeNote(notes, key)
    } else {
      this.#low = notes!.words[this.#note + NoteWord.KEY_LOW]!
      this.#high = notes!.words[this.#note + NoteWord.KEY_HIGH]!
    }
    this.#enterShard((this.#high >>> 16) & (this.#shape.shards - 1))
  }

  leave (): void {
    this.#guard.leave(this.#shard + ShardWord.GUARD)
  }

  /** The first word of the payload of the key that was entered; 0: there is none. */
  find (): number {
    if (this.#note === -1) return this.#walk()
    const { words } = this.#notes!
    const noted = words[this.#note + NoteWord.PAYLOAD]!
    if (noted !== 0 && this.#isSought(noted - RECORD_HEADER_WORDS) && this.#i32[noted - RECORD_HEADER_WORDS + RecordWord.USED] !== 0) return noted
    const found = this.#walk()
    words[this.#note + NoteWord.PAYLOAD] = found
    return found
  }

  #walk (): number {
    const i32 = this.#i32
    let number = i32[this.#bucket(this.#low)]!
    while (number !== 0) {
      const record = this.#recordOf(number)
      if (this.#isSought(record)) return record + RECORD_HEADER_WORDS
      number = i32[record + RecordWord.NEXT]!
    }
    return 0
  }

  #isSought (record: number): boolean {
    return this.#i32[record + RecordWord.KEY_LOW] === this.#low && this.#i32[record + RecordWord.KEY_HIGH] === this.#high
  }

  #takeNote (notes: KeyNotes, key: string): void {
    this.#note = notes.add(key)
    if (this.#note === -1) return
    notes.words[this.#note + NoteWord.KEY_LOW] = this.#low
    notes.words[this.#note + NoteWord.KEY_HIGH] = this.#high
    notes.words[this.#note + NoteWord.PAYLOAD] = 0
  }

  /** A zeroed payload for the key that was entered, which has none. Where no record is free, one that is spent goes, or the least recently used. */
  add (): number {
    const i32 = this.#i32
    if (this.#isFull()) this.#makeRoom()
    const number = this.#takeFree()
    const record = this.#recordOf(number)
    i32[record + RecordWord.KEY_LOW] = this.#low
    i32[record + RecordWord.KEY_HIGH] = this.#high
    for (let word = RECORD_HEADER_WORDS; word < this.#shape.recordWords; word++) i32[record + word] = 0
    i32[record + RecordWord.USED] = this.#tick()
    this.#chain(record, number)
    this.#makeNewest(record, number)
    i32[this.#shard + ShardWord.COUNT]!++
    return record + RECORD_HEADER_WORDS
  }

  /** Makes it the most recently used; where there are several shards, only once half a shard was used after it. */
  touch (payload: number): void {
    const record = payload - RECORD_HEADER_WORDS
    const age = (this.#i32[this.#shard + ShardWord.CLOCK]! - this.#i32[record + RecordWord.USED]!) >>> 0
    if (age <= this.#shape.idleTicks) return
    const number = this.#numberOf(record)
    this.#leaveOrder(record)
    this.#makeNewest(record, number)
    this.#i32[record + RecordWord.USED] = this.#tick()
  }

  remove (payload: number): void {
    const record = payload - RECORD_HEADER_WORDS
    const number = this.#numberOf(record)
    this.#i32[record + RecordWord.USED] = 0
    this.#unchain(record, number)
    this.#leaveOrder(record)
    this.#i32[record + RecordWord.NEXT] = this.#i32[this.#shard + ShardWord.FREE]!
    this.#i32[this.#shard + ShardWord.FREE] = number
    this.#i32[this.#shard + ShardWord.COUNT]!--
  }

  /** Shows every payload to `goes`, inside the guard, and removes those that it says go; one pass for each `slice` records. */
  * sweep (goes: (payload: number) => boolean, slice = 256): Generator<void> {
    for (let shard = 0; shard < this.#shape.shards; shard++) {
      for (let from = 1; from <= this.#shape.perShard; from += slice) {
        this.#enterShard(shard)
        const touched = this.#i32[this.#shard + ShardWord.TOUCHED]!
        for (let number = from; number < from + slice && number <= touched; number++) {
          const record = this.#recordOf(number)
          if (this.#i32[record + RecordWord.USED] !== 0 && goes(record + RECORD_HEADER_WORDS)) this.remove(record + RECORD_HEADER_WORDS)
        }
        this.leave()
        yield
        if (touched < from + slice) break
      }
    }
  }

  /** Whether there is none at the moment; asks without the guard. */
  isEmpty (): boolean {
    for (let shard = 0; shard < this.#shape.shards; shard++) {
      if (Atomics.load(this.#i32, this.#first + shard * this.#shape.shardWords + ShardWord.COUNT) !== 0) return false
    }
    return true
  }

  stats (): LruStats {
    const stats = { records: 0, capacity: this.#capacity, evictions: 0 }
    for (let shard = 0; shard < this.#shape.shards; shard++) {
      this.#enterShard(shard)
      stats.records += this.#i32[this.#shard + ShardWord.COUNT]!
      stats.evictions += this.#i32[this.#shard + ShardWord.EVICTIONS]! >>> 0
      this.leave()
    }
    return stats
  }

  #enterShard (shard: number): void {
    this.#shard = this.#first + shard * this.#shape.shardWords
    if (this.#guard.enter(this.#shard + ShardWord.GUARD)) this.#repair()
  }

  #isFull (): boolean {
    return this.#i32[this.#shard + ShardWord.FREE] === 0 && this.#i32[this.#shard + ShardWord.TOUCHED] === this.#shape.perShard
  }

  #makeRoom (): void {
    const i32 = this.#i32
    let number = i32[this.#shard + ShardWord.OLDEST]!
    let victim = number
    for (let looked = 0; looked < LOOKED_AT && number !== 0; looked++) {
      const record = this.#recordOf(number)
      if (this.#isSpent(record + RECORD_HEADER_WORDS)) {
        victim = number
        break
      }
      number = i32[record + RecordWord.NEWER]!
    }
    const payload = this.#recordOf(victim) + RECORD_HEADER_WORDS
    if (!this.#isSpent(payload)) i32[this.#shard + ShardWord.EVICTIONS]!++
    this.#evict(payload)
    this.remove(payload)
  }

  #takeFree (): number {
    const i32 = this.#i32
    const free = i32[this.#shard + ShardWord.FREE]!
    if (free === 0) return ++i32[this.#shard + ShardWord.TOUCHED]!
    i32[this.#shard + ShardWord.FREE] = i32[this.#recordOf(free) + RecordWord.NEXT]!
    return free
  }

  /** Never 0, also when it has come round. */
  #tick (): number {
    const clock = this.#i32[this.#shard + ShardWord.CLOCK]! + 1 | 0 || 1
    this.#i32[this.#shard + ShardWord.CLOCK] = clock
    return clock
  }

  #chain (record: number, number: number): void {
    const bucket = this.#bucket(this.#i32[record + RecordWord.KEY_LOW]!)
    this.#i32[record + RecordWord.NEXT] = this.#i32[bucket]!
    this.#i32[bucket] = number
  }

  #unchain (record: number, number: number): void {
    let link = this.#bucket(this.#i32[record + RecordWord.KEY_LOW]!)
    while (this.#i32[link] !== number) link = this.#recordOf(this.#i32[link]!) + RecordWord.NEXT
    this.#i32[link] = this.#i32[record + RecordWord.NEXT]!
  }

  #makeNewest (record: number, number: number): void {
    const i32 = this.#i32
    const newest = i32[this.#shard + ShardWord.NEWEST]!
    i32[record + RecordWord.NEWER] = 0
    i32[record + RecordWord.OLDER] = newest
    if (newest === 0) i32[this.#shard + ShardWord.OLDEST] = number
    else i32[this.#recordOf(newest) + RecordWord.NEWER] = number
    i32[this.#shard + ShardWord.NEWEST] = number
  }

  #leaveOrder (record: number): void {
    const i32 = this.#i32
    const newer = i32[record + RecordWord.NEWER]!
    const older = i32[record + RecordWord.OLDER]!
    i32[newer === 0 ? this.#shard + ShardWord.NEWEST : this.#recordOf(newer) + RecordWord.OLDER] = older
    i32[older === 0 ? this.#shard + ShardWord.OLDEST : this.#recordOf(older) + RecordWord.NEWER] = newer
  }

  /** Makes all that joins the records of the shard anew from their USED. */
  #repair (): void {
    const i32 = this.#i32
    const touched = i32[this.#shard + ShardWord.TOUCHED]!
    i32.fill(0, this.#shard + HEADER_WORDS, this.#shard + HEADER_WORDS + this.#shape.buckets)
    i32[this.#shard + ShardWord.FREE] = 0
    i32[this.#shard + ShardWord.NEWEST] = 0
    i32[this.#shard + ShardWord.OLDEST] = 0
    const used: number[] = []
    for (let number = touched; number >= 1; number--) {
      const record = this.#recordOf(number)
      if (i32[record + RecordWord.USED] !== 0) {
        used.push(number)
      } else {
        i32[record + RecordWord.NEXT] = i32[this.#shard + ShardWord.FREE]!
        i32[this.#shard + ShardWord.FREE] = number
      }
    }
    const clock = i32[this.#shard + ShardWord.CLOCK]!
    const age = (number: number) => (clock - i32[this.#recordOf(number) + RecordWord.USED]!) >>> 0
    for (const number of used.sort((a, b) => age(b) - age(a))) {
      const record = this.#recordOf(number)
      this.#chain(record, number)
      this.#makeNewest(record, number)
    }
    i32[this.#shard + ShardWord.COUNT] = used.length
  }

  #bucket (low: number): number {
    return this.#shard + HEADER_WORDS + (low & (this.#shape.buckets - 1))
  }

  #recordOf (number: number): number {
    return this.#shard + HEADER_WORDS + this.#shape.buckets + (number - 1) * this.#shape.recordWords
  }

  #numberOf (record: number): number {
    return (record - this.#shard - HEADER_WORDS - this.#shape.buckets) / this.#shape.recordWords + 1
  }
}

function shapeOf (records: number, payloadWords: number): Shape {
  const shards = Math.min(MOST_SHARDS, 2 ** Math.max(0, Math.floor(Math.log2(records / RECORDS_PER_SHARD))))
  const mean = records / shards
  const perShard = shards === 1 ? records : Math.ceil(mean + SPARE_DEVIATIONS * Math.sqrt(mean))
  const buckets = 2 ** Math.max(4, Math.ceil(Math.log2(perShard)))
  const recordWords = RECORD_HEADER_WORDS + payloadWords
  const refWords = REF_BYTES / 4
  return {
    shards,
    perShard,
    buckets,
    recordWords,
    shardWords: Math.ceil((HEADER_WORDS + buckets + perShard * recordWords) / refWords) * refWords,
    idleTicks: shards === 1 ? 0 : perShard >>> 1
  }
}
