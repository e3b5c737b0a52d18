import { crc32 } from 'node:zlib'

/** An answer as it is kept. */
export interface Answer {
  status: number
  /** null: a field that a hook sets before the handler, and that the answer did not have. */
  headers: Record<string, string | string[] | null>
  /** How long after its time it is given while another one is made, and when that fails. */
  staleMs: number
  errorMs: number
  body: Buffer
}

type Head = [status: number, staleMs: number, errorMs: number, headers: Answer['headers']]

/*
 *   0                4                8
 *   | bytes of head  | CRC-32 of the  | head, JSON | body
 *   |                | rest           |            |
 */
const PREFIX_BYTES = 8

/** The answer in one piece: it is written and read with one copy. */
export function encodeAnswer ({ status, headers, staleMs, errorMs, body }: Answer): Buffer {
  const head = JSON.stringify([status, staleMs, errorMs, headers] satisfies Head)
  const headBytes = Buffer.byteLength(head)
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + headBytes + body.length)
  bytes.writeUInt32LE(headBytes, 0)
  bytes.write(head, PREFIX_BYTES)
  bytes.set(body, PREFIX_BYTES + headBytes)
  bytes.writeUInt32LE(crc32(bytes.subarray(PREFIX_BYTES)), 4)
  return bytes
}

/** Undefined: it is damaged. */
export function decodeAnswer (bytes: Buffer): Answer | undefined {
  if (bytes.length < PREFIX_BYTES) return undefined
  const bodyAt = PREFIX_BYTES + bytes.readUInt32LE(0)
  if (bodyAt > bytes.length || bytes.readUInt32LE(4) !== crc32(bytes.subarray(PREFIX_BYTES))) return undefined
  try {
    const [status, staleMs, errorMs, headers] = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, bodyAt)) as Head
    return { status, staleMs, errorMs, headers, body: bytes.subarray(bodyAt) }
  } catch {
    return undefined
  }
}
