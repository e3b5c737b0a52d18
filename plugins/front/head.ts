/*
 * What this front reads of HTTP/1.1 (RFC 9112): a strict subset. Whatever is not plainly in it is for node:http to read, so nothing here guesses,
 * and nothing is repaired.
 */

/** The lines of headers of a request, read once for all requests that have the same. */
export interface Headers {
  /** Names and values by turns, as they came. */
  readonly raw: readonly string[]
  /** By lower-case names. Its copies are what requests have. */
  readonly values: Readonly<Record<string, string>>
  readonly isLast: boolean
  readonly contentLength: number
}

/** The head of a request. */
export interface Head {
  method: string
  url: string
  headers: Headers
  bytes: number
}

/** A request line, and where in the text its headers begin. */
interface RequestLine {
  method: string
  url: string
  end: number
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS']
const LINE_END = ' HTTP/1.1\r\n'
/** Of RFC 3986, without a fragment; other characters that node:http lets through, it may. */
const NOT_OF_URL = /[^\w\-.~:/?[\]@!$&'()*+,;=%]/

/** What `toString('latin1', …)` ends in, without its checks. */
type Latin1 = Buffer & { latin1Slice (start: number, end: number): string }

const END_OF_HEAD = '\r\n\r\n'
/** So far is looked for the end of a head first. */
const USUAL_HEAD = 1024

/** Reads the heads of one client. */
export class HeadReader {
  #lastText = ''
  #lastHeaders: Headers | undefined

  /** The head that begins at `from`; 'incomplete': it may be one when more has come. Undefined: it is not plain, or longer than `longest`. */
  read (bytes: Buffer, from: number, to: number, longest: number): Head | 'incomplete' | undefined {
    let text = (bytes as Latin1).latin1Slice(from, Math.min(to, from + USUAL_HEAD))
    let headEnd = text.indexOf(END_OF_HEAD)
    if (headEnd < 0 && to - from > USUAL_HEAD) {
      text = (bytes as Latin1).latin1Slice(from, Math.min(to, from + longest))
      headEnd = text.indexOf(END_OF_HEAD)
    }
    if (headEnd < 0) return mayBecomePlain(text) ? 'incomplete' : undefined
    const end = headEnd + END_OF_HEAD.length
    const line = end > longest ? undefined : readRequestLine(text)
    if (line === undefined) return undefined
    const headers = this.#headersOf(text.slice(line.end, end))
    return headers === undefined ? undefined : { method: line.method, url: line.url, headers, bytes: end }
  }

  /** A client sends the same headers again and again. */
  #headersOf (text: string): Headers | undefined {
    if (text !== this.#lastText) {
      this.#lastHeaders = readHeaders(text)
      this.#lastText = text
    }
    return this.#lastHeaders
  }
}

/** Undefined: it is not plain. */
function readRequestLine (text: string): RequestLine | undefined {
  const space = text.indexOf(' ')
  const end = text.indexOf('\r\n')
  // That of the list, which is the very string that applications have as the name of a property.
  const method = METHODS[METHODS.indexOf(text.slice(0, space))]
  const urlEnd = end + 2 - LINE_END.length
  if (method === undefined || urlEnd <= space + 1 || !text.startsWith(LINE_END, urlEnd)) return undefined
  const url = text.slice(space + 1, urlEnd)
  return url.charCodeAt(0) === SLASH && !NOT_OF_URL.test(url) ? { method, url, end: end + 2 } : undefined
}

const LONGEST_METHOD = 8

/** Whether this text begins as a request does. */
function mayBecomePlain (text: string): boolean {
  const beginning = text.slice(0, LONGEST_METHOD)
  return METHODS.some((method) => `${method} /`.startsWith(beginning) || beginning.startsWith(`${method} `))
}

const SLASH = 0x2f
/** Visible ASCII; spaces and tabs at neither end. */
const FIELD = /^([!#$%&'*+\-.^_`|~\dA-Za-z]+):[ \t]*(|[!-~](?:[ -~\t]*[!-~])?)[ \t]*$/
const CONTENT_LENGTH = /^(?:0|[1-9]\d{0,8})$/
const MOST_FIELDS = 100
/** Of these node:http knows better what to do, or what is wrong with them. */
const OTHERS = new Set(['transfer-encoding', 'upgrade', 'expect', 'trailer', 'te', 'http2-settings', 'proxy-connection', 'set-cookie', '__proto__'])

/** The headers of a text that ends with an empty line. Undefined: they are not plain. */
function readHeaders (text: string): Headers | undefined {
  const lines = text.slice(0, -4).split('\r\n')
  if (lines.length > MOST_FIELDS) return undefined
  const raw: string[] = []
  const values: Record<string, string> = {}
  for (const line of lines) {
    const field = FIELD.exec(line)
    if (field === null) return undefined
    const [, name, value] = field as unknown as [string, string, string]
    const key = name.toLowerCase()
    if (OTHERS.has(key) || Object.hasOwn(values, key)) return undefined
    raw.push(name, value)
    values[key] = value
  }
  const { host, connection = 'keep-alive', 'content-length': length = '0' } = values
  if (host === undefined || host === '' || !CONTENT_LENGTH.test(length)) return undefined
  const option = connection.toLowerCase()
  if (option !== 'keep-alive' && option !== 'close') return undefined
  return { raw, values, isLast: option === 'close', contentLength: Number(length) }
}
