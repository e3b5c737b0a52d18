/** So much is kept for the next value. */
const KEPT_BYTES = 1024 * 1024
const LEAST_BYTES = 64 * 1024

type TextBuffer = Buffer & { latin1Slice (start: number, end: number): string }

/** Where a value is on its way into blocks and out of them: the same bytes as a region has, of this process alone. */
export class Scratch {
  i32!: Int32Array
  f64!: Float64Array
  u8!: Uint8Array
  buffer!: TextBuffer

  constructor () {
    this.#make(LEAST_BYTES)
  }

  /** With room for so many bytes. */
  reserve (bytes: number): this {
    const has = this.u8.byteLength
    if (bytes > has) this.#make(2 ** Math.ceil(Math.log2(bytes)))
    else if (has > KEPT_BYTES && bytes <= KEPT_BYTES) this.#make(LEAST_BYTES > bytes ? LEAST_BYTES : KEPT_BYTES)
    return this
  }

  #make (bytes: number): void {
    const buffer = new ArrayBuffer(bytes)
    this.i32 = new Int32Array(buffer)
    this.f64 = new Float64Array(buffer)
    this.u8 = new Uint8Array(buffer)
    this.buffer = Buffer.from(buffer) as TextBuffer
  }
}
