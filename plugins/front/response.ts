import { OutgoingMessage, STATUS_CODES, ServerResponse } from 'node:http'
import type { OutgoingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { FrontConnection } from './connection.ts'
import type { FrontRequest } from './request.ts'

/*
 * A response that is one of node:http's when somebody asks for more than a head and an end: the fields of `ServerResponse` are then made
 * by its own constructor, on this object, and all that it does afterwards is node:http's own.
 *
 *     lean ──writeHead──▶ has a head ──end──▶ is ended        all else, at any time ──▶ whole
 */

type Inner = ServerResponse & {
  _header: string | null
  _closed: boolean
  _last: boolean
  _hasBody: boolean
  _keepAliveTimeout: number
  _maxRequestsPerSocket: number | null
  _contentLength: number | null
  _headerSent: boolean
  finished: boolean
  destroyed: boolean
}

/* As with requests: names that no application has. */
export const WHOLE = Symbol('whole')
export const FLUSHED = Symbol('flushed')
const FRONT = Symbol('front')
const MESSAGE = Symbol('status message')
export const DETACHED = Symbol('detached')

export interface FrontResponse extends Inner {
  /** Made by `ServerResponse`. */
  [WHOLE]: boolean
  [FRONT]: FrontConnection
  /** All of it has been written to the socket. */
  [FLUSHED]: boolean
  /** The connection has gone on to the next. */
  [DETACHED]: boolean
  [MESSAGE]: string | undefined
}

interface Constructor {
  new (front: FrontConnection, request: FrontRequest): FrontResponse
  prototype: FrontResponse
}

/** Fields of node:http's own, in the versions that have them. */
const symbols = Object.getOwnPropertySymbols(new OutgoingMessage())
const symbolOf = (name: string) => symbols.find(({ description }) => description === name) ?? Symbol(name)
const NEED_DRAIN = symbolOf('kNeedDrain')
const WRITABLE_FINISHED = symbolOf('kWritableFinished')
const END_CALLBACKS = symbolOf('kEndCallbacks')

type Fields = Record<symbol, unknown>

export const LeanResponse = function (this: FrontResponse, front: FrontConnection, request: FrontRequest) {
  this[WHOLE] = false
  this[FLUSHED] = false
  this[DETACHED] = false
  this[FRONT] = front
  this[MESSAGE] = undefined
  ;(this as unknown as { req: FrontRequest }).req = request
  this.statusCode = 200
  this._header = null
  this.finished = false
  this.destroyed = false
  this._closed = false
  this._contentLength = null
  // What the application makes of the method afterwards changes nothing.
  this._hasBody = request.method !== 'HEAD'
  this.shouldKeepAlive = !front.isLast
} as unknown as Constructor

const node = ServerResponse.prototype as unknown as Inner & Record<string, unknown>

/** Methods of node:http, for which the response must be whole. */
const METHODS = [
  'write', 'addTrailers', 'appendHeader', 'assignSocket', 'cork', 'destroy', 'detachSocket', 'flushHeaders', 'pipe', 'setHeader', 'setHeaders', 'setTimeout',
  'uncork', 'writeContinue', 'writeEarlyHints', 'writeInformation', 'writeProcessing', '_finish', '_flush', '_flushOutput', '_implicitHeader', '_renderHeaders', '_send', '_storeHeader', '_writeRaw'
]
/** What these say as long as it is lean. Who changes one of them changes that of node:http. */
const LEAN_GETTERS: Record<string, (response: FrontResponse) => unknown> = {
  _defaultKeepAlive: () => true,
  _expect_continue: () => false,
  _keepAliveTimeout: (response) => response[FRONT].keepAliveTimeoutMs,
  _last: (response) => response._header !== null && !response.shouldKeepAlive,
  _removedConnection: () => false,
  _removedContLen: () => false,
  _removedTE: () => false,
  _sent100: () => false,
  _trailer: () => '',
  chunkedEncoding: () => false,
  closed: (response) => response._closed,
  connection: (response) => socketOf(response),
  errored: () => null,
  maxRequestsOnConnectionReached: () => false,
  outputSize: () => 0,
  socket: (response) => socketOf(response),
  useChunkedEncodingByDefault: () => true,
  writable: () => true,
  writableCorked: () => 0,
  writableFinished: (response) => response[FLUSHED],
  writableHighWaterMark: (response) => response[FRONT].socket.writableHighWaterMark,
  writableLength: (response) => socketOf(response)?.writableLength ?? 0,
  writableNeedDrain: () => false
}

const lean: PropertyDescriptorMap = { constructor: { value: ServerResponse, configurable: true, writable: true } }
for (const name of METHODS) {
  const method = node[name] as ((...given: unknown[]) => unknown) | undefined
  if (method === undefined) continue
  lean[name] = {
    configurable: true,
    writable: true,
    value (this: FrontResponse, ...given: unknown[]) {
      return method.apply(makeWhole(this), given)
    }
  }
}
for (const [name, value] of Object.entries(LEAN_GETTERS)) {
  lean[name] = {
    configurable: true,
    get (this: FrontResponse) { return value(this) },
    set (this: FrontResponse, given: unknown) { Object.assign(makeWhole(this), { [name]: given }) }
  }
}
lean.statusMessage = {
  configurable: true,
  get (this: FrontResponse) { return this[MESSAGE] ?? (this._header !== null ? STATUS_CODES[this.statusCode] : undefined) },
  set (this: FrontResponse, message: string) { this[MESSAGE] = message }
}
LeanResponse.prototype = Object.create(node, lean) as FrontResponse
Object.assign(LeanResponse.prototype, {
  sendDate: true,
  strictContentLength: false,
  getHeader (this: FrontResponse, name: string) {
    return this[WHOLE] || typeof name !== 'string' ? node.getHeader.call(makeWhole(this), name) : undefined
  },
  hasHeader (this: FrontResponse, name: string) {
    return this[WHOLE] || typeof name !== 'string' ? node.hasHeader.call(makeWhole(this), name) : false
  },
  getHeaders (this: FrontResponse) {
    return this[WHOLE] ? node.getHeaders.call(this) : Object.create(null)
  },
  getHeaderNames (this: FrontResponse) {
    return this[WHOLE] ? node.getHeaderNames.call(this) : []
  },
  getRawHeaderNames (this: FrontResponse) {
    return this[WHOLE] ? (node.getRawHeaderNames as () => string[]).call(this) : []
  },
  removeHeader (this: FrontResponse, name: string) {
    node.removeHeader.call(makeWhole(this), name)
  },
  writeHead (this: FrontResponse, ...given: [statusCode: number, headers?: OutgoingHttpHeaders]) {
    const [statusCode, headers] = given
    if (!this[WHOLE] && this._header === null && given.length < 3 && typeof headers === 'object' && headers !== null) {
      const head = headOf(this, statusCode, headers)
      if (head !== undefined) {
        this.statusCode = statusCode
        this._header = head
        return this
      }
    }
    return (node.writeHead as unknown as (...given: unknown[]) => FrontResponse).apply(makeWhole(this), given)
  },
  end (this: FrontResponse, chunk?: unknown, encoding?: unknown, callback?: unknown) {
    const isPlain = !this[WHOLE] && this._header !== null && !this.finished && !this.destroyed && !this.strictContentLength && callback == null && (encoding == null || encoding === 'utf8')
    if (isPlain && (chunk == null || typeof chunk === 'string' || chunk instanceof Uint8Array)) {
      this.finished = true
      this[FRONT].send(this, this._header!, chunk ?? undefined)
      return this
    }
    return (node.end as unknown as (...given: unknown[]) => FrontResponse).call(makeWhole(this), chunk, encoding, callback)
  }
})

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
function headOf (response: FrontResponse, statusCode: number, headers: OutgoingHttpHeaders): string | undefined {
  let head = statusLines.get(statusCode)
  if (head === undefined || Array.isArray(headers) || response.shouldKeepAlive === response[FRONT].isLast || !response.sendDate || response[MESSAGE] !== undefined || response.strictContentLength) return undefined
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
  return head + response[FRONT].endOfHead()
}

function kindOf (name: string): number {
  const lower = name.toLowerCase()
  // Of another case, too: there may be the same name twice.
  const kind = !TOKEN.test(name) || OTHERS.includes(lower) || lower !== name ? Kind.OTHER : Kind.PLAIN
  if (kinds.size < MOST_KINDS) kinds.set(name, kind)
  return kind
}

/** What node:http would have given to its handler, as far as it has come. */
export function makeWhole (response: FrontResponse): FrontResponse {
  if (response[WHOLE]) return response
  const { [FRONT]: front, [MESSAGE]: message, statusCode, _header, _contentLength, _hasBody, _last, finished, destroyed, _closed, sendDate, shouldKeepAlive, strictContentLength } = response
  const { req: request } = response as unknown as { req: FrontRequest }
  response[WHOLE] = true
  if (Object.getPrototypeOf(response) === LeanResponse.prototype) Object.setPrototypeOf(response, ServerResponse.prototype)
  ;(ServerResponse as unknown as (this: FrontResponse, request: FrontRequest) => void).call(response, request)
  Object.assign(response, { statusCode, sendDate, shouldKeepAlive, strictContentLength, _hasBody, _keepAliveTimeout: front.keepAliveTimeoutMs })
  response._contentLength = _contentLength
  if (message !== undefined || _header !== null) response.statusMessage = message ?? STATUS_CODES[statusCode]!
  if (finished || _closed) {
    // It has left nothing to be done.
    Object.assign(response, { finished, destroyed, _closed, _header, _last, _headerSent: finished, [WRITABLE_FINISHED]: response[FLUSHED] })
    if (!response[DETACHED]) attach(response, front.socket)
    return response
  }
  front.serveWhole(request, response)
  if (_header !== null) Object.assign(response, { _header, _last })
  return response
}

/** What `destroy` of node:http destroys. */
export function attach (response: FrontResponse, socket: Socket | null): void {
  (response as { socket: Socket | null }).socket = socket
}

/** A response has become whole after its end, and is flushed only now. */
export function finish (response: FrontResponse): void {
  const fields = response as unknown as Fields
  fields[WRITABLE_FINISHED] = true
  const callbacks = fields[END_CALLBACKS] as Array<(error: null) => void> | null | undefined
  fields[END_CALLBACKS] = null
  for (const callback of callbacks ?? []) callback(null)
}

/** The socket has room again. */
export function drain (response: FrontResponse): void {
  const fields = response as unknown as Fields
  if (response.finished || fields[NEED_DRAIN] === false || response.writableLength > 0) return
  fields[NEED_DRAIN] = false
  response.emit('drain')
}

function socketOf (response: FrontResponse): Socket | null {
  return response[DETACHED] ? null : response[FRONT].socket
}
