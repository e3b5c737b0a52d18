import { hashKey, otherHalf, readKey } from '../keys.ts'
import { Header } from '../layout.ts'
import { fence } from '../ordered.ts'
import type { SharedMemory } from '../shared-memory.ts'
import { slotsUsed } from '../slots.ts'
import { Blocks } from './blocks.ts'
import { leastRecentlyUsed, s3Fifo } from './eviction.ts'
import type { Eviction } from './eviction.ts'
import { Arena, BLOCK_BYTES, BLOCK_WORDS, BODY_WORD, BlockWord, DIGEST, EntryDouble, EntryWord, HAND_WORDS, HandDouble, HeaderDouble, HeaderWord, KEY_WORD, MOST_TAGS, TAGS_PER_BLOCK, shapeOf, valueWord } from './layout.ts'
import { Queues } from './queues.ts'
import { Removal } from './removal.ts'
import { repair } from './repair.ts'
import { Scratch } from './scratch.ts'
import { Search } from './search.ts'
import { Tags, kindOf, metaOf } from './tags.ts'
import type { EntriesOptions, EntriesStats, EntrySpace, Found, Near, Writable, WriteOptions } from './types.ts'

const READS = 10
/** Entries that are removed, and blocks that are looked at, in one go when there are many. */
const SLICE = 64
const SLICE_BLOCKS = 512
const BODY_WORDS = BLOCK_WORDS - BODY_WORD

/**
 * Values of any size by key, in a bounded arena that all workers share. Readers wait for nobody: they copy, and look whether
 * the entry is still the same. Writers take blocks, write them while nobody sees them, and publish them in one store, so a worker
 * that dies leaves the old entry or the new one. A value has at most a quarter of the arena.
 */
export class SharedEntries {
  /** Of the last `read` that was true; its value is in `scratch`, from 0 on. After a `write` its `version` is that of what was written. */
  readonly found: Found = { block: 0, generation: 0, isNear: false, kind: 0, bytes: 0, version: 0, expiresMs: 0, staleMs: 0, createdMs: 0, computeMs: 0 }
  /** Entries that the last `write` of this process pushed out before they had expired. */
  evicted = 0
  readonly maxBytes: number
  readonly #memory: SharedMemory
  readonly #i32: Int32Array
  readonly #f64: Float64Array
  readonly #arena: Arena
  readonly #blocks: Blocks
  readonly #queues: Queues
  readonly #tags: Tags
  readonly #search: Search
  readonly #removal: Removal
  readonly #eviction: Eviction
  readonly #guard: number
  readonly #hand: number
  readonly #scratch = new Scratch()
  readonly #mostBlocks: number
  #deaths = -1

  /** Throws FST_SWOOLE_MEMORY_FULL. `bytes` must be at least 256 KiB. */
  constructor (memory: SharedMemory, { type, name, bytes, eviction }: EntriesOptions) {
    const shape = shapeOf(bytes)
    const initialise = (payload: number) => { memory.region.i32[payload / 4 + HeaderWord.FREE_BLOCKS] = shape.blocks }
    const first = memory.open({ type, name, definition: { bytes, eviction }, bytes: shape.words * 4, initialise }) / 4
    this.#memory = memory
    this.#i32 = memory.region.i32
    this.#f64 = memory.region.f64
    this.#arena = new Arena(memory.region, shape, first)
    this.#guard = first + HeaderWord.GUARD
    this.#blocks = new Blocks(this.#arena, memory.slot)
    this.#queues = new Queues(this.#arena)
    this.#tags = new Tags(this.#arena, this.space('tags').seeds)
    this.#search = new Search(this.#arena)
    this.#removal = new Removal(this.#arena, this.#blocks, this.#queues, this.#tags)
    this.#eviction = (eviction === 'lru' ? leastRecentlyUsed : s3Fifo)(this.#arena, this.#queues)
    this.#hand = (first + shape.handsAt + memory.slot.index * HAND_WORDS) / 2
    this.maxBytes = Math.floor(bytes / 4)
    this.#mostBlocks = 1 + Math.ceil(this.maxBytes / (BODY_WORDS * 4)) + Math.ceil(MOST_TAGS / TAGS_PER_BLOCK)
    this.#enter()
    this.#blocks.claim()
    this.#leave()
  }

  /** The keys that a name has to itself. */
  space (name: string): EntrySpace {
    const [seed0, seed1] = this.#memory.region.seed
    const low = hashKey(name, seed0, seed1)
    return { id: low ^ otherHalf(), seeds: [low, otherHalf()] }
  }

  get scratch (): Scratch {
    return this.#scratch
  }

