import { OutgoingMessage, STATUS_CODES, ServerResponse } from 'node:http'
import type { OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { FrontConnection } from './connection.ts'
import type { FrontRequest } from './request.ts'

/** What node:http keeps to itself. */
interface Inner extends ServerResponse<FrontRequest> {
  socket: Socket | null
  destroyed: boolean
  _header: string | null
  _headerSent: boolean
  _closed: boolean
  _contentLength: number | null
  _hasBody: boolean
  _keepAliveTimeout: number
  _last: boolean
  _maxRequestsPerSocket: number | null
  _removedConnection: boolean
  _removedContLen: boolean
  _removedTE: boolean
  _finish (): void
}
const nodes = ServerResponse.prototype as Inner
const NodeResponse = ServerResponse as unknown as new (request: FrontRequest) => Inner

/** Fields of node:http's own, in the versions that have them. */
const symbols = Object.getOwnPropertySymbols(new OutgoingMessage())
const symbolOf = (name: string) => symbols.find(({ description }) => description === name) ?? Symbol(name)
const HEADERS = symbolOf('kOutHeaders')
const NEED_DRAIN = symbolOf('kNeedDrain')
const WRITABLE_FINISHED = symbolOf('kWritableFinished')
const END_CALLBACKS = symbolOf('kEndCallbacks')

type Fields = Record<symbol, unknown>

/* Names that no application has. */
const FRONT = Symbol('front')
const HEAD = Symbol('head')

/**
 * A response of node:http, by its own constructor: what an application does with it, node:http does. For most of all answers
 * two methods have a short way beside its own: `writeHead` with plain headers, and the `end` behind a head.
 */
export class FrontResponse extends NodeResponse {
  declare readonly [FRONT]: FrontConnection
  /** What the short way has made: all of it is ASCII. */
  declare private [HEAD]: string | null

  static {
    // Of what class it is, it says as those of node:http do.
    Object.defineProperty(this.prototype, 'constructor', { value: ServerResponse, configurable: true, writable: true })
  }

  constructor (front: FrontConnection, request: FrontRequest) {
    super(request)
    this[FRONT] = front
    this[HEAD] = null
    // Its own, since Express puts prototypes of its own in the place of ours.
    this._finish = awaitFinish
    this.socket = front.socket
    this.shouldKeepAlive = !front.isLast
    this._keepAliveTimeout = front.keepAliveTimeoutMs
    this._maxRequestsPerSocket = front.maxRequestsPerSocket
  }

  override writeHead (statusCode: number, reason?: string | OutgoingHttpHeaders | OutgoingHttpHeader[], headers?: OutgoingHttpHeaders | OutgoingHttpHeader[]): this {
    if (typeof reason === 'object' && headers === undefined && this._header === null) {
      const head = headOf(this, this[FRONT], statusCode, reason as OutgoingHttpHeaders)
      if (head !== undefined) {
        this.statusCode = statusCode
        this.statusMessage = STATUS_CODES[statusCode]!
        this._last = !this.shouldKeepAlive
        this[HEAD] = this._header = head
        return this
      }
    }
    return super.writeHead(statusCode, reason as string, headers)
  }

  override end (chunk?: unknown, encoding?: unknown, callback?: unknown): this {
    const { [FRONT]: front, [HEAD]: head, socket } = this
    const isShort = head !== null && this._header === head && !this._headerSent && !this.finished && !this.destroyed && !this.strictContentLength &&
      callback == null && (encoding == null || encoding === 'utf8') && (chunk == null || typeof chunk === 'string' || chunk instanceof Uint8Array) &&
      this.writableCorked === 0 && socket === front.socket && socket.writableCorked === 0
    if (!isShort) return super.end(chunk, encoding as BufferEncoding, callback as () => void)
    this.finished = true
    this._headerSent = true
    front.send(this, head, chunk ?? undefined)
    return this
  }
}

/** Of node:http's own way: all has been given to the socket, and 'finish' comes when it has left. */
function awaitFinish (this: FrontResponse): void {
  this[FRONT].awaitFinish(this)
  nodes._finish.call(this)
}

/** Only in node:http's own methods are there names such as this. */
const OF_NODE = /\[k[A-Z]\w+\]/
const { writeHead, end } = nodes
const isOfNode = [writeHead, end].every((method) => OF_NODE.test(String(method)))

/** Somebody watches responses by methods in the place of node:http's, which the short ways would leave out. */
export const isPatched = (): boolean => !isOfNode || nodes.writeHead !== writeHead || nodes.end !== end

const statusLines = new Map<number, string>(Object.entries(STATUS_CODES)
  .filter(([code]) => Number(code) >= 200)
  .map(([code, reason]) => [Number(code), `HTTP/1.1 ${code} ${reason}\r\n`]))

/** How the names of headers are to be taken: as they are, as the length of the content, or by node:http. */
const Kind = { PLAIN: 0, LENGTH: 1, OTHER: 2 } as const
const kinds = new Map<string, number>([['content-length', Kind.LENGTH]])
const MOST_KINDS = 1000
const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/
/** With these in a response node:http does more than to write them down. */
const OTHERS = ['connection', 'keep-alive', 'transfer-encoding', 'date', 'trailer', 'expect', 'upgrade', 'content-disposition']
const NOT_VISIBLE = /[^\t -~]/

/** The head as node:http would write it. Undefined: it is to do so itself. */
function headOf (response: FrontResponse, front: FrontConnection, statusCode: number, headers: OutgoingHttpHeaders): string | undefined {
  let head = statusLines.get(statusCode)
  const isSet = (response as unknown as Fields)[HEADERS] !== null || response.shouldKeepAlive === front.isLast || !response.sendDate || response.statusMessage !== undefined ||
    response.strictContentLength || response._removedConnection || response._removedContLen || response._removedTE
  if (head === undefined || isSet || headers === null || Array.isArray(headers)) return undefined
  let length: string | number | undefined
  for (const name in headers) {
    const kind = kinds.get(name) ?? kindOf(name)
    const value = headers[name]
    if (kind === Kind.OTHER || !Object.hasOwn(headers, name)) return undefined
    if (kind === Kind.LENGTH) {
      if (length !== undefined || !/^\d+$/.test(String(value))) return undefined
      length = value as string
    }
    if (typeof value === 'string') {
      if (NOT_VISIBLE.test(value)) return undefined
      head += `${name}: ${value}\r\n`
    } else if (typeof value === 'number') {
      head += `${name}: ${value}\r\n`
    } else if (Array.isArray(value) && name === 'set-cookie') {
      for (const one of value) {
        if (typeof one !== 'string' || NOT_VISIBLE.test(one)) return undefined
        head += `${name}: ${one}\r\n`
      }
    } else {
      return undefined
    }
  }
  const isEmpty = statusCode === 204 || statusCode === 304
  // Its end is told by chunks, or by that of the connection.
  if (length === undefined && !isEmpty) return undefined
  if (length !== undefined) response._contentLength = Number(length)
  if (isEmpty) response._hasBody = false
  return head + front.endOfHead()
}

function kindOf (name: string): number {
  const lower = name.toLowerCase()
  // Of another case, too: there may be the same name twice.
  const kind = !TOKEN.test(name) || OTHERS.includes(lower) || lower !== name ? Kind.OTHER : Kind.PLAIN
  if (kinds.size < MOST_KINDS) kinds.set(name, kind)
  return kind
}

/** All of it has been written to the socket: as node:http then says, but for 'finish'. */
export function finish (response: FrontResponse): void {
  const fields = response as unknown as Fields
  fields[WRITABLE_FINISHED] = true
  const callbacks = fields[END_CALLBACKS] as Array<(error: null) => void> | null | undefined
  if (callbacks == null) return
  fields[END_CALLBACKS] = null
  for (const callback of callbacks) callback(null)
}

/** The socket has room again. */
export function drain (response: FrontResponse): void {
  const fields = response as unknown as Fields
  if (response.finished || fields[NEED_DRAIN] !== true || response.writableLength > 0) return
  fields[NEED_DRAIN] = false
  response.emit('drain')
}
