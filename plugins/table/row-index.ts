import { KeyNotes, fence, hashKey, isKey, readKey, storeRelease, writeKey } from '../shared-memory/index.ts'
import type { Region, SharedMemory } from '../shared-memory/index.ts'
import { ALL_STALE, ROW_HEADER_WORDS, RowWord, TABLE_HEADER_BYTES, TableDouble, TableWord } from './layout.ts'
import type { TableLayout } from './layout.ts'

/** A chain is a few rows long; who is led on for this long has been led into another by a deletion. */
const LONGEST_WALK = 1000
const WALKS = 3

/*
 * Which row has which key: chains of rows from an array of buckets, and a list of the free rows. Rows are named by the word
 * they begin at, 0 is none.
 *
 * Insertions and deletions are behind the table's guard. Each names its row in INTENT first; that row's GENERATION then
 * decides: odd, the row is in the table and in its chain; even, it is to be in the free list. A death anywhere in
 * between is mended by bringing that one row to where its GENERATION says (`#repair`).
 */
export class RowIndex {
  /** Of the row that `find` found. */
  generation = 0
  readonly #region: Region
  readonly #i32: Int32Array
  readonly #guard: SharedMemory['guard']
  readonly #layout: TableLayout
  readonly #table: number
  readonly #firstBucket: number
  readonly #bucketMask: number
  readonly #firstRow: number
  readonly #seed: [number, number]
  /** The row that a key was found in last, and its generation then: who uses it looks whether the row is of that still. */
  readonly notes: KeyNotes

  constructor ({ region, guard }: SharedMemory, layout: TableLayout, table: number) {
    this.#region = region
    this.#i32 = region.i32
    this.#guard = guard
    this.#layout = layout
    this.#table = table
    this.#firstBucket = table + TABLE_HEADER_BYTES / 4
    this.#bucketMask = layout.buckets - 1
    this.#firstRow = this.#firstBucket + layout.buckets
    this.#seed = region.seed
    this.notes = new KeyNotes(layout.rows, 2)
  }

