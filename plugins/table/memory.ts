import { KeyInvalidError, SchemaMismatchError, TableFullError, ValueInvalidError } from '../errors.ts'
import { fence, keyShape, loadAcquire, storeRelease } from '../shared-memory/index.ts'
import type { KeyNotes, SharedMemory } from '../shared-memory/index.ts'
import type { Columns, RowOf } from './columns.ts'
import { ALL_STALE, ROW_HEADER_WORDS, RowWord, layoutOf } from './layout.ts'
import type { PlacedColumn, TableDefinition, TableLayout } from './layout.ts'
import { RowIndex } from './row-index.ts'
import { RowValues, shown } from './row-values.ts'
import type { Row } from './row-values.ts'

export interface TableStats {
  /** The most rows it can hold, and how many it holds. */
  rows: number
  count: number
  /** All of its shared memory. */
  bytes: number
  inserts: number
  deletes: number
  /** Insertions that met another row at their place of the index. */
  conflicts: number
}

type NumberColumn<C extends Columns> = { [K in keyof C & string]: C[K]['type'] extends number | bigint ? K : never }[keyof C & string]

/** So often a reader tries to read a row without its lock. */
const READS = 10

/**
 * Typed rows by key in shared memory. Whatever a worker reads is one whole row as one write left it; readers wait for
 * nobody. A worker that is killed inside a write leaves the row as it was.
 *
 * Keys: any string of up to `maxKeyBytes` bytes; characters up to U+00FF take one byte, a key with others two for each. What
 * would insert a longer one throws FST_SWOOLE_KEY_INVALID; to the others it is a key that is not there.
 *
 * After Swoole\Table.
 */
export class SharedTable<C extends Columns = Columns> {
  readonly name: string
  readonly #i32: Int32Array
  readonly #guard: SharedMemory['guard']
  readonly #layout: TableLayout
  readonly #copyWords: number
  readonly #index: RowIndex
  readonly #notes: KeyNotes
  #notedGeneration = 0
  readonly #values: RowValues

  /** Throws FST_SWOOLE_TABLE_DEFINITION, _SCHEMA_MISMATCH, _NAME_INVALID, _MEMORY_FULL. */
  constructor (memory: SharedMemory, name: string, definition: TableDefinition & { columns: C }) {
    const layout = layoutOf(name, definition)
    const payload = memory.open({ type: 'table', name, definition: layout.signature, bytes: layout.bytes })
    this.name = name
    this.#i32 = memory.region.i32
    this.#guard = memory.guard
    this.#layout = layout
    this.#copyWords = layout.copyWords
    this.#index = new RowIndex(memory, layout, payload / 4)
    this.#notes = this.#index.notes
    this.#values = new RowValues(memory.region, name, layout.columns)
  }

