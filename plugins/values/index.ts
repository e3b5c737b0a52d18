import { ValueInvalidError } from '../errors.ts'
import { showValue } from '../options/show.ts'
import { deserialize, serialize } from './clone.ts'
import { DATA, dataOf } from './data.ts'
import { isJson } from './json.ts'

export { dataOfError, errorOf, messageOf } from './errors.ts'
export type { ErrorData } from './errors.ts'

/*
 * How a value stands in memory: numbers as 8 bytes, strings and JSON as UTF-8, binary as it is, and what JSON would change in
 * the format of V8's structured clone. Data only: what is made of a key such as `__proto__` is an own property, and nothing
 * is ever called.
 */
export const Kind = {
  NULL: 0,
  FALSE: 1,
  TRUE: 2,
  NUMBER: 3,
  TEXT: 4,
  JSON: 5,
  /** Read as a Buffer. */
  BINARY: 6,
  UNDEFINED: 7,
  CLONE: 8,
  /** Read as a Uint8Array. */
  BYTES: 9
} as const
/** Added to TEXT and JSON of one byte a character, which are read much faster. */
export const ASCII = 16

/** Where values are written: a region, or three views of any other memory. */
export interface Bytes {
  readonly f64: Float64Array
  readonly u8: Uint8Array
  readonly buffer: Buffer
}

/** What the methods of a buffer that name an encoding end in, without their checks. */
type Text = Buffer & {
  utf8Write (text: string, start: number, bytes: number): void
  latin1Write (text: string, start: number, bytes: number): void
  utf8Slice (start: number, end: number): string
  latin1Slice (start: number, end: number): string
}

// See shared-memory/keys.ts.
const { charCodeAt } = String.prototype

/** Up to this many characters, a loop over a string is faster than a call into the runtime. */
const SHORT = 8
/** Up to this many, the loop that looks for others than ASCII is faster than the runtime's count of bytes. */
const COUNTED = 24

const DETACHED = 'bytes whose ArrayBuffer was transferred to another thread'

export const isDetached = ({ buffer }: Uint8Array): boolean => buffer instanceof ArrayBuffer && buffer.detached

/** A value made ready to be written. */
export class Encoded {
  kind: number = Kind.NULL
  bytes = 0
  #number = 0
  #text = ''
  #binary: Uint8Array | undefined

  /** Takes a value as JSON has it, or bytes. `what` names the value in the error: FST_SWOOLE_VALUE_INVALID. */
  set (value: unknown, what: string): void {
    switch (typeof value) {
      case 'number': return this.#setNumber(value, what)
      case 'string': return this.#setText(Kind.TEXT, value)
      case 'boolean': return this.#setConstant(value ? Kind.TRUE : Kind.FALSE)
    }
    if (value === null) return this.#setConstant(Kind.NULL)
    if (value instanceof Uint8Array) {
      if (isDetached(value)) throw new ValueInvalidError(what, DETACHED, DATA)
      return this.#setBinary(Kind.BINARY, value)
    }
    this.#setText(Kind.JSON, jsonOf(value, what))
  }

