/* Inputs for a server: requests as clients send them, such with something wrong in them, and what smugglers send. */

/** A generator of numbers that a seed determines. */
export class Dice {
  #state: number

  constructor (seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0 || 1
  }

  below (n: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % n
  }

  of<T> (list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}

const METHODS = ['GET', 'GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE', 'get', 'GE', 'PRI', 'PROPFIND', 'M-SEARCH', 'GÄT', '']
const URLS = ['/', '/', '/a/b?c=d&e=%20', '/%00', '/a b', '*', 'http://h/x', '//x', '/#f', '/\u00e4', '/\u007f', '/a\tb', '', 'x', '/<>"{}|\\^`', '/?'.padEnd(300, 'x'), '/;a=[1]']
const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/1.2', 'HTTP/0.9', 'http/1.1', 'HTTP/1.1 ', 'HTTP/11', 'HTTP/1.', '']
const ENDS = ['\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\r\n', '\n\r', '\r\n ', '\u0000\r\n']
const FIELDS = [
  'Host: a', 'Host: a', 'Host: a', 'host: b:80', 'Host:', 'Host: a b', 'Accept: */*', 'User-Agent: x/1.0 (y; z)', 'Cookie: a=b; c=d', 'Cookie: e=f', 'X-Empty:', 'X-Spaces:   a  b\t ',
  'Connection: keep-alive', 'Connection: close', 'Connection: Close', 'Connection: upgrade', 'Connection: close, keep-alive', 'Connection: keep-alive, x', 'Connection:', 'Keep-Alive: timeout=5',
  'Upgrade: websocket', 'Upgrade: h2c', 'Expect: 100-continue', 'Expect: x', 'TE: trailers', 'Trailer: x', 'Proxy-Connection: close', 'HTTP2-Settings: AAA',
  'Content-Length: 0', 'Content-Length: 3', 'Content-Length: 3', 'Content-Length: 03', 'Content-Length: +3', 'Content-Length: 3, 3', 'Content-Length: 3 ', 'Content-Length:3', 'Content-Length: 0x3', 'Content-Length: -1',
  'Content-Length: 99999999999999999999', 'Content-Length: 3;a', 'Content-Length: ', 'Content-Length : 3', ' Content-Length: 3', 'content-length: 4', 'Content_Length: 3', 'Content-Length\u0000: 3', 'Content-Length: 3\u0000',
  'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked', 'Transfer-Encoding: Chunked', 'Transfer-Encoding: identity', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked, identity', 'Transfer-Encoding : chunked',
  'Transfer-Encoding: xchunked', 'Transfer-Encoding:\tchunked', 'Transfer-Encoding: chunked\u000b', 'X: y\nTransfer-Encoding: chunked', 'X: y\rTransfer-Encoding: chunked', 'Transfer-Encoding\t: chunked', '\u0000Transfer-Encoding: chunked',
  '__proto__: x', 'constructor: y', 'toString: z', 'X-Obs: \u00e4', 'X-Del: \u007f', 'X-Ctl: \u0001', 'X Y: z', ': x', 'NoColon', 'X-Long: '.padEnd(500, 'y'), 'X-"Q": z', 'X-(P): z', 'X-A: 1\r\n folded', 'X-A: 1\r\n\tfolded', 'x-a: 2', 'X-A: 3',
  'Content-Type: text/plain', 'Content-Type: application/json', 'Set-Cookie: a', 'Set-Cookie: b', 'Authorization: Basic x', 'Range: bytes=0-1', 'If-None-Match: "x"', 'X-\u00e4: z'
]
const BODIES = ['', '', 'abc', 'abc', 'abcd', 'ab', '3\r\nabc\r\n0\r\n\r\n', '0\r\n\r\n', '3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n', 'G\r\n', 'GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n', '\r\n', '\r\n\r\n', '\u0000\u0000\u0000', 'x'.repeat(200)]

/** Of the literature (Linhart, Kettle, RFC 9112 section 11.2): two readers see other ends of a body. */
export const SMUGGLING = [
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0,3\r\n\r\nabc',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n Content-Length: 9\r\n\r\nabc',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabcGET /s HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n',
  'GET / HTTP/1.1\nHost: a\n\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\n\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'GET / HTTP/1.1\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u000bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
  'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /  HTTP/1.1\r\nHost: a\r\n\r\n', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', '\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1e1\r\n\r\n0123456789', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n0123456789', 'GET /\thttp HTTP/1.1\r\nHost: a\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n'
]

function request (dice: Dice): string {
  const isPlain = dice.below(3) > 0
  const end = () => dice.below(isPlain ? 60 : 6) === 0 ? dice.of(ENDS) : '\r\n'
  const line = isPlain ? `${dice.of(METHODS.slice(0, 10))} ${dice.of(URLS.slice(0, 3))} HTTP/1.1` : `${dice.of(METHODS)} ${dice.of(URLS)} ${dice.of(VERSIONS)}`
  let text = line + end() + (dice.below(12) === 0 ? '' : 'Host: a' + end())
  for (let n = dice.below(5); n > 0; n--) text += dice.of(FIELDS) + end()
  if (isPlain && dice.below(3) === 0) return `${text}Content-Length: 3${end()}${end()}abc`
  return text + end() + dice.of(BODIES)
}

function mutate (dice: Dice, text: string): string {
  const at = dice.below(text.length + 1)
  switch (dice.below(7)) {
    case 0: return text.slice(0, at) + String.fromCharCode(dice.below(256)) + text.slice(at)
    case 1: return text.slice(0, at) + text.slice(at + 1)
    case 2: return text.slice(0, at) + String.fromCharCode(dice.below(256)) + text.slice(at + 1)
    case 3: return text.slice(0, at)
    case 4: return text.slice(0, at) + dice.of(['\r', '\n', '\r\n', '\u0000', ' ', '\t', ':', ',', '0', '\u000b', '\u0085']) + text.slice(at)
    case 5: return text.slice(0, at) + text.slice(Math.max(0, at - dice.below(30)))
    default: return text.slice(0, at) + text.slice(at + dice.below(10))
  }
}

export interface Input {
  text: string
  pieces: Buffer[]
  isEnded: boolean
}

/** The input that a seed stands for. */
export function inputOf (seed: number): Input {
  const dice = new Dice(seed)
  let text = dice.below(12) === 0 ? dice.of(SMUGGLING) : request(dice)
  for (let n = dice.below(4); n > 0; n--) text += dice.below(8) === 0 ? dice.of(SMUGGLING) : request(dice)
  if (dice.below(2) === 0) for (let n = 1 + dice.below(3); n > 0; n--) text = mutate(dice, text)
  return { text, pieces: split(dice, Buffer.from(text, 'latin1')), isEnded: dice.below(2) === 0 }
}

/** Whole, in some pieces, or byte by byte. */
function split (dice: Dice, bytes: Buffer): Buffer[] {
  const kind = dice.below(8)
  if (kind < 4 || bytes.length === 0) return [bytes]
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const length = kind === 7 && bytes.length < 200 ? 1 : 1 + dice.below(kind === 6 ? 10 : bytes.length)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}