  get count (): number {
    // One who died between the last insertion or deletion and its count left that to us.
    if (Atomics.load(this.#i32, this.#table + TableWord.GUARD) !== 0) return this.#guarded(() => this.#counted())
    return this.#counted()
  }

  #counted (): number {
    return Atomics.load(this.#i32, this.#table + TableWord.COUNT)
  }

  stats () {
    return this.#guarded(() => {
      const double = (field: number) => this.#region.f64[this.#table / 2 + field]!
      return { count: this.#counted(), inserts: double(TableDouble.INSERTS), deletes: double(TableDouble.DELETES), conflicts: double(TableDouble.CONFLICTS) }
    })
  }

  /** The row that has the key, 0 for none; `generation` tells whether it still has it later. */
  find (key: string): number {
    // No key is longer, and hashing what a client made up would take its time.
    if (key.length > this.#layout.maxKeyBytes) return 0
    const hash = hashKey(key, ...this.#seed)
    const bucket = this.#bucketOf(hash)
    const unlinks = this.#table + TableWord.UNLINKS
    for (let walk = 0; walk < WALKS; walk++) {
      const before = Atomics.load(this.#i32, unlinks)
      const row = this.#walk(bucket, hash, key)
      if (row !== 0) return this.#found(key, row)
      // A miss is right only if no row was taken out of a chain meanwhile.
      fence()
      if ((before & 1) === 0 && Atomics.load(this.#i32, unlinks) === before) return 0
    }
    const row = this.#guarded(() => this.#walk(bucket, hash, key))
    return row === 0 ? 0 : this.#found(key, row)
  }

  keyOf (row: number): string {
    return readKey(this.#region.buffer, (row + this.#layout.keyWord) * 4, Math.min(this.#i32[row + RowWord.KEY]!, this.#layout.maxKeyBytes * 2 + 1))
  }

  /** The words of all rows that were ever used, those in the table and the free ones. */
  * rows (): Generator<number> {
    for (let n = 1; n <= Atomics.load(this.#i32, this.#table + TableWord.USED); n++) yield this.#rowOf(n)
  }

  /**
   * Puts a row with this key into the table. `write` writes its columns to a copy that nobody sees yet; when it returns
   * false, the row is given back.
   */
  insert (key: string, shape: number, write: (copy: number) => boolean): 'inserted' | 'exists' | 'full' | 'refused' {
    const hash = hashKey(key, ...this.#seed)
    let row = 0
    const outcome = this.#guarded(() => {
      if (this.#walk(this.#bucketOf(hash), hash, key) !== 0) return 'exists'
      const number = this.#i32[this.#table + TableWord.FREE] || this.#i32[this.#table + TableWord.USED]! + 1
      if (number > this.#layout.rows) return 'full'
      row = this.#rowOf(number)
      this.#intend(number, this.#counted())
      if (this.#i32[this.#table + TableWord.FREE] === number) this.#i32[this.#table + TableWord.FREE] = this.#i32[row + RowWord.NEXT]!
      else Atomics.store(this.#i32, this.#table + TableWord.USED, number)

      // Somebody late with an old note may have locked the row, to find that it is another by now.
      this.#guard.enter(row + RowWord.LOCK)
      const version = this.#i32[row + RowWord.VERSION]!
      const isWritten = write(row + ROW_HEADER_WORDS + (~version & 1) * this.#layout.copyWords)
      if (isWritten) {
        this.#i32[row + RowWord.HASH] = hash
        this.#i32[row + RowWord.KEY] = shape
        writeKey(this.#region.buffer, (row + this.#layout.keyWord) * 4, shape, key)
        this.#i32[row + RowWord.STALE] = ALL_STALE
        Atomics.store(this.#i32, row + RowWord.VERSION, version + 1)
        this.#link(row, number, hash)
        this.generation = this.#i32[row + RowWord.GENERATION]! + 1 | 0
        Atomics.store(this.#i32, row + RowWord.GENERATION, this.generation)
      }
      this.#guard.leave(row + RowWord.LOCK)
      this.#settle(isWritten ? TableDouble.INSERTS : undefined)
      return isWritten ? 'inserted' : 'refused'
    })
    if (outcome === 'inserted') this.#note(key, row)
    return outcome
  }

  delete (key: string): boolean {
    if (key.length > this.#layout.maxKeyBytes) return false
    const hash = hashKey(key, ...this.#seed)
    return this.#guarded(() => {
      const row = this.#walk(this.#bucketOf(hash), hash, key)
      if (row !== 0) this.#remove(row)
      return row !== 0
    })
  }

  clear (): void {
    for (const row of this.rows()) {
      this.#guarded(() => {
        if ((this.#i32[row + RowWord.GENERATION]! & 1) === 1) this.#remove(row)
      })
    }
  }

  #remove (row: number): void {
    this.#intend(this.#numberOf(row), this.#counted() - 1)
    // Whoever writes the row has finished before it goes, so no write is acknowledged that nobody could see.
    this.#guard.enter(row + RowWord.LOCK)
    Atomics.store(this.#i32, row + RowWord.GENERATION, this.#i32[row + RowWord.GENERATION]! + 1)
    this.#guard.leave(row + RowWord.LOCK)
    this.#settle(TableDouble.DELETES)
  }

  #found (key: string, row: number): number {
    this.#note(key, row)
    return row
  }

  #note (key: string, row: number): void {
    const note = this.notes.add(key)
    if (note === -1) return
    this.notes.words[note] = row
    this.notes.words[note + 1] = this.generation
  }

  #walk (bucket: number, hash: number, key: string): number {
    const i32 = this.#i32
    let number = Atomics.load(i32, bucket)
    for (let step = 0; number !== 0 && step < LONGEST_WALK; step++) {
      const row = this.#rowOf(number)
      if (i32[row + RowWord.HASH] === hash) {
        const generation = Atomics.load(i32, row + RowWord.GENERATION)
        if ((generation & 1) === 1 && isKey(this.#region.u8, (row + this.#layout.keyWord) * 4, i32[row + RowWord.KEY]!, key)) {
          fence()
          if (Atomics.load(i32, row + RowWord.GENERATION) === generation) {
            this.generation = generation
            return row
          }
        }
      }
      number = i32[row + RowWord.NEXT]!
    }
    return 0
  }

  #guarded<T> (act: () => T): T {
    if (this.#guard.enter(this.#table + TableWord.GUARD)) this.#settle()
    try {
      return act()
    } finally {
      // An exception inside (a full stack is one) is a death that this worker survived.
      this.#settle()
      this.#guard.leave(this.#table + TableWord.GUARD)
    }
  }

  #intend (number: number, countWithout: number): void {
    this.#i32[this.#table + TableWord.BASE] = countWithout
    this.#i32[this.#table + TableWord.INTENT] = number
  }

  /** Brings the intended row to where its generation says, whatever was done of that already. */
  #settle (statistic?: number): void {
    const number = this.#i32[this.#table + TableWord.INTENT]!
    if (number === 0) return
    const row = this.#rowOf(number)
    const isIn = (this.#i32[row + RowWord.GENERATION]! & 1) === 1
    if (!isIn) this.#putAway(row, number)
    Atomics.store(this.#i32, this.#table + TableWord.COUNT, this.#i32[this.#table + TableWord.BASE]! + (isIn ? 1 : 0))
    if (statistic !== undefined) this.#region.f64[this.#table / 2 + statistic]!++
    this.#i32[this.#table + TableWord.INTENT] = 0
  }

  /** Out of its chain and into the free list, wherever it is. */
  #putAway (row: number, number: number): void {
    const free = this.#table + TableWord.FREE
    const unlinks = this.#table + TableWord.UNLINKS
    const isFree = this.#i32[free] === number || number > this.#i32[this.#table + TableWord.USED]!
    if (!isFree) {
      if ((this.#i32[unlinks]! & 1) === 0) Atomics.store(this.#i32, unlinks, this.#i32[unlinks]! + 1)
      this.#unlink(row, number)
      storeRelease(this.#i32, row + RowWord.NEXT, this.#i32[free]!)
      this.#i32[free] = number
    }
    if ((this.#i32[unlinks]! & 1) === 1) Atomics.store(this.#i32, unlinks, this.#i32[unlinks]! + 1)
  }

  #link (row: number, number: number, hash: number): void {
    const bucket = this.#bucketOf(hash)
    const first = this.#i32[bucket]!
    if (first !== 0) this.#region.f64[this.#table / 2 + TableDouble.CONFLICTS]!++
    this.#i32[row + RowWord.NEXT] = first
    Atomics.store(this.#i32, bucket, number)
  }

  #unlink (row: number, number: number): void {
    // The hash of a row that was never linked may be an old one: then it is not in that chain either.
    let link = this.#bucketOf(this.#i32[row + RowWord.HASH]!)
    while (this.#i32[link] !== 0 && this.#i32[link] !== number) link = this.#rowOf(this.#i32[link]!) + RowWord.NEXT
    if (this.#i32[link] === number) Atomics.store(this.#i32, link, this.#i32[row + RowWord.NEXT]!)
  }

  #bucketOf (hash: number): number {
    return this.#firstBucket + (hash & this.#bucketMask)
  }

  #rowOf (number: number): number {
    return this.#firstRow + (number - 1) * this.#layout.rowWords
  }

  #numberOf (row: number): number {
    return (row - this.#firstRow) / this.#layout.rowWords + 1
  }
}