  /**
   * Copies the entry's value to `scratch`, unless `near` has it, and tells of it in `found`. False: there is none, or it is past its
   * time, the stale one too.
   */
  read (space: EntrySpace, key: string, nowMs: number, near?: Near): boolean {
    const isFound = this.look(space, key, nowMs, near)
    this.#f64[this.#hand + (isFound ? HandDouble.HITS : HandDouble.MISSES)]!++
    return isFound
  }

  /** The same, and counts neither as a hit nor as a miss. */
  look (space: EntrySpace, key: string, nowMs: number, near?: Near): boolean {
    this.#search.seek(space, key)
    for (let n = 0; n < READS; n++) {
      const block = this.#find()
      if (block === 0) return false
      const isFresh = this.#copy(block, nowMs, near)
      if (isFresh === undefined) continue
      if (isFresh) this.#eviction.read(this.#arena.wordOf(block))
      return isFresh
    }
    // It is written faster than it can be read.
    this.#enter()
    const block = this.#search.walk()
    const isFresh = block !== 0 && this.#copy(block, nowMs) === true
    this.#leave()
    return isFresh
  }

  /** Whether `read` would find it, and not stale. */
  has (space: EntrySpace, key: string, nowMs: number): boolean {
    this.#search.seek(space, key)
    for (;;) {
      const block = this.#find()
      if (block === 0) return false
      const entry = this.#arena.wordOf(block)
      const isFresh = this.#f64[entry / 2 + EntryDouble.EXPIRES]! > nowMs
      fence()
      if (Atomics.load(this.#i32, entry + BlockWord.GEN) === this.#search.generation) return isFresh
    }
  }

  /**
   * Writes an entry in the place of the one that had the key; where no room is left, others go. 'too large': it would take
   * more than a quarter of the arena, or others have all of it in their hands. 'conflict': `ifVersion`, `unlessOther`, `isWanted` or `sinceEpoch` said no.
   */
  write (space: EntrySpace, key: string, value: Writable, options: WriteOptions): 'written' | 'too large' | 'conflict' {
    const { nowMs, expiresMs, staleMs = expiresMs, computeMs = 0, tags = NO_TAGS, ifVersion, unlessOther, isWanted, sinceEpoch } = options
    this.#search.seek(space, key)
    const start = valueWord(this.#search.shape)
    const words = Math.ceil(value.bytes / 4)
    const valueBlocks = 1 + Math.max(0, Math.ceil((words - (BLOCK_WORDS - start)) / BODY_WORDS))
    const count = valueBlocks + Math.ceil(tags.length / TAGS_PER_BLOCK)
    if (value.bytes > this.maxBytes || count > this.#mostBlocks) return 'too large'
    const from = this.#scratch.reserve(value.bytes)
    value.write(from, 0)

    this.evicted = 0
    const first = this.#blocks.kept(count) || this.#take(count, nowMs, ifVersion !== undefined)
    if (first === 0) return 'too large'
    const i32 = this.#i32
    const entry = this.#arena.wordOf(first)
    const double = entry / 2
    this.#search.writeTo(entry)
    this.#f64[double + EntryDouble.EXPIRES] = expiresMs
    this.#f64[double + EntryDouble.STALE] = Math.max(expiresMs, staleMs)
    this.#f64[double + EntryDouble.CREATED] = nowMs
    i32[entry + EntryWord.BYTES] = value.bytes
    i32[entry + EntryWord.META] = metaOf(value.kind, tags.length)
    i32[entry + EntryWord.COMPUTE_MS] = computeMs
    i32[entry + EntryWord.BLOCKS] = count
    const last = this.#blocks.copyIn(from.i32, words, first, start)
    i32[entry + EntryWord.LAST] = tags.length === 0 ? last : this.#tags.write(tags, first, last)

    this.#enter()
    this.#removal.sweepOn(nowMs)
    const old = this.#search.walk()
    const isRefused = (ifVersion !== undefined && ifVersion !== this.#versionOf(old, nowMs)) ||
      (unlessOther !== undefined && ![0, unlessOther].includes(this.#versionOf(old, nowMs))) || isWanted?.() === false ||
      (sinceEpoch !== undefined && this.#tags.invalidatedSince(sinceEpoch, entry))
    if (isRefused) this.#blocks.giveBack()
    else this.#publish(first, old)
    this.#leave()
    return isRefused ? 'conflict' : 'written'
  }

  /** Gives it a new time to expire, and makes it the one used last. False: there is none. */
  touch (space: EntrySpace, key: string, nowMs: number, expiresMs: number): boolean {
    this.#search.seek(space, key)
    this.#enter()
    const block = this.#search.walk()
    const double = this.#arena.wordOf(block) / 2
    const isThere = block !== 0 && this.#f64[double + EntryDouble.EXPIRES]! > nowMs
    if (isThere) {
      this.#f64[double + EntryDouble.STALE] = expiresMs
      this.#f64[double + EntryDouble.EXPIRES] = expiresMs
      this.#eviction.touch(block)
    }
    this.#leave()
    return isThere
  }

  /** True: there was one. With `version`, only that one goes. */
  remove (space: EntrySpace, key: string, nowMs: number, version?: number): boolean {
    this.#search.seek(space, key)
    this.#enter()
    const block = this.#search.walk()
    const goes = block !== 0 && (version === undefined || this.#i32[this.#arena.wordOf(block) + EntryWord.VERSION] === version)
    const wasThere = goes && this.#f64[this.#arena.wordOf(block) / 2 + EntryDouble.EXPIRES]! > nowMs
    if (goes) this.#removal.remove(block)
    this.#leave()
    return wasThere
  }

  /** The same for one whose value cannot be read. */
  removeCorrupt (space: EntrySpace, key: string, version: number): void {
    this.#search.seek(space, key)
    this.#enter()
    const block = this.#search.walk()
    if (block !== 0 && this.#i32[this.#arena.wordOf(block) + EntryWord.VERSION] === version) {
      this.#removal.remove(block)
      this.#arena.count(HeaderDouble.CORRUPT)
    }
    this.#leave()
  }

  /** The time of invalidations, for `sinceEpoch`. */
  epoch (): number {
    return this.#tags.epoch()
  }

  /** Until when, in invalidations, something with these tags is not out of date that was made since then: that time, or now. */
  validUntil (sinceEpoch: number, tags: readonly string[]): number {
    this.#enter()
    const epoch = this.#tags.anyInvalidatedSince(sinceEpoch, tags) ? sinceEpoch : this.#tags.epoch()
    this.#leave()
    return epoch
  }

  /** Removes the entries that have the tag; one pass for each slice of them. Their number is the sum of what it yields. */
  * invalidate (tag: string, nowMs: number): Generator<number> {
    for (let isFirst = true; ; isFirst = false) {
      this.#enter()
      if (isFirst) this.#tags.invalidate(tag)
      let removed = 0
      let looked = 0
      for (; looked < SLICE; looked++) {
        const block = this.#tags.find(tag)
        if (block === 0) break
        if (this.#f64[this.#arena.wordOf(block) / 2 + EntryDouble.EXPIRES]! > nowMs) removed++
        this.#removal.remove(block)
      }
      this.#leave()
      yield removed
      if (looked < SLICE) return
    }
  }

  /** Removes the entries of the spaces whose keys begin so; one pass for each slice of blocks. */
  * clear (spaces: readonly EntrySpace[], prefix = ''): Generator<number> {
    this.#enter()
    this.#tags.invalidateAll()
    this.#leave()
    const ids = new Set(spaces.map(({ id }) => id))
    yield * this.#removeWhere((entry) => ids.has(this.#i32[entry + EntryWord.SPACE]!) && (prefix === '' || this.#keyOf(entry).startsWith(prefix)))
  }

  /** Removes the entries that have expired; one pass for each slice of blocks. Writes do so in passing. */
  * sweep (nowMs: number): Generator<number> {
    yield * this.#removeWhere((entry) => {
      const goes = this.#f64[entry / 2 + EntryDouble.STALE]! <= nowMs
      if (goes) this.#arena.count(HeaderDouble.EXPIRATIONS)
      return goes
    })
  }

  stats (): EntriesStats {
    const { first, shape } = this.#arena
    this.#enter()
    const double = (field: number) => this.#f64[first / 2 + field]!
    const stats = {
      entries: this.#i32[first + HeaderWord.ENTRIES]!,
      bytes: (shape.blocks - this.#blocks.free - this.#blocks.keptByAll()) * BLOCK_BYTES,
      capacity: shape.blocks * BLOCK_BYTES,
      hits: 0,
      misses: 0,
      evictions: double(HeaderDouble.EVICTIONS),
      expirations: double(HeaderDouble.EXPIRATIONS),
      corrupt: double(HeaderDouble.CORRUPT)
    }
    this.#leave()
    for (let index = 0; index < slotsUsed(this.#memory.region); index++) {
      const hand = (first + shape.handsAt + index * HAND_WORDS) / 2
      stats.hits += this.#f64[hand + HandDouble.HITS]!
      stats.misses += this.#f64[hand + HandDouble.MISSES]!
    }
    return stats
  }

  /** The block of the entry that was sought, 0 for none; before, without the guard. */
  #find (): number {
    const found = this.#search.find()
    if (found !== undefined) return found
    this.#enter()
    const block = this.#search.walk()
    this.#leave()
    return block
  }

  /** Copies what was found. Undefined: it is another by now; false: it is past its time. */
  #copy (block: number, nowMs: number, near?: Near): boolean | undefined {
    const { found } = this
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const double = entry / 2
    const { generation } = this.#search
    found.block = block
    found.generation = generation
    found.kind = kindOf(i32[entry + EntryWord.META]!)
    found.bytes = i32[entry + EntryWord.BYTES]!
    found.version = i32[entry + EntryWord.VERSION]!
    found.computeMs = i32[entry + EntryWord.COMPUTE_MS]!
    found.expiresMs = this.#f64[double + EntryDouble.EXPIRES]!
    found.staleMs = this.#f64[double + EntryDouble.STALE]!
    found.createdMs = this.#f64[double + EntryDouble.CREATED]!
    if (found.bytes < 0 || found.bytes > this.maxBytes) return undefined
    found.isNear = near !== undefined && near.has(block, generation)
    if (found.staleMs > nowMs && !found.isNear) {
      const to = this.#scratch.reserve(found.bytes)
      if (!this.#blocks.copyOut(to.i32, found.bytes + 3 >>> 2, block, valueWord(this.#search.shape))) return undefined
    }
    fence()
    if (Atomics.load(i32, entry + BlockWord.GEN) !== generation) return undefined
    return found.staleMs > nowMs
  }

  /** So many blocks in this worker's hand; 0: there are none to be had. */
  #take (count: number, nowMs: number, isUpdate: boolean): number {
    this.#enter()
    if (isUpdate) this.#spare()
    this.#blocks.giveBack()
    for (let removed = 1; this.#blocks.free < count; removed++) {
      const victim = this.#eviction.victim()
      if (victim === 0) break
      if (!this.#removal.removeExpired(victim, nowMs)) {
        this.#arena.count(HeaderDouble.EVICTIONS)
        this.evicted++
        this.#removal.remove(victim)
      }
      // For a large value many go: others have their turn in between.
      if (removed % SLICE === 0) {
        this.#leave()
        this.#enter()
      }
    }
    const first = this.#blocks.free < count ? 0 : this.#blocks.take(count)
    this.#leave()
    return first
  }

  /** Else the entry that is to be updated could go to make room for itself, and nobody would know that it had been there. */
  #spare (): void {
    const block = this.#search.walk()
    if (block !== 0) this.#eviction.touch(block)
  }

  #publish (block: number, old: number): void {
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const clock = this.#arena.tick()
    i32[entry + EntryWord.SEQUENCE] = clock
    i32[entry + EntryWord.VERSION] = clock
    i32[entry + BlockWord.QUEUE] = this.#eviction.admit(block, old)
    const bucket = this.#arena.bucket(i32[entry + EntryWord.KEY_LOW]!)
    i32[entry + EntryWord.CHAIN] = i32[bucket]!
    Atomics.store(i32, entry + BlockWord.GEN, i32[entry + BlockWord.GEN]! + 1)
    Atomics.store(i32, bucket, block)
    this.#blocks.letGo()
    this.#queues.add(block)
    this.#tags.link(entry)
    i32[this.#arena.first + HeaderWord.ENTRIES]!++
    this.found.version = clock
    if (old !== 0) this.#removal.remove(old, true)
  }

  * #removeWhere (goes: (entry: number) => boolean): Generator<number> {
    const touched = this.#arena.first + HeaderWord.TOUCHED
    for (let from = 1; from <= Atomics.load(this.#i32, touched); from += SLICE_BLOCKS) {
      let removed = 0
      this.#enter()
      for (let block = from; block < from + SLICE_BLOCKS && block <= this.#i32[touched]!; block++) {
        if (!this.#arena.isEntry(block) || !goes(this.#arena.wordOf(block))) continue
        this.#removal.remove(block)
        removed++
      }
      this.#leave()
      yield removed
    }
  }

  #versionOf (block: number, nowMs: number): number {
    if (block === 0) return 0
    const entry = this.#arena.wordOf(block)
    return this.#f64[entry / 2 + EntryDouble.EXPIRES]! > nowMs ? this.#i32[entry + EntryWord.VERSION]! : 0
  }

  #keyOf (entry: number): string {
    return readKey(this.#memory.region.buffer, (entry + KEY_WORD) * 4, this.#i32[entry + EntryWord.KEY]! & (DIGEST - 1))
  }

  #enter (): void {
    if (this.#memory.guard.enter(this.#guard)) repair(this.#arena, this.#blocks, this.#queues, this.#tags)
    const deaths = Atomics.load(this.#i32, Header.DEATHS)
    if (deaths === this.#deaths) return
    this.#deaths = deaths
    this.#blocks.recover()
  }

  #leave (): void {
    this.#memory.guard.leaveSeen(this.#guard)
  }
}

const NO_TAGS: readonly string[] = []