  /**
   * Takes a value of any data, which comes back as it was: undefined, any number, Date, Map, Set, bigint, Buffer and the other
   * views, cycles and so on, as `dataOf` says. Of an object with `toJSON` it takes what that gives, of an instance of a class
   * the own enumerable properties. FST_SWOOLE_VALUE_INVALID names where in what `what` says a function or a symbol is.
   */
  setData (value: unknown, what: () => string): void {
    try {
      if (this.#setSimple(value)) return
      const data = dataOf(value, what())
      if (!this.#setSimple(data)) this.#setBinary(Kind.CLONE, serialize(data))
    } catch (error) {
      if (error instanceof ValueInvalidError) throw error
      throw new ValueInvalidError(what(), `what cannot be read (${error instanceof Error ? error.message.split('\n')[0] : String(error)})`, DATA)
    }
  }

  /** Writes the value at a byte offset that is a multiple of 8. */
  write (target: Bytes, start: number): void {
    const { f64, u8 } = target
    if (this.kind === Kind.NUMBER) {
      f64[start / 8] = this.#number
    } else if (this.#isBinary()) {
      u8.set(this.#binary!, start)
    } else if (this.bytes > 0) {
      if (this.kind >= ASCII && this.bytes <= SHORT) writeShort(u8, start, this.#text)
      else if (this.kind >= ASCII) (target.buffer as Text).latin1Write(this.#text, start, this.bytes)
      else writeText(target, start, this.#text, this.bytes)
    }
  }

  /** Keeps a copy of bytes that the caller may change. */
  keep (): void {
    if (this.#binary !== undefined) this.#binary = new Uint8Array(this.#binary)
  }

  /** Lets go of a large value. */
  clear (): void {
    this.#text = ''
    this.#binary = undefined
  }

  #isBinary (): boolean {
    return this.kind === Kind.BINARY || this.kind === Kind.BYTES || this.kind === Kind.CLONE
  }

  /** False: the value is neither a primitive that has a kind nor bytes, and JSON would change it. */
  #setSimple (value: unknown): boolean {
    if (typeof value === 'number') this.#setFloat(value)
    else if (typeof value === 'string') this.#setText(Kind.TEXT, value)
    else if (typeof value === 'boolean') this.#setConstant(value ? Kind.TRUE : Kind.FALSE)
    else if (value === null) this.#setConstant(Kind.NULL)
    else if (value === undefined) this.#setConstant(Kind.UNDEFINED)
    else if (value instanceof Uint8Array && isDetached(value)) throw new TypeError(DETACHED)
    else if (value instanceof Uint8Array) this.#setBinary(Buffer.isBuffer(value) ? Kind.BINARY : Kind.BYTES, value)
    else if (isJson(value)) this.#setText(Kind.JSON, JSON.stringify(value))
    else return false
    return true
  }

  #setConstant (kind: number): void {
    this.kind = kind
    this.bytes = 0
  }

  #setNumber (value: number, what: string): void {
    if (!Number.isFinite(value)) throw new ValueInvalidError(what, String(value), 'a number that JSON has')
    this.#setFloat(value)
  }

  #setFloat (value: number): void {
    this.kind = Kind.NUMBER
    this.bytes = 8
    this.#number = value
  }

  #setText (kind: number, text: string): void {
    this.#text = text
    if (text.length <= COUNTED && isAscii(text)) {
      this.bytes = text.length
      this.kind = kind + ASCII
      return
    }
    // Half a surrogate pair has no UTF-8; in JSON it is escaped.
    if (kind === Kind.TEXT && !text.isWellFormed()) return this.#setText(Kind.JSON, JSON.stringify(text))
    this.bytes = Buffer.byteLength(text)
    this.kind = this.bytes === text.length ? kind + ASCII : kind
  }

  #setBinary (kind: number, value: Uint8Array): void {
    this.kind = kind
    this.bytes = value.byteLength
    this.#binary = value
  }
}

/** Whether it is one of the kinds that `read` reads, and nothing can go wrong there. */
export const isKind = (kind: number) => (kind >= Kind.NULL && kind <= Kind.BYTES) || kind === Kind.TEXT + ASCII || kind === Kind.JSON + ASCII

export const isJsonKind = (kind: number) => kind === Kind.JSON || kind === Kind.JSON + ASCII

/** A copy of what is written at a byte offset: the value, of JSON its text, of a clone its bytes. */
export function read (source: Bytes, kind: number, start: number, bytes: number): unknown {
  switch (kind) {
    case Kind.NULL: return null
    case Kind.FALSE: return false
    case Kind.TRUE: return true
    case Kind.UNDEFINED: return undefined
    case Kind.NUMBER: return source.f64[start / 8]
    case Kind.TEXT + ASCII:
    case Kind.JSON + ASCII: return (source.buffer as Text).latin1Slice(start, start + bytes)
    case Kind.TEXT:
    case Kind.JSON: return readText(source, start, bytes)
    case Kind.BINARY: return Buffer.from(source.buffer.subarray(start, start + bytes))
    case Kind.BYTES:
    case Kind.CLONE: return new Uint8Array(source.u8.subarray(start, start + bytes))
  }
  throw new RangeError(`a value of kind ${kind}`)
}

/** The value of what `read` copied. Throws when it is damaged. */
export function decode (kind: number, copy: unknown): unknown {
  if (isJsonKind(kind)) return JSON.parse(copy as string)
  return kind === Kind.CLONE ? deserialize(copy as Uint8Array) : copy
}

/** Writes text of so many bytes as UTF-8. */
export function writeText (target: Bytes, start: number, text: string, bytes: number): void {
  (target.buffer as Text).utf8Write(text, start, bytes)
}

export function readText (source: Bytes, start: number, bytes: number): string {
  return (source.buffer as Text).utf8Slice(start, start + bytes)
}

function jsonOf (value: unknown, what: string): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new ValueInvalidError(what, `what JSON cannot hold (${(error as Error).message.split('\n')[0]})`, 'a value that JSON can hold, or bytes')
  }
  if (text === undefined) throw new ValueInvalidError(what, showValue(value), 'a value that JSON can hold, or bytes')
  return text
}

function isAscii (text: string): boolean {
  for (let n = 0; n < text.length; n++) {
    if (charCodeAt.call(text, n) > 0x7f) return false
  }
  return true
}

function writeShort (u8: Uint8Array, start: number, text: string): void {
  for (let n = 0; n < text.length; n++) u8[start + n] = charCodeAt.call(text, n)
}
