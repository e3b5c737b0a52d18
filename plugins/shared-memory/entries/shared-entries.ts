import { otherHalf, hashKey, hashedShape, isKey, readKey, writeKey } from '../keys.ts'
import { Header } from '../layout.ts'
import { fence, loadAcquire } from '../ordered.ts'
import type { SharedMemory } from '../shared-memory.ts'
import { slotsUsed } from '../slots.ts'
import { Blocks } from './blocks.ts'
import { leastRecentlyUsed, s3Fifo } from './eviction.ts'
import type { Eviction } from './eviction.ts'
import { shortened } from './keys.ts'
import { Arena, BLOCK_BYTES, BLOCK_WORDS, BODY_WORD, BlockWord, DIGEST, EntryDouble, EntryWord, HAND_WORDS, HandDouble, HeaderDouble, HeaderWord, KEY_WORD, MOST_KEY_BYTES, MOST_TAGS, TAGS_PER_BLOCK, shapeOf, valueWord } from './layout.ts'
import { Queues } from './queues.ts'
import { bucketOf, repair } from './repair.ts'
import { Scratch } from './scratch.ts'
import { Tags, kindOf, metaOf } from './tags.ts'
import type { EntriesOptions, EntriesStats, EntrySpace, Found, Near, Writable, WriteOptions } from './types.ts'

