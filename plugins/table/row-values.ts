import { ValueInvalidError, ValueTooLongError } from '../errors.ts'
import type { Region } from '../shared-memory/index.ts'
import { isDetached } from '../values/index.ts'
import type { Kind } from './columns.ts'
import type { PlacedColumn } from './layout.ts'

export type Value = number | bigint | string | Uint8Array
export type Row = Record<string, Value>

/** The length of a string or of bytes is stored doubled; 1 is added for a string of nothing but ASCII, which is read back faster. */
const ASCII = 1

/*
 * Reads and writes the columns of one copy of a row, which begins at the word `copy`.
 *
 * The functions for whole rows are compiled for their columns, as fast-json-stringify does for a schema: loops over columns
 * that name each property anew make `get` and `set` of a row several times slower (bench/memory).
 */
export class RowValues {
  readonly #region: Region
  readonly #table: string
  readonly #columns: PlacedColumn[]
  readonly #taken: Value[] = []
  /** All columns as an object. */
  readonly readAll: (copy: number) => Row
  /** Reads each column of a row once (a getter must not run while a row is locked), checks it, and keeps it for `writeTaken`; returns the mask of those that are there. */
  readonly take: (row: Row) => number
  /** Writes what was taken. -1, or the column that refused its value: the copy is not to be used then. */
  readonly writeTaken: (copy: number) => number

