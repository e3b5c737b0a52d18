import { MemoryFullError } from '../errors.ts'
import { BLOCKS_PER_CHUNK, CHUNK_BYTES, CHUNK_RECORD_WORDS, INTENTS, REF_BYTES, SLOTS } from './layout.ts'
import type { Region } from './region.ts'
import { intentWord } from './slots.ts'
import type { SlotIdentity } from './slots.ts'

/** A byte offset divided by 64; 0 is none. */
export type Ref = number

/*
 * The allocator. A chunk of 64 KiB is free, or a slab of equal blocks, or part of a run of chunks that is one large
 * block. The state of each block is one word outside the block:
 *
 *          allocate           publish                    retract
 *     FREE ────────▶ in hand ────────▶ published at the ────────▶ in hand again
 *       ▲             of tag             word `holder`               of tag
 *       └────────────── free ◀──────────────────────────────────────────┘
 *
 * A worker writes which state word it is about to take into an intent of its slot, and only then takes it. Before it
 * publishes, it adds which word will refer to the block. So recovery looks at eight intents and not at the memory: a
 * block in a dead worker's hands is published if that word refers to it already, and free if not. There is no
 * instruction at which a block could leak or be freed while something refers to it. That the state names its holder
 * keeps a late worker from taking a block that has been freed and published elsewhere meanwhile.
 */
const FREE = 0
/** A slab of size class c has the state SLAB + c. */
const SLAB = 2
/** Added to a tag: the block was published before this worker took it in hand. */
const RETRACTED = 2 ** 30
/** At or above this, below 0: published at the word -2 × state. Below it: the body of a run, -(2^30) - 1 - head. */
const PUBLISHED_LEAST = -(2 ** 30)

const publishedAt = (holder: number) => -(holder / 2)
const bodyOf = (head: number) => PUBLISHED_LEAST - 1 - head

const RECORD_STATE = 0
/** Chunks of a run, written by who holds its head. */
const RECORD_RUN = 1
/** 1: this slab was seen full. Only a hint: a freed block sets it to 0. */
const RECORD_FULL = 2
/**
 * The state that the chunk has as a slab, or had when it was one. It changes only while no block is taken, so who has a
 * block can rely on it even while somebody holds the chunk to see whether it is empty.
 */
const RECORD_SLAB = 3

/** Block sizes of slabs, in bytes: four steps a doubling at most, so that a quarter is wasted at worst. */
const CLASSES = [64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 5440, 8192, 10880, 16384, 21824, 32768]
const LARGEST_BLOCK = CLASSES.at(-1)!
const CLASS_OF_REFS = Uint8Array.from({ length: LARGEST_BLOCK / REF_BYTES + 1 },
  (_, refs) => CLASSES.findIndex((size) => size >= refs * REF_BYTES))

export class Allocator {
  #region: Region
  #words: Int32Array
  #slot: SlotIdentity
  #firstRecord: number
  #firstState: number
  #cursors = CLASSES.map(() => ({ chunk: -1, block: 0 }))

  constructor (region: Region, slot: SlotIdentity) {
    this.#region = region
    this.#words = region.i32
    this.#slot = slot
    this.#firstRecord = region.sections.chunkRecords / 4
    this.#firstState = region.sections.blockStates / 4
  }

