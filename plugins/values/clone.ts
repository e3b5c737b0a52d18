import { DefaultDeserializer, DefaultSerializer } from 'node:v8'

/** Which view a number stands for; the numbers are written to memory that outlives a release. */
const VIEWS = [
  'Buffer', 'DataView', 'Uint8Array', 'Uint8ClampedArray', 'Int8Array', 'Uint16Array', 'Int16Array', 'Uint32Array', 'Int32Array',
  'BigUint64Array', 'BigInt64Array', 'Float16Array', 'Float32Array', 'Float64Array'
]
type View = new (buffer: ArrayBuffer) => ArrayBufferView

/** A copy of what `dataOf` gave, in the format of V8's structured clone. Throws when that does not know an object. */
export function serialize (data: unknown): Uint8Array {
  const writer = new Writer()
  writer.writeHeader()
  writer.writeValue(data)
  return writer.releaseBuffer()
}

/** Calls nothing that the bytes name, and throws when they are damaged. */
export function deserialize (bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  reader.readHeader()
  return reader.readValue()
}

/*
 * Views are written by their own bytes only: a small Buffer is a part of a pool that has others' data. Node's defaults do
 * that as well, but what they read shows all the bytes read through `.buffer`.
 */
class Writer extends DefaultSerializer {
  _writeHostObject (view: ArrayBufferView): void {
    const number = VIEWS.indexOf(Buffer.isBuffer(view) ? 'Buffer' : viewName(view))
    if (number === -1) throw new TypeError('an object that is unknown')
    this.writeUint32(number)
    this.writeUint32(view.byteLength)
    this.writeRawBytes(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  }
}

class Reader extends DefaultDeserializer {
  _readHostObject (): ArrayBufferView {
    const name = VIEWS[this.readUint32()]
    const { buffer } = new Uint8Array(this.readRawBytes(this.readUint32()))
    if (name === 'Buffer') return Buffer.from(buffer)
    const View = name === undefined ? undefined : (globalThis as unknown as Record<string, View | undefined>)[name]
    if (View === undefined) throw new TypeError('a view that is unknown')
    return new View(buffer)
  }
}

/** Of a class derived from a view, the view's; read from where no class can change it. */
function viewName (view: ArrayBufferView): string {
  return (typedArrayName.call(view) as string | undefined) ?? 'DataView'
}

const typedArrayName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!
