import type { HeaderFinder } from './proxy.ts'

/*
 * Which bytes of what a server sends are headers: those that say of what kind and how long a message is. What is in a message is
 * left out, for no protocol of these has a check for it.
 */

/** PostgreSQL: a letter, and four bytes that count themselves and what follows them. */
export const postgresHeaders = () => framed(5, (header) => header.readUInt32BE(1) - 4)

/** MySQL: three bytes of length, and the number of the packet. */
export const mysqlHeaders = () => framed(4, (header) => header.readUIntLE(0, 3))

function framed (size: number, lengthOf: (header: Buffer) => number): HeaderFinder {
  const header = Buffer.alloc(size)
  let filled = 0
  let bodyLeft = 0
  return (chunk) => {
    const found: number[] = []
    for (let at = 0; at < chunk.length;) {
      if (bodyLeft > 0) {
        const skipped = Math.min(bodyLeft, chunk.length - at)
        bodyLeft -= skipped
        at += skipped
        continue
      }
      found.push(at)
      header[filled++] = chunk[at++]!
      if (filled < size) continue
      filled = 0
      bodyLeft = lengthOf(header)
    }
    return found
  }
}

/** Redis: the letter of a reply, and of those that have a length, the digits and the end of that line. */
export function redisHeaders (): HeaderFinder {
  let line = ''
  let bodyLeft = 0
  return (chunk) => {
    const found: number[] = []
    for (let at = 0; at < chunk.length;) {
      if (bodyLeft > 0) {
        const skipped = Math.min(bodyLeft, chunk.length - at)
        bodyLeft -= skipped
        at += skipped
        continue
      }
      const char = String.fromCharCode(chunk[at]!)
      if (line === '' || '$*%~>='.includes(line[0]!)) found.push(at)
      line += char
      at++
      if (char !== '\n') continue
      if ('$='.includes(line[0]!)) bodyLeft = Math.max(0, Number(line.slice(1)) + 2 - (line.startsWith('$-1') ? 1 : 0))
      line = ''
    }
    return found
  }
}