  constructor (region: Region, table: string, columns: PlacedColumn[]) {
    this.#region = region
    this.#table = table
    this.#columns = columns
    const compile = (body: string) => {
      // eslint-disable-next-line no-new-func -- of our own text, numbers, and names that JSON.stringify has quoted
      const make = new Function('region', 'taken', 'columns', 'values', 'readText', 'readBytes', 'writeText', 'writeBytes', 'isDetached', `const { i32, i64, f64 } = region; ${body}`)
      return make(region, this.#taken, columns, this, readText, readBytes, writeText, writeBytes, isDetached)
    }
    const each = (code: (column: PlacedColumn, n: number) => string, separator = '\n') => columns.map(code).join(separator)
    this.readAll = compile(`return (copy) => ({ ${each((column) => `${JSON.stringify(column.name)}: ${READ[column.kind](column)}`, ', ')} })`)
    this.take = compile(`return (row) => {
      ${each(({ name }, n) => `const v${n} = row[${JSON.stringify(name)}]`)}
      let mask = 0, named = 0
      ${each(({ kind, bit }, n) => `if (v${n} !== undefined) { if (!(${IS_RIGHT[kind](`v${n}`, columns[n]!)})) values.refuse(columns[${n}], v${n}); mask |= ${bit}; named++ }`)}
      for (const name in row) if (--named < 0) { values.requireColumns(row); break }
      ${each((_, n) => `taken[${n}] = v${n}`)}
      return mask
    }`)
    this.writeTaken = compile(`return (copy) => {
      ${each((column, n) => `if (taken[${n}] !== undefined) ${WRITE[column.kind](column, n)}`)}
      return -1
    }`)
  }

  /** As if a row had been taken that has one column. */
  takeOne (column: PlacedColumn, value: Value): void {
    this.#taken.fill(undefined as never, 0, this.#columns.length)
    this.#taken[this.#columns.indexOf(column)] = value
  }

  read (column: PlacedColumn, copy: number): Value {
    const word = copy + column.word
    switch (column.kind) {
      case 'int': return this.#region.i32[word]!
      case 'float': return this.#region.f64[word / 2]!
      case 'long': return this.#region.i64[word / 2]!
      case 'string': return readText(this.#region, word, copy * 4 + column.byte, column.maxBytes)
      case 'bytes': return readBytes(this.#region, word, copy * 4 + column.byte, column.maxBytes)
    }
  }

  writeNumber (column: PlacedColumn, copy: number, value: number | bigint): void {
    const word = copy + column.word
    if (column.kind === 'int') this.#region.i32[word] = value as number
    else if (column.kind === 'float') this.#region.f64[word / 2] = value as number
    else this.#region.i64[word / 2] = value as bigint
  }

  /** The columns of the mask, from one copy to the other. */
  copy (mask: number, from: number, to: number): void {
    const { i32, u8 } = this.#region
    for (const { bit, kind, word, byte, maxBytes } of this.#columns) {
      if ((mask & bit) === 0) continue
      i32[to + word] = i32[from + word]!
      if (kind === 'long' || kind === 'float') i32[to + word + 1] = i32[from + word + 1]!
      if (maxBytes !== 0) u8.copyWithin(to * 4 + byte, from * 4 + byte, from * 4 + byte + (i32[from + word]! >>> 1))
    }
  }

  requireColumns (row: object): void {
    for (const name in row) this.requireColumn(name)
  }

  requireColumn (name: string): PlacedColumn {
    for (const column of this.#columns) {
      if (column.name === name) return column
    }
    throw new ValueInvalidError(`The column of table "${this.#table}"`, shown(name), `one of ${this.#columns.map(({ name }) => name).join(', ')}`)
  }

  check (column: PlacedColumn, value: unknown): void {
    const isRight = column.kind === 'int'
      ? typeof value === 'number' && (value | 0) === value
      : column.kind === 'float' ? typeof value === 'number' : typeof value === 'bigint' && BigInt.asIntN(64, value) === value
    if (!isRight) this.refuse(column, value)
  }

  /** Throws FST_SWOOLE_VALUE_INVALID or FST_SWOOLE_VALUE_TOO_LONG for a value that the column cannot have. */
  refuse (column: PlacedColumn, value: unknown): never {
    const what = `The column "${column.name}" of table "${this.#table}"`
    if (column.kind === 'string' && typeof value === 'string') {
      if (!value.isWellFormed()) throw new ValueInvalidError(what, shown(value), 'a well-formed string (half of a surrogate pair is in it)')
      throw new ValueTooLongError(what, Buffer.byteLength(value), column.maxBytes)
    }
    if (column.kind === 'bytes' && value instanceof Uint8Array && !isDetached(value)) throw new ValueTooLongError(what, value.byteLength, column.maxBytes)
    throw new ValueInvalidError(what, shown(value), ALLOWED[column.kind])
  }

  /** The same for what `writeTaken` returned. */
  refuseTaken (n: number): never {
    this.refuse(this.#columns[n]!, this.#taken[n])
  }
}

const ALLOWED: Record<Kind, string> = {
  int: 'an integer from -2147483648 to 2147483647',
  float: 'a number',
  long: 'a bigint from -2^63 to 2^63 - 1',
  string: 'a string',
  bytes: 'a Uint8Array'
}

type Code = (column: PlacedColumn, n: number) => string

const READ: Record<Kind, (column: PlacedColumn) => string> = {
  int: ({ word }) => `i32[copy + ${word}]`,
  float: ({ word }) => `f64[(copy + ${word}) / 2]`,
  long: ({ word }) => `i64[(copy + ${word}) / 2]`,
  string: ({ word, byte, maxBytes }) => `readText(region, copy + ${word}, copy * 4 + ${byte}, ${maxBytes})`,
  bytes: ({ word, byte, maxBytes }) => `readBytes(region, copy + ${word}, copy * 4 + ${byte}, ${maxBytes})`
}

const IS_RIGHT: Record<Kind, (value: string, column: PlacedColumn) => string> = {
  int: (value) => `typeof ${value} === 'number' && (${value} | 0) === ${value}`,
  float: (value) => `typeof ${value} === 'number'`,
  long: (value) => `typeof ${value} === 'bigint' && BigInt.asIntN(64, ${value}) === ${value}`,
  // How many bytes other characters take shows when they are written.
  string: (value, { maxBytes }) => `typeof ${value} === 'string' && ${value}.length <= ${maxBytes}`,
  // To store an array whose buffer was transferred throws, and that must not be inside a lock.
  bytes: (value, { maxBytes }) => `${value} instanceof Uint8Array && ${value}.byteLength <= ${maxBytes} && !isDetached(${value})`
}

const WRITE: Record<Kind, Code> = {
  int: ({ word }, n) => `i32[copy + ${word}] = taken[${n}]`,
  float: ({ word }, n) => `f64[(copy + ${word}) / 2] = taken[${n}]`,
  long: ({ word }, n) => `i64[(copy + ${word}) / 2] = taken[${n}]`,
  string: ({ word, byte, maxBytes }, n) => `{ if (!writeText(region, copy + ${word}, copy * 4 + ${byte}, ${maxBytes}, taken[${n}])) return ${n} }`,
  bytes: ({ word, byte }, n) => `writeBytes(region, copy + ${word}, copy * 4 + ${byte}, taken[${n}])`
}

// A row that is being written again may give any length here; the caller finds that out afterwards.
function readText ({ i32, buffer }: Region, word: number, start: number, maxBytes: number): string {
  const length = i32[word]!
  const end = start + Math.min(length >>> 1, maxBytes)
  return (length & ASCII) === 0 ? buffer.toString('utf8', start, end) : buffer.latin1Slice(start, end)
}

function readBytes ({ i32, u8 }: Region, word: number, start: number, maxBytes: number): Uint8Array {
  return u8.slice(start, start + Math.min(i32[word]! >>> 1, maxBytes))
}

/** False: the string is too long in UTF-8, or ill-formed. */
function writeText ({ i32, buffer }: Region, word: number, start: number, maxBytes: number, text: string): boolean {
  const length = buffer.write(text, start, maxBytes, 'utf8')
  // As many bytes as characters, and nothing was cut, for that leaves three bytes at most: each character is ASCII.
  const isAscii = length === text.length && (length < maxBytes - 3 || Buffer.byteLength(text) === length)
  i32[word] = isAscii ? length << 1 | ASCII : length << 1
  return isAscii || ((text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) && text.isWellFormed())
}

function writeBytes ({ i32, u8 }: Region, word: number, start: number, bytes: Uint8Array): void {
  u8.set(bytes, start)
  i32[word] = bytes.byteLength << 1
}

export function shown (value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  if (typeof value === 'bigint') return `${value}n`.slice(0, 80)
  if (typeof value === 'object' && value !== null) return `of type ${value.constructor?.name ?? 'object'}`
  return typeof value === 'function' || typeof value === 'symbol' ? `of type ${typeof value}` : String(value)
}
