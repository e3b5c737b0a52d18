import { TableDefinitionError } from '../errors.ts'
import { requireNames } from '../options/index.ts'
import { ColumnType, MAX_COLUMN_BYTES } from './columns.ts'
import type { Columns, Kind } from './columns.ts'
import { MAX_KEY_BYTES } from '../shared-memory/index.ts'

/*
 * A table, one named object:
 *
 *     0        header                TableWord
 *     64       buckets               a power of two, at least as many as rows: 0, or the first row of the chain + 1
 *              rows                  each begins a cache line
 *
 * and a row:
 *
 *     0        header                RowWord
 *     32       copy 0, copy 1        the columns, twice: one is what everybody reads, the other is for the next write
 *              key                   maxKeyBytes, see keys.ts
 *
 * A copy: 8-byte columns, then 4-byte ones (a string or bytes has its length there), then the bytes of each.
 *
 * VERSION says by its last bit which copy counts. A writer holds LOCK, writes the other copy, and adds 1 to VERSION; so
 * a reader needs no lock, and what dies in the middle leaves the old row. GENERATION is odd while the row is in the
 * table: that word alone decides it, chains, free list and count follow.
 */
export const TableWord = {
  /** Guard of insertions and deletions. */
  GUARD: 0,
  /** Odd while a row is being taken out of its chain: who then meets no row has to look again. */
  UNLINKS: 1,
  /** First free row + 1, or 0. */
  FREE: 2,
  /** Rows at or above this were never used. */
  USED: 3,
  COUNT: 4,
  /** The row + 1 that is being inserted or deleted, and how many there are without it. */
  INTENT: 5,
  BASE: 6
} as const

/** Doubles of the table header. */
export const TableDouble = { INSERTS: 4, DELETES: 5, CONFLICTS: 6 } as const

export const TABLE_HEADER_BYTES = 64

export const RowWord = {
  LOCK: 0,
  VERSION: 1,
  GENERATION: 2,
  /** Bit n: column n of the copy that does not count is not what it is in the one that counts. Written under LOCK. */
  STALE: 3,
  HASH: 4,
  /** The next row + 1 of the chain or of the free list. */
  NEXT: 5,
  /** Length of the key in bytes, twice, and 1 when it is two bytes a character. */
  KEY: 6
} as const

export const ROW_HEADER_WORDS = 8
export const ALL_STALE = -1
export const MAX_COLUMNS = 32
export const MAX_ROWS = 2 ** 27
export const DEFAULT_KEY_BYTES = 64

/** A column and where it is in a copy. */
export interface PlacedColumn {
  name: string
  kind: Kind
  /** Its place in masks of columns. */
  bit: number
  /** Word of its number, or of the length of its bytes. */
  word: number
  /** Byte of its bytes. */
  byte: number
  maxBytes: number
}

export interface TableDefinition {
  rows: number
  columns: Columns
  maxKeyBytes?: number | undefined
}

export interface TableLayout {
  rows: number
  maxKeyBytes: number
  buckets: number
  columns: PlacedColumn[]
  copyWords: number
  /** Words that hold numbers and lengths: zeroed, they are a new row. */
  fixedWords: number
  keyWord: number
  rowWords: number
  bytes: number
  /** What two users of one name have to agree on. */
  signature: object
}

export function layoutOf (name: string, definition: TableDefinition): TableLayout {
  requireNames(`The definition of table ${JSON.stringify(name)}`, definition, ['rows', 'columns', 'maxKeyBytes'])
  const { rows, columns, maxKeyBytes = DEFAULT_KEY_BYTES } = definition ?? {}
  requireInteger(name, 'rows', rows, MAX_ROWS)
  requireInteger(name, 'maxKeyBytes', maxKeyBytes, MAX_KEY_BYTES)
  if (typeof columns !== 'object' || columns === null || Object.keys(columns).length === 0) {
    throw new TableDefinitionError(name, 'it has no columns: give at least one, such as { columns: { hits: int() } }')
  }
  // Sorted: the order in which an application names its columns makes no other table.
  const names = Object.keys(columns).sort()
  if (names.length > MAX_COLUMNS) throw new TableDefinitionError(name, `it has ${names.length} columns, the most it can have is ${MAX_COLUMNS}`)
  const types = names.map((column) => requireType(name, column, columns[column]))

  const placed = new Map<number, PlacedColumn>()
  let word = 0
  const place = (isPlacedNow: (kind: Kind) => boolean, words: number) => types.forEach(({ kind, maxBytes }, n) => {
    if (!isPlacedNow(kind)) return
    placed.set(n, { name: names[n]!, kind, bit: 1 << n, word, byte: 0, maxBytes })
    word += words
  })
  const isWide = (kind: Kind) => kind === 'long' || kind === 'float'
  place(isWide, 2)
  place((kind) => !isWide(kind), 1)
  const fixedWords = word
  for (const column of placed.values()) {
    column.byte = word * 4
    word += Math.ceil(column.maxBytes / 4)
  }
  const copyWords = Math.ceil(word / 2) * 2
  const keyWord = ROW_HEADER_WORDS + copyWords * 2
  const rowWords = Math.ceil((keyWord + maxKeyBytes / 4) / 16) * 16
  const buckets = 2 ** Math.max(4, Math.ceil(Math.log2(rows)))
  return {
    rows,
    maxKeyBytes,
    buckets,
    columns: names.map((_, n) => placed.get(n)!),
    copyWords,
    fixedWords,
    keyWord,
    rowWords,
    bytes: TABLE_HEADER_BYTES + buckets * 4 + rows * rowWords * 4,
    signature: { rows, maxKeyBytes, columns: Object.fromEntries(names.map((column, n) => [column, String(types[n])])) }
  }
}

function requireInteger (name: string, what: string, value: unknown, most: number): void {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return
  throw new TableDefinitionError(name, `${what} is ${shown(value)}, but must be an integer from 1 to ${most}`)
}

function requireType (name: string, column: string, type: unknown): ColumnType<unknown> {
  if (!(type instanceof ColumnType)) {
    throw new TableDefinitionError(name, `the column "${column}" is ${shown(type)}, but must be int(), long(), float(), string(maxBytes) or bytes(maxBytes)`)
  }
  // A row without such a column would seem to have it.
  if (column in Object.prototype) throw new TableDefinitionError(name, `a column cannot be called "${column}"`)
  if (type.kind === 'string' || type.kind === 'bytes') requireInteger(name, `maxBytes of the column "${column}"`, type.maxBytes, MAX_COLUMN_BYTES)
  return type
}

function shown (value: unknown): string {
  if (typeof value === 'function') return `the function ${value.name}, not called`
  if (typeof value === 'object' && value !== null) return 'an object of another kind'
  return (typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, 80)
}
