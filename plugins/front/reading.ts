import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

const BYTES = 65_536

/**
 * What comes on a socket of the front is read into this, and is there until the call ends that tells of it. A buffer for each piece, and
 * the way through the socket's stream, take more time than to parse a request.
 */
export const shared = Buffer.alloc(BYTES)

/** Where a socket keeps its option `onread`, which those of a server cannot be given; in the versions that do. */
const [BUFFER, CALLBACK] = (() => {
  const symbols = Object.getOwnPropertySymbols(new Socket({ onread: { buffer: Buffer.alloc(1), callback: () => true } }))
  return ['kBuffer', 'kBufferCb'].map((name) => symbols.find(({ description }) => description === name))
})()

type Handle = { useUserBuffer? (buffer: Buffer): void } | null

/**
 * From now on the socket does not tell of 'data', if it is one that can do so: `onRead` is called with the number of bytes in `shared`, and says
 * false when the socket is to stop.
 */
export function readInto (socket: Socket, onRead: (bytes: number) => boolean): void {
  const { _handle: handle } = socket as unknown as { _handle: Handle }
  if (BUFFER === undefined || CALLBACK === undefined || socket instanceof TLSSocket || typeof handle?.useUserBuffer !== 'function') return
  Object.assign(socket, { [BUFFER]: shared, [CALLBACK]: onRead })
  handle.useUserBuffer(shared)
}

/** Bytes that outlive the call: of what is shared, a copy. */
export function copyOf (bytes: Buffer, from: number, to: number): Buffer {
  const part = bytes.subarray(from, to)
  if (bytes !== shared) return part
  const copy = Buffer.allocUnsafe(to - from)
  copy.set(part)
  return copy
}
