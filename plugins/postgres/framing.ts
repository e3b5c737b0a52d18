const HEADER_BYTES = 5
/** PostgreSQL sends no message that is longer. */
const LONGEST = 0x3fffffff
const Letter = { DATA_ROW: 0x44, ERROR: 0x45, NOTICE: 0x4e, READY: 0x5a } as const
/** What a server sends: replies, answers to a login, notices, copies. */
const LETTERS = new Set(Buffer.from('123ACDEGHIKNRSTVWZcdnstv'))
/** 'I', 'T', 'E'. */
const STATUSES = [0x49, 0x54, 0x45]
/** One of these comes before each `READY`: what was asked is done, has failed, or a login has ended. */
const ENDS = new Set(Buffer.from('CEIs3R'))

/**
 * Passes on whole messages of PostgreSQL's protocol, when they can be such. The parser of the client library takes what it is
 * given: of a corrupt header it makes an empty answer, or a loop without end.
 */
export class Framing {
  readonly #deliver: (messages: Buffer) => void
  #hasEnded = false
  #parts: Buffer[] = []
  #bytes = 0
  /** How many there have to be before a look is of use. */
  #needed = HEADER_BYTES

  constructor (deliver: (messages: Buffer) => void) {
    this.#deliver = deliver
  }

  /** Throws when it is no message of a server. */
  receive (chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes < this.#needed) {
      this.#parts.push(chunk)
      return
    }
    const bytes = this.#parts.length === 0 ? chunk : Buffer.concat([...this.#parts, chunk])
    const end = this.#endOfWhole(bytes)
    this.#bytes = bytes.length - end
    this.#parts = this.#bytes === 0 ? [] : [bytes.subarray(end)]
    if (end > 0) this.#deliver(end === bytes.length ? bytes : bytes.subarray(0, end))
  }

  #endOfWhole (bytes: Buffer): number {
    let at = 0
    this.#needed = HEADER_BYTES
    while (bytes.length - at >= HEADER_BYTES) {
      const letter = bytes[at]!
      const length = bytes.readUInt32BE(at + 1)
      if (!LETTERS.has(letter) || length < 4 || length > LONGEST) throw new Error(`PostgreSQL sent a message of kind ${letter} and length ${length}, which is none of its protocol`)
      const end = at + 1 + length
      if (end > bytes.length) {
        this.#needed = 1 + length
        break
      }
      requireSound(letter, bytes, at + HEADER_BYTES, end)
      if (letter === Letter.READY && !this.#hasEnded) throw new Error('PostgreSQL sent the end of an answer before the answer')
      if (letter === Letter.READY) this.#hasEnded = false
      else if (ENDS.has(letter)) this.#hasEnded = true
      at = end
    }
    return at
  }
}

function requireSound (letter: number, bytes: Buffer, start: number, end: number): void {
  if (letter === Letter.DATA_ROW) {
    if (endOfRow(bytes, start, end) !== end) throw new Error('PostgreSQL sent a row that is longer or shorter than it says')
  } else if (letter === Letter.READY) {
    if (end - start !== 1 || !STATUSES.includes(bytes[start]!)) throw new Error('PostgreSQL sent an end of an answer that is none')
  } else if (letter === Letter.ERROR || letter === Letter.NOTICE) {
    // The last field ends, and then all of them.
    if (end - start < 2 || bytes[end - 1] !== 0 || bytes[end - 2] !== 0) throw new Error('PostgreSQL sent an error that has no end')
  }
}

function endOfRow (bytes: Buffer, start: number, end: number): number {
  if (end - start < 2) return -1
  let at = start + 2
  for (let left = bytes.readInt16BE(start); left > 0; left--) {
    if (at + 4 > end) return -1
    const length = bytes.readInt32BE(at)
    at += 4 + Math.max(length, 0)
    if (length < -1 || at > end) return -1
  }
  return at
}
