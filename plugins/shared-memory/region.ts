import { randomBytes } from 'node:crypto'
import { hashBytes } from './hash.ts'
import { CHUNK_BYTES, Header, LAYOUT_VERSION, MAGIC, sectionsOf } from './layout.ts'
import type { Sections } from './layout.ts'

/** What `toString('latin1', …)` ends in; a sixth faster, which counts in a table's `get`. */
type TextBuffer = Buffer & { latin1Slice (start: number, end: number): string }

/**
 * A region and the views on it. What another worker may write is read through `Atomics`, or between two `Atomics`
 * calls that frame it: to V8 a mapped buffer is not shared, it may keep a plain read as if nobody else wrote.
 */
export class Region {
  readonly bytes: number
  readonly i32: Int32Array
  readonly i64: BigInt64Array
  readonly f64: Float64Array
  readonly u8: Uint8Array
  /** The same bytes, for text: reads and writes strings in place. */
  readonly buffer: TextBuffer
  readonly sections: Sections

  constructor (buffer: ArrayBufferLike) {
    this.bytes = buffer.byteLength
    this.i32 = new Int32Array(buffer)
    this.i64 = new BigInt64Array(buffer)
    this.f64 = new Float64Array(buffer)
    this.u8 = new Uint8Array(buffer)
    this.buffer = Buffer.from(buffer) as TextBuffer
    this.sections = sectionsOf(this.bytes)
  }

  get seed (): [number, number] {
    return [this.i32[Header.SEED_0]!, this.i32[Header.SEED_1]!]
  }

  get generation (): number {
    return Atomics.load(this.i32, Header.GENERATION)
  }
}

/** The size that a region of about `bytes` really has: a whole number of chunks, so that it maps without a rest. */
export function regionBytes (bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES) * CHUNK_BYTES
}

/** Writes the header of a new region over zeroed bytes; the second half of the magic comes last, so a half-made one can be told. */
export function formatRegion (region: Region): void {
  const { i32 } = region
  const seed = randomBytes(8)
  i32[Header.MAGIC_0] = MAGIC[0]
  i32[Header.VERSION] = LAYOUT_VERSION
  i32[Header.CHUNKS] = region.sections.chunks
  i32[Header.SEED_0] = seed.readInt32LE(0)
  i32[Header.SEED_1] = seed.readInt32LE(4)
  i32[Header.CHECKSUM] = headerChecksum(i32)
  Atomics.store(i32, Header.MAGIC_1, MAGIC[1])
}

/** Why `bytes` bytes that begin with this header are no region of ours, or undefined when they are one. */
export function headerFault (header: Int32Array, bytes: number): string | undefined {
  if (header[Header.MAGIC_0] !== MAGIC[0] || header[Header.MAGIC_1] !== MAGIC[1]) return 'it is not a shared memory of fastify-swoole'
  if (header[Header.VERSION] !== LAYOUT_VERSION) {
    return `it has layout version ${header[Header.VERSION]}, this release reads version ${LAYOUT_VERSION}`
  }
  if (header[Header.CHECKSUM] !== headerChecksum(header)) return 'its header is damaged'
  if (header[Header.CHUNKS] !== sectionsOf(bytes).chunks) return 'its header is of a file of another size'
  return undefined
}

function headerChecksum (header: Int32Array): number {
  const constants = new Uint8Array(header.buffer, header.byteOffset + Header.VERSION * 4, (Header.CHECKSUM - Header.VERSION) * 4)
  return hashBytes(constants, constants.length, LAYOUT_VERSION, 0) | 0
}