const LONGEST_WALK = 1000
const WALKS = 3
const READS = 10
/** Blocks that each write looks at for an entry that has expired: so they go before they are in anybody's way. */
const SWEPT_BLOCKS = 8
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
  readonly #eviction: Eviction
  readonly #guard: number
  readonly #hand: number
  readonly #scratch = new Scratch()
  readonly #mostBlocks: number
  #deaths = -1
  // What `#seek` looks for.
  #key: string | undefined
  #spaceId = 0
  #low = 0
  #high = 0
  #text = ''
  #shape = 0
  /** Of the entry that was found. */
  #generation = 0

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
    this.#seek(space, key)
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
    const block = this.#walk()
    const isFresh = block !== 0 && this.#copy(block, nowMs) === true
    this.#leave()
    return isFresh
  }

  /** Whether `read` would find it, and not stale. */
  has (space: EntrySpace, key: string, nowMs: number): boolean {
    this.#seek(space, key)
    for (;;) {
      const block = this.#find()
      if (block === 0) return false
      const entry = this.#arena.wordOf(block)
      const isFresh = this.#f64[entry / 2 + EntryDouble.EXPIRES]! > nowMs
      fence()
      if (Atomics.load(this.#i32, entry + BlockWord.GEN) === this.#generation) return isFresh
    }
  }

  /**
   * Writes an entry in the place of the one that had the key; where no room is left, others go. 'too large': it would take
   * more than a quarter of the arena, or others have all of it in their hands. 'conflict': `ifVersion`, `isWanted` or `sinceEpoch` said no.
   */
  write (space: EntrySpace, key: string, value: Writable, options: WriteOptions): 'written' | 'too large' | 'conflict' {
    const { nowMs, expiresMs, staleMs = expiresMs, computeMs = 0, tags = NO_TAGS, ifVersion, isWanted, sinceEpoch } = options
    this.#seek(space, key)
    const start = valueWord(this.#shape)
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
    i32[entry + EntryWord.KEY_LOW] = this.#low
    i32[entry + EntryWord.KEY_HIGH] = this.#high
    i32[entry + EntryWord.SPACE] = this.#spaceId
    i32[entry + EntryWord.KEY] = this.#shape
    this.#f64[double + EntryDouble.EXPIRES] = expiresMs
    this.#f64[double + EntryDouble.STALE] = Math.max(expiresMs, staleMs)
    this.#f64[double + EntryDouble.CREATED] = nowMs
    i32[entry + EntryWord.BYTES] = value.bytes
    i32[entry + EntryWord.META] = metaOf(value.kind, tags.length)
    i32[entry + EntryWord.COMPUTE_MS] = computeMs
    i32[entry + EntryWord.BLOCKS] = count
    writeKey(this.#memory.region.buffer, (entry + KEY_WORD) * 4, this.#shape & (DIGEST - 1), this.#text)
    const last = this.#blocks.copyIn(from.i32, words, first, start)
    i32[entry + EntryWord.LAST] = tags.length === 0 ? last : this.#tags.write(tags, first, last)

    this.#enter()
    this.#sweepOn(nowMs)
    const old = this.#walk()
    const isRefused = (ifVersion !== undefined && ifVersion !== this.#versionOf(old, nowMs)) || isWanted?.() === false ||
      (sinceEpoch !== undefined && this.#tags.invalidatedSince(sinceEpoch, entry))
    if (isRefused) this.#blocks.giveBack()
    else this.#publish(first, old)
    this.#leave()
    return isRefused ? 'conflict' : 'written'
  }

  /** Gives it a new time to expire, and makes it the one used last. False: there is none. */
  touch (space: EntrySpace, key: string, nowMs: number, expiresMs: number): boolean {
    this.#seek(space, key)
    this.#enter()
    const block = this.#walk()
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
    this.#seek(space, key)
    this.#enter()
    const block = this.#walk()
    const goes = block !== 0 && (version === undefined || this.#i32[this.#arena.wordOf(block) + EntryWord.VERSION] === version)
    const wasThere = goes && this.#f64[this.#arena.wordOf(block) / 2 + EntryDouble.EXPIRES]! > nowMs
    if (goes) this.#remove(block)
    this.#leave()
    return wasThere
  }

  /** The same for one whose value cannot be read. */
  removeCorrupt (space: EntrySpace, key: string, version: number): void {
    this.#seek(space, key)
    this.#enter()
    const block = this.#walk()
    if (block !== 0 && this.#i32[this.#arena.wordOf(block) + EntryWord.VERSION] === version) {
      this.#remove(block)
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
        this.#remove(block)
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

  #seek (space: EntrySpace, key: string): void {
    // What is read is often written next, or looked for again.
    if (key === this.#key && space.id === this.#spaceId) return
    // An exception, such as a full stack, must not leave it with another key's hash.
    this.#key = undefined
    // Whatever its characters are, a key that is longer has no room.
    const isTooLong = key.length > MOST_KEY_BYTES || !this.#hash(space, key)
    if (isTooLong) {
      this.#hash(space, shortened(key))
      this.#shape += DIGEST
    }
    this.#spaceId = space.id
    this.#key = key
  }

  /** False: the text is too long for a block. */
  #hash ({ seeds: [seed0, seed1] }: EntrySpace, text: string): boolean {
    this.#text = text
    this.#low = hashKey(text, seed0, seed1)
    this.#high = otherHalf()
    this.#shape = hashedShape()
    return this.#shape >>> 1 <= MOST_KEY_BYTES
  }

  /** The block of the entry that was sought, without the guard; 0: there is none. */
  #find (): number {
    // Most are found at once, and need not ask for the header, which each writer takes away from all others' caches; a miss walks twice for it.
    const found = this.#walk()
    if (found !== 0) return found
    const unlinks = this.#arena.first + HeaderWord.UNLINKS
    for (let walk = 0; walk < WALKS; walk++) {
      const before = loadAcquire(this.#i32, unlinks)
      const block = this.#walk()
      if (block !== 0) return block
      // A miss is right only if no entry was taken out of a chain meanwhile.
      fence()
      if ((before & 1) === 0 && Atomics.load(this.#i32, unlinks) === before) return 0
    }
    this.#enter()
    const block = this.#walk()
    this.#leave()
    return block
  }

  /** The same; without the guard it may be another by the time it is read, which its GEN tells. */
  #walk (): number {
    const i32 = this.#i32
    let block = loadAcquire(i32, this.#bucket())
    for (let step = 0; step < LONGEST_WALK && this.#arena.isBlock(block); step++) {
      const entry = this.#arena.wordOf(block)
      if (i32[entry + EntryWord.KEY_LOW] === this.#low && i32[entry + EntryWord.KEY_HIGH] === this.#high) {
        const generation = loadAcquire(i32, entry + BlockWord.GEN)
        if ((generation & 1) === 1 && this.#isSought(entry)) {
          this.#generation = generation
          return block
        }
      }
      block = i32[entry + EntryWord.CHAIN]!
    }
    return 0
  }

  #isSought (entry: number): boolean {
    return this.#i32[entry + EntryWord.SPACE] === this.#spaceId && this.#i32[entry + EntryWord.KEY] === this.#shape &&
      isKey(this.#memory.region.u8, (entry + KEY_WORD) * 4, this.#shape & (DIGEST - 1), this.#text)
  }

  /** Copies what was found. Undefined: it is another by now; false: it is past its time. */
  #copy (block: number, nowMs: number, near?: Near): boolean | undefined {
    const { found } = this
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const double = entry / 2
    const generation = this.#generation
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
      if (!this.#blocks.copyOut(to.i32, found.bytes + 3 >>> 2, block, valueWord(this.#shape))) return undefined
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
      if (!this.#removeExpired(victim, nowMs)) {
        this.#arena.count(HeaderDouble.EVICTIONS)
        this.evicted++
        this.#remove(victim)
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
    const block = this.#walk()
    if (block !== 0) this.#eviction.touch(block)
  }

  #sweepOn (nowMs: number): void {
    const cursor = this.#arena.first + HeaderWord.SWEEP
    const touched = this.#i32[this.#arena.first + HeaderWord.TOUCHED]!
    for (let n = 0; n < SWEPT_BLOCKS && n < touched; n++) {
      const block = this.#i32[cursor]! % touched + 1
      this.#i32[cursor] = block
      if (this.#isEntry(block)) this.#removeExpired(block, nowMs)
    }
  }

  #removeExpired (block: number, nowMs: number): boolean {
    if (this.#f64[this.#arena.wordOf(block) / 2 + EntryDouble.STALE]! > nowMs) return false
    this.#arena.count(HeaderDouble.EXPIRATIONS)
    this.#remove(block)
    return true
  }

  #publish (block: number, old: number): void {
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const clock = this.#arena.tick()
    i32[entry + EntryWord.SEQUENCE] = clock
    i32[entry + EntryWord.VERSION] = clock
    i32[entry + BlockWord.QUEUE] = this.#eviction.admit(block, old)
    const bucket = bucketOf(this.#arena, entry)
    i32[entry + EntryWord.CHAIN] = i32[bucket]!
    Atomics.store(i32, entry + BlockWord.GEN, i32[entry + BlockWord.GEN]! + 1)
    Atomics.store(i32, bucket, block)
    this.#blocks.letGo()
    this.#queues.add(block)
    this.#tags.link(entry)
    i32[this.#arena.first + HeaderWord.ENTRIES]!++
    this.found.version = clock
    if (old !== 0) this.#remove(old, true)
  }

  /** `isReplaced`: by what this worker writes, which will have use for the blocks. */
  #remove (block: number, isReplaced = false): void {
    const i32 = this.#i32
    const entry = this.#arena.wordOf(block)
    const unlinks = this.#arena.first + HeaderWord.UNLINKS
    // First of all: a reader that meets an entry which has ended must look again.
    Atomics.store(i32, unlinks, i32[unlinks]! + 1)
    Atomics.store(i32, entry + BlockWord.GEN, i32[entry + BlockWord.GEN]! + 1)
    this.#unchain(entry, block)
    Atomics.store(i32, unlinks, i32[unlinks]! + 1)
    this.#queues.remove(block)
    this.#tags.unlink(entry)
    i32[this.#arena.first + HeaderWord.ENTRIES]!--
    const [last, count] = [i32[entry + EntryWord.LAST]!, i32[entry + EntryWord.BLOCKS]!]
    if (!isReplaced || !this.#blocks.keep(block, last, count)) this.#blocks.give(block, last, count)
  }

  #unchain (entry: number, block: number): void {
    const i32 = this.#i32
    let link = bucketOf(this.#arena, entry)
    for (let left = this.#arena.shape.blocks; i32[link] !== block; left--) {
      // In a damaged file a chain may lead anywhere.
      if (left === 0 || !this.#arena.isBlock(i32[link]!)) return
      link = this.#arena.wordOf(i32[link]!) + EntryWord.CHAIN
    }
    i32[link] = i32[entry + EntryWord.CHAIN]!
  }

  * #removeWhere (goes: (entry: number) => boolean): Generator<number> {
    const touched = this.#arena.first + HeaderWord.TOUCHED
    for (let from = 1; from <= Atomics.load(this.#i32, touched); from += SLICE_BLOCKS) {
      let removed = 0
      this.#enter()
      for (let block = from; block < from + SLICE_BLOCKS && block <= this.#i32[touched]!; block++) {
        if (!this.#isEntry(block) || !goes(this.#arena.wordOf(block))) continue
        this.#remove(block)
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

  #isEntry (block: number): boolean {
    return (this.#i32[this.#arena.wordOf(block) + BlockWord.GEN]! & 1) === 1
  }

  #bucket (): number {
    return this.#arena.first + this.#arena.shape.bucketsAt + (this.#low & (this.#arena.shape.buckets - 1))
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