  /**
   * A zeroed block of at least `bytes` bytes, 64-byte aligned, in this worker's hands until `publish` or `free`.
   * Throws FST_SWOOLE_MEMORY_FULL.
   */
  allocate (bytes: number): Ref {
    const intent = this.#takeIntent()
    const ref = bytes <= LARGEST_BLOCK ? this.#takeBlock(CLASS_OF_REFS[Math.ceil(bytes / REF_BYTES)] ?? 0, intent) : this.#takeRun(bytes, intent)
    if (ref === 0) {
      this.#dropIntent(intent)
      throw new MemoryFullError(bytes, this.#region.bytes)
    }
    this.#region.u8.fill(0, ref * REF_BYTES, ref * REF_BYTES + this.sizeOf(ref))
    return ref
  }

  /**
   * Makes the word `holder`, which must be 0 and have an even index, refer to the block.
   * False: it refers to something else, and the block is still in this worker's hands.
   */
  publish (ref: Ref, holder: number): boolean {
    const state = this.#stateWord(ref)
    const intent = this.#intentOf(state)
    Atomics.store(this.#words, intent + 1, holder)
    if (Atomics.compareExchange(this.#words, holder, 0, ref) !== 0) {
      Atomics.store(this.#words, intent + 1, 0)
      return false
    }
    Atomics.store(this.#words, state, publishedAt(holder))
    this.#dropIntent(intent)
    return true
  }

  /**
   * Takes the block away from the word `holder` and into this worker's hands. False: `holder` refers to something
   * else, or another worker is publishing or retracting the block at this moment.
   */
  retract (ref: Ref, holder: number): boolean {
    const state = this.#stateWord(ref)
    const intent = this.#takeIntent()
    Atomics.store(this.#words, intent + 1, holder)
    if (this.#take(state, intent, publishedAt(holder), this.#slot.tag + RETRACTED)) {
      if (this.#refOfState(state) === ref) {
        Atomics.compareExchange(this.#words, holder, ref, 0)
        Atomics.store(this.#words, intent + 1, 0)
        return true
      }
      // The chunk was divided anew since the caller read `ref`: this is another block of the same holder.
      Atomics.store(this.#words, state, publishedAt(holder))
    }
    this.#dropIntent(intent)
    return false
  }

  /** Gives back a block that is in this worker's hands. */
  free (ref: Ref): void {
    const state = this.#stateWord(ref)
    const intent = this.#intentOf(state)
    this.#release(state)
    this.#dropIntent(intent)
  }

  /** How many bytes the block really has. */
  sizeOf (ref: Ref): number {
    const chunk = this.#chunkOf(ref)
    const length = Atomics.load(this.#words, this.#record(chunk, RECORD_RUN))
    return length === 0 ? this.#blockSize(chunk) : length * CHUNK_BYTES
  }

  /**
   * Settles what the dead worker of `slotIndex` had in its hands. Any worker may do it, several may at once, and late:
   * the intents stay as they are until the slot is claimed again, and what lies in other hands is left alone.
   */
  recover (slotIndex: number, deadTag: number): void {
    for (let n = 0; n < INTENTS; n++) {
      const dead = intentWord(slotIndex, n)
      const state = Atomics.load(this.#words, dead)
      if (state === 0) continue
      this.#adopt(state, Atomics.load(this.#words, dead + 1), deadTag)
    }
  }

  /** Counts what is in use, by looking at every chunk. */
  usage (): { bytes: number, used: number, blocks: number } {
    let used = 0
    let blocks = 0
    const { chunks } = this.#region.sections
    for (let chunk = 0; chunk < chunks; chunk++) {
      const state = Atomics.load(this.#words, this.#record(chunk, RECORD_STATE))
      if (!isSlab(state)) {
        if (state !== FREE) used += CHUNK_BYTES
        if (state !== FREE && state >= PUBLISHED_LEAST) blocks++
        continue
      }
      const size = CLASSES[state - SLAB]!
      for (let block = 0; block < blocksOf(size); block++) {
        if (Atomics.load(this.#words, this.#blockState(chunk, block)) === FREE) continue
        used += size
        blocks++
      }
    }
    return { bytes: chunks * CHUNK_BYTES, used, blocks }
  }

  #takeBlock (sizeClass: number, intent: number): Ref {
    const cursor = this.#cursors[sizeClass]!
    const found = this.#takeFromSlab(cursor.chunk, sizeClass, intent) || this.#takeFromSlabs(sizeClass, intent, 0)
    if (found !== 0) return found
    for (;;) {
      const chunk = this.#makeSlab(sizeClass, intent)
      // With no chunk left, look where the hint of a dead worker may have been wrong.
      if (chunk === -1) return this.#takeFromSlabs(sizeClass, intent, 1)
      // Others may have taken all its blocks by now.
      const ref = this.#takeFromSlab(chunk, sizeClass, intent)
      if (ref !== 0) return ref
    }
  }

  #takeFromSlabs (sizeClass: number, intent: number, full: 0 | 1): Ref {
    for (const chunk of this.#chunksWith(SLAB + sizeClass)) {
      if (Atomics.load(this.#words, this.#record(chunk, RECORD_FULL)) !== full) continue
      const ref = this.#takeFromSlab(chunk, sizeClass, intent)
      if (ref !== 0) return ref
    }
    return 0
  }

  #takeFromSlab (chunk: number, sizeClass: number, intent: number): Ref {
    if (chunk === -1) return 0
    const record = this.#record(chunk, RECORD_STATE)
    if (Atomics.load(this.#words, record) !== SLAB + sizeClass) return 0
    const full = this.#record(chunk, RECORD_FULL)
    const size = CLASSES[sizeClass]!
    const blocks = blocksOf(size)
    const cursor = this.#cursors[sizeClass]!
    const start = cursor.chunk === chunk ? cursor.block : 0
    for (let pass = 0; pass < 2; pass++) {
      for (let n = 0; n < blocks; n++) {
        const block = (start + n) % blocks
        const state = this.#blockState(chunk, block)
        if (Atomics.load(this.#words, state) !== FREE) continue
        if (!this.#take(state, intent)) continue
        if (Atomics.load(this.#words, record) !== SLAB + sizeClass) {
          this.#release(state)
          return 0
        }
        if (pass === 1) Atomics.store(this.#words, full, 0)
        cursor.chunk = chunk
        cursor.block = block + 1
        return this.#refOf(chunk) + block * size / REF_BYTES
      }
      // A block freed between the look and the hint would be hidden by it, so look once more behind it.
      if (pass === 0) Atomics.store(this.#words, full, 1)
    }
    return 0
  }

  #makeSlab (sizeClass: number, intent: number): number {
    const chunk = this.#takeChunk(intent)
    if (chunk === -1) return -1
    Atomics.store(this.#words, this.#record(chunk, RECORD_FULL), 0)
    Atomics.store(this.#words, this.#record(chunk, RECORD_SLAB), SLAB + sizeClass)
    Atomics.store(this.#words, this.#record(chunk, RECORD_STATE), SLAB + sizeClass)
    return chunk
  }

  #takeChunk (intent: number): number {
    for (const chunk of this.#chunksWith(FREE)) {
      if (this.#take(this.#record(chunk, RECORD_STATE), intent)) return chunk
    }
    for (let chunk = 0; chunk < this.#region.sections.chunks; chunk++) {
      if (this.#emptySlab(chunk, intent)) return chunk
    }
    return -1
  }

  /** Takes a slab whose blocks are all free. Who takes a block of it meanwhile sees that it is none any more, and lets go. */
  #emptySlab (chunk: number, intent: number): boolean {
    const record = this.#record(chunk, RECORD_STATE)
    const slab = Atomics.load(this.#words, record)
    if (!isSlab(slab)) return false
    if (this.#hasBlocks(chunk) || !this.#take(record, intent, slab)) return false
    if (!this.#hasBlocks(chunk)) return true
    Atomics.store(this.#words, record, slab)
    return false
  }

  #hasBlocks (chunk: number): boolean {
    const first = this.#blockState(chunk, 0)
    for (let state = first; state < first + BLOCKS_PER_CHUNK; state++) {
      if (Atomics.load(this.#words, state) !== FREE) return true
    }
    return false
  }

  #takeRun (bytes: number, intent: number): Ref {
    const length = Math.ceil(bytes / CHUNK_BYTES)
    return this.#findRun(length, intent) || (this.#freeEmptySlabs(intent) ? this.#findRun(length, intent) : 0)
  }

  #findRun (length: number, intent: number): Ref {
    const { chunks } = this.#region.sections
    for (let head = 0; head + length <= chunks; head++) {
      const busy = this.#lastBusy(head, length)
      if (busy !== -1) {
        head = busy
        continue
      }
      if (!this.#take(this.#record(head, RECORD_STATE), intent)) continue
      Atomics.store(this.#words, this.#record(head, RECORD_RUN), length)
      let taken = 1
      while (taken < length && Atomics.compareExchange(this.#words, this.#record(head + taken, RECORD_STATE), FREE, bodyOf(head)) === FREE) taken++
      if (taken === length) return this.#refOf(head)
      this.#release(this.#record(head, RECORD_STATE))
    }
    return 0
  }

  #freeEmptySlabs (intent: number): boolean {
    let found = false
    for (let chunk = 0; chunk < this.#region.sections.chunks; chunk++) {
      if (!this.#emptySlab(chunk, intent)) continue
      Atomics.store(this.#words, this.#record(chunk, RECORD_STATE), FREE)
      found = true
    }
    return found
  }

  /** The last chunk in use of a run that would begin at `head`, or -1. */
  #lastBusy (head: number, length: number): number {
    for (let chunk = head + length - 1; chunk >= head; chunk--) {
      if (Atomics.load(this.#words, this.#record(chunk, RECORD_STATE)) !== FREE) return chunk
    }
    return -1
  }

  #take (state: number, intent: number, expected = FREE, hand = this.#slot.tag): boolean {
    Atomics.store(this.#words, intent, state)
    return Atomics.compareExchange(this.#words, state, expected, hand) === expected
  }

  #release (state: number): void {
    if (state >= this.#firstState) {
      Atomics.store(this.#words, state, FREE)
      const chunk = (state - this.#firstState) / BLOCKS_PER_CHUNK | 0
      Atomics.store(this.#words, this.#record(chunk, RECORD_FULL), 0)
      return
    }
    const head = (state - this.#firstRecord) / CHUNK_RECORD_WORDS | 0
    const length = Atomics.load(this.#words, this.#record(head, RECORD_RUN))
    for (let n = 1; n < length; n++) {
      Atomics.compareExchange(this.#words, this.#record(head + n, RECORD_STATE), bodyOf(head), FREE)
    }
    Atomics.store(this.#words, this.#record(head, RECORD_RUN), 0)
    // A worker that died while it emptied a slab may have met a block that was taken meanwhile.
    Atomics.store(this.#words, state, this.#hasBlocks(head) ? Atomics.load(this.#words, this.#record(head, RECORD_SLAB)) : FREE)
  }

  /** Takes over what a dead worker held, so that only one of several recoverers settles it. */
  #adopt (state: number, holder: number, deadTag: number): void {
    const intent = this.#takeIntent()
    Atomics.store(this.#words, intent + 1, holder)
    if (this.#take(state, intent, deadTag) || this.#take(state, intent, deadTag + RETRACTED)) {
      const published = holder !== 0 && Atomics.load(this.#words, holder) === this.#refOfState(state)
      if (published) Atomics.store(this.#words, state, publishedAt(holder))
      else this.#release(state)
    }
    this.#dropIntent(intent)
  }

  * #chunksWith (wanted: number): Generator<number> {
    for (let chunk = 0; chunk < this.#region.sections.chunks; chunk++) {
      if (Atomics.load(this.#words, this.#record(chunk, RECORD_STATE)) === wanted) yield chunk
    }
  }

  #takeIntent (): number {
    for (let n = 0; n < INTENTS; n++) {
      const intent = intentWord(this.#slot.index, n)
      if (this.#words[intent] !== 0) continue
      Atomics.store(this.#words, intent + 1, 0)
      return intent
    }
    throw new RangeError(`a worker can have ${INTENTS} blocks in its hands`)
  }

  #intentOf (state: number): number {
    for (let n = 0; n < INTENTS; n++) {
      const intent = intentWord(this.#slot.index, n)
      if (this.#words[intent] === state) return intent
    }
    throw new RangeError('the block is not in this worker\'s hands')
  }

  #dropIntent (intent: number): void {
    Atomics.store(this.#words, intent, 0)
  }

  #record (chunk: number, field: number): number {
    return this.#firstRecord + chunk * CHUNK_RECORD_WORDS + field
  }

  #blockState (chunk: number, block: number): number {
    return this.#firstState + chunk * BLOCKS_PER_CHUNK + block
  }

  #chunkOf (ref: Ref): number {
    return (ref * REF_BYTES - this.#region.sections.heap) / CHUNK_BYTES | 0
  }

  #refOf (chunk: number): Ref {
    return (this.#region.sections.heap + chunk * CHUNK_BYTES) / REF_BYTES
  }

  #stateWord (ref: Ref): number {
    const chunk = this.#chunkOf(ref)
    if (Atomics.load(this.#words, this.#record(chunk, RECORD_RUN)) !== 0) return this.#record(chunk, RECORD_STATE)
    return this.#blockState(chunk, Math.floor((ref - this.#refOf(chunk)) * REF_BYTES / this.#blockSize(chunk)))
  }

  #blockSize (chunk: number): number {
    return CLASSES[Atomics.load(this.#words, this.#record(chunk, RECORD_SLAB)) - SLAB] ?? CHUNK_BYTES
  }

  #refOfState (state: number): Ref {
    if (state < this.#firstState) return this.#refOf((state - this.#firstRecord) / CHUNK_RECORD_WORDS | 0)
    const chunk = (state - this.#firstState) / BLOCKS_PER_CHUNK | 0
    return this.#refOf(chunk) + (state - this.#blockState(chunk, 0)) * this.#blockSize(chunk) / REF_BYTES
  }
}

function isSlab (state: number): boolean {
  return state >= SLAB && state < SLAB + CLASSES.length
}

function blocksOf (size: number): number {
  return Math.floor(CHUNK_BYTES / size)
}

/** Whether the words of a chunk's record can be some that this allocator wrote. */
export function isSoundRecord (record: Int32Array, chunks: number, isWord: (word: number) => boolean): boolean {
  const [state, run, full, slab] = record as unknown as [number, number, number, number]
  if (run < 0 || run > chunks || (full !== 0 && full !== 1) || (slab !== 0 && !isSlab(slab))) return false
  if (state < PUBLISHED_LEAST) return PUBLISHED_LEAST - 1 - state < chunks
  if (state < 0) return isWord(-2 * state)
  return state === FREE || isSlab(state) || state >= SLOTS
}
