/** A column of a table; `type` is for the compiler only and has no value. */
export interface Column<T> {
  readonly type: T
}

export type Kind = 'int' | 'long' | 'float' | 'string' | 'bytes'
export type Columns = Record<string, Column<unknown>>
export type RowOf<C extends Columns> = { [K in keyof C]: C[K]['type'] }

/** The most bytes that a `string` or `bytes` column can have: 1 MiB. */
export const MAX_COLUMN_BYTES = 1024 * 1024

/** What `int()` and its like make; applications see it as a `Column`. */
export class ColumnType<T> implements Column<T> {
  declare readonly type: T
  readonly kind: Kind
  /** Of the value, for `string` and `bytes`. */
  readonly maxBytes: number

  constructor (kind: Kind, maxBytes: number) {
    this.kind = kind
    this.maxBytes = maxBytes
  }

  toString (): string {
    return this.maxBytes === 0 ? this.kind : `${this.kind}(${this.maxBytes})`
  }
}

/** A signed 32-bit integer, 0 in a new row. */
export const int = (): Column<number> => new ColumnType('int', 0)

/** A signed 64-bit integer as bigint, 0n in a new row. */
export const long = (): Column<bigint> => new ColumnType('long', 0)

/** A 64-bit IEEE 754 number, 0 in a new row. */
export const float = (): Column<number> => new ColumnType('float', 0)

/**
 * A well-formed string of up to `maxBytes` bytes in UTF-8 (1 to 1 048 576), '' in a new row. A longer one is
 * FST_SWOOLE_VALUE_TOO_LONG and never cut.
 */
export const string = (maxBytes: number): Column<string> => new ColumnType('string', maxBytes)

/** Up to `maxBytes` bytes (1 to 1 048 576), none in a new row; reading gives a copy. A longer value is FST_SWOOLE_VALUE_TOO_LONG. */
export const bytes = (maxBytes: number): Column<Uint8Array> => new ColumnType('bytes', maxBytes)