  /** Throws FST_SWOOLE_TABLE_DEFINITION, and FST_SWOOLE_SCHEMA_MISMATCH when this is not the table's definition. */
  requireSame (definition: TableDefinition): void {
    const [own, other] = [this.#layout, layoutOf(this.name, definition)].map(({ signature }) => JSON.stringify(signature))
    if (own !== other) throw new SchemaMismatchError(`The table "${this.name}"`, own, other)
  }

  get count (): number {
    return this.#index.count
  }

  has (key: string): boolean {
    if (typeof key !== 'string') return false
    const row = this.#noted(key)
    if (row !== 0 && Atomics.load(this.#i32, row + RowWord.GENERATION) === this.#notedGeneration) return true
    return this.#index.find(key) !== 0
  }

  /** The row, or one column of it; undefined when there is none with this key. */
  get (key: string): RowOf<C> | undefined
  get<K extends keyof C & string> (key: string, column: K): RowOf<C>[K] | undefined
  get (key: string, column?: string): unknown {
    if (typeof key !== 'string') return undefined
    const placed = column === undefined ? undefined : this.#values.requireColumn(column)
    const noted = this.#noted(key)
    if (noted !== 0) {
      const found = this.#read(noted, this.#notedGeneration, placed)
      if (found !== undefined) return found
    }
    for (;;) {
      const row = this.#index.find(key)
      if (row === 0) return undefined
      const found = this.#read(row, this.#index.generation, placed)
      if (found !== undefined) return found
    }
  }

  /**
   * Writes the named columns; others keep their value, and have zero, '' or no bytes in a new row.
   * Throws FST_SWOOLE_KEY_INVALID, _VALUE_INVALID, _VALUE_TOO_LONG, _TABLE_FULL; nothing is written then.
   */
  set (key: string, row: Partial<RowOf<C>>): void {
    this.#requireKey(key)
    if (typeof row !== 'object' || row === null) throw new ValueInvalidError(`A row of table "${this.name}"`, shown(row), 'an object with columns of the table')
    const mask = this.#values.take(row as Row)
    for (;;) {
      const found = this.#lock(key)
      if (found !== 0) return this.#write(found, mask)
      if (this.#insert(key)) return
    }
  }

  delete (key: string): boolean {
    return typeof key === 'string' && this.#index.delete(key)
  }

  /**
   * Adds `by` (default 1) to an `int`, `float` or `long` column in one step and returns the sum; makes the row when there is
   * none. A sum that the column cannot hold throws FST_SWOOLE_VALUE_INVALID and changes nothing.
   */
  incr<K extends NumberColumn<C>> (key: string, column: K, by: RowOf<C>[K] | number = 1): RowOf<C>[K] {
    const placed = this.#values.requireColumn(column)
    return this.#add(key, placed, this.#summand(placed, by)) as RowOf<C>[K]
  }

  /** As `incr`, with `by` subtracted. */
  decr<K extends NumberColumn<C>> (key: string, column: K, by: RowOf<C>[K] | number = 1): RowOf<C>[K] {
    const placed = this.#values.requireColumn(column)
    return this.#add(key, placed, negated(this.#summand(placed, by))) as RowOf<C>[K]
  }

  /**
   * All rows, each as it is when the iteration comes to it; rows may be written, inserted and deleted meanwhile. A key that
   * stays is met exactly once; one that is deleted and inserted again meanwhile may be met twice, or not at all.
   */
  * entries (): IterableIterator<[string, RowOf<C>]> {
    for (const row of this.#index.rows()) {
      for (;;) {
        const generation = Atomics.load(this.#i32, row + RowWord.GENERATION)
        if ((generation & 1) === 0) break
        const values = this.#read(row, generation, undefined)
        const key = this.#index.keyOf(row)
        fence()
        if (values === undefined || Atomics.load(this.#i32, row + RowWord.GENERATION) !== generation) continue
        yield [key, values as RowOf<C>]
        break
      }
    }
  }

  [Symbol.iterator] (): IterableIterator<[string, RowOf<C>]> {
    return this.entries()
  }

  /** Deletes row by row; what others insert meanwhile may stay. */
  clear (): void {
    this.#index.clear()
  }

  stats (): TableStats {
    return { rows: this.#layout.rows, bytes: this.#layout.bytes, ...this.#index.stats() }
  }

  /** What one write left, undefined when the row is of another generation by now. */
  #read (row: number, generation: number, column: PlacedColumn | undefined): unknown {
    for (let n = 0; n < READS; n++) {
      const version = loadAcquire(this.#i32, row + RowWord.VERSION)
      if (this.#i32[row + RowWord.GENERATION] !== generation) return undefined
      const found = this.#readCopy(this.#copyOf(row, version), column)
      fence()
      if (Atomics.load(this.#i32, row + RowWord.VERSION) === version) return found
    }
    // It is written faster than it can be read.
    if (!this.#enter(row, generation)) return undefined
    try {
      return this.#readCopy(this.#copyOf(row, this.#i32[row + RowWord.VERSION]!), column)
    } finally {
      this.#guard.leave(row + RowWord.LOCK)
    }
  }

  #readCopy (copy: number, column: PlacedColumn | undefined): unknown {
    return column === undefined ? this.#values.readAll(copy) : this.#values.read(column, copy)
  }

  /** The row that the key was in last, if it is of `#notedGeneration` still; 0: nothing is known of it. */
  #noted (key: string): number {
    const note = this.#notes.find(key)
    if (note === -1) return 0
    this.#notedGeneration = this.#notes.words[note + 1]!
    return this.#notes.words[note]!
  }

  /** Locks the row of the key; 0: there is none. */
  #lock (key: string): number {
    const noted = this.#noted(key)
    if (noted !== 0 && this.#enter(noted, this.#notedGeneration)) return noted
    for (;;) {
      const row = this.#index.find(key)
      if (row === 0 || this.#enter(row, this.#index.generation)) return row
    }
  }

  /** Locks the row. False: it is of another generation by now. */
  #enter (row: number, generation: number): boolean {
    if (this.#guard.enter(row + RowWord.LOCK)) this.#i32[row + RowWord.STALE] = ALL_STALE
    if (this.#i32[row + RowWord.GENERATION] === generation) return true
    this.#guard.leave(row + RowWord.LOCK)
    return false
  }

  /** Writes what was taken to a locked row, and unlocks it. */
  #write (row: number, mask: number): void {
    let refused: number
    try {
      const version = this.#i32[row + RowWord.VERSION]!
      const stale = this.#i32[row + RowWord.STALE]!
      const to = this.#copyOf(row, version + 1)
      if ((stale & ~mask) !== 0) this.#values.copy(stale & ~mask, this.#copyOf(row, version), to)
      refused = this.#values.writeTaken(to)
      if (refused === -1) return this.#publish(row, version, mask)
    } catch (error) {
      this.#letGo(row)
      throw error
    }
    this.#letGo(row)
    this.#values.refuseTaken(refused)
  }

  #add (key: string, column: PlacedColumn, by: number | bigint): number | bigint {
    this.#requireKey(key)
    for (;;) {
      const row = this.#lock(key)
      if (row !== 0) return this.#addTo(row, column, by)
      this.#values.check(column, by)
      this.#values.takeOne(column, by)
      if (this.#insert(key)) return by
    }
  }

  /** Adds to a locked row, and unlocks it. */
  #addTo (row: number, column: PlacedColumn, by: number | bigint): number | bigint {
    let sum: number | bigint
    try {
      const version = this.#i32[row + RowWord.VERSION]!
      const from = this.#copyOf(row, version)
      const to = this.#copyOf(row, version + 1)
      sum = (this.#values.read(column, from) as number) + (by as number)
      if (fits(column, sum)) {
        const stale = this.#i32[row + RowWord.STALE]! & ~column.bit
        if (stale !== 0) this.#values.copy(stale, from, to)
        this.#values.writeNumber(column, to, sum)
        this.#publish(row, version, column.bit)
        return sum
      }
    } catch (error) {
      this.#letGo(row)
      throw error
    }
    this.#letGo(row)
    return this.#values.refuse(column, sum)
  }

  /** The copy that was made last counts, and the columns that were written to it are stale in the other. */
  #publish (row: number, version: number, written: number): void {
    storeRelease(this.#i32, row + RowWord.VERSION, version + 1)
    this.#i32[row + RowWord.STALE] = written
    this.#guard.leaveSeen(row + RowWord.LOCK)
  }

  /** Unlocks a row whose write came to nothing: its other copy can have anything. */
  #letGo (row: number): void {
    this.#i32[row + RowWord.STALE] = ALL_STALE
    this.#guard.leave(row + RowWord.LOCK)
  }

  #copyOf (row: number, version: number): number {
    return row + ROW_HEADER_WORDS + (version & 1) * this.#copyWords
  }

  /** Inserts what was taken. False: another worker has inserted the key meanwhile. */
  #insert (key: string): boolean {
    const { maxKeyBytes } = this.#layout
    const shape = key.length > maxKeyBytes ? key.length * 2 : keyShape(key)
    if (shape >>> 1 > maxKeyBytes) {
      throw new KeyInvalidError(`table "${this.name}"`, `${shown(key)} (${shape >>> 1} bytes)`, `at most ${maxKeyBytes} bytes: shorten or hash it, or raise "maxKeyBytes" in the definition`)
    }
    let refused = -1
    const outcome = this.#index.insert(key, shape, (copy) => {
      this.#i32.fill(0, copy, copy + this.#layout.fixedWords)
      refused = this.#values.writeTaken(copy)
      return refused === -1
    })
    if (outcome === 'full') throw new TableFullError(this.name, this.#layout.rows)
    if (outcome === 'refused') this.#values.refuseTaken(refused)
    return outcome === 'inserted'
  }

  #requireKey (key: unknown): void {
    if (typeof key !== 'string') throw new KeyInvalidError(`table "${this.name}"`, shown(key), 'a string')
  }

  #summand (column: PlacedColumn, by: unknown): number | bigint {
    if (column.maxBytes !== 0) {
      throw new ValueInvalidError(`The column of table "${this.name}" to add to`, `"${column.name}", which holds ${column.kind}`, 'an int, long or float column')
    }
    const summand = column.kind === 'long' && Number.isSafeInteger(by) ? BigInt(by as number) : by
    this.#values.check(column, summand)
    return summand as number | bigint
  }
}

/** Not `-value`: that makes -0 of 0. */
function negated (value: number | bigint): number | bigint {
  return typeof value === 'bigint' ? -value : 0 - value
}

function fits (column: PlacedColumn, sum: number | bigint): boolean {
  switch (column.kind) {
    case 'int': return ((sum as number) | 0) === sum
    case 'long': return BigInt.asIntN(64, sum as bigint) === sum
    default: return true
  }
}
