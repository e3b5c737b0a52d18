import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { STATUS_CODES } from 'node:http'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { mayBecomePlain, readHeaders, readRequestLine } from './head.ts'
import type { Headers, RequestLine } from './head.ts'
import { LeanRequest, complete, endRequest, makeWhole as makeRequestWhole, requestWithBody } from './request.ts'
import type { FrontRequest } from './request.ts'
import { DETACHED, FLUSHED, LeanResponse, WHOLE, attach, drain, finish } from './response.ts'
import type { FrontResponse } from './response.ts'
import type { FrontServer } from './server.ts'

/** As node:http leaves its marks on a socket. */
export type HttpSocket = Socket & {
  parser?: unknown
  server?: Server
  _httpMessage?: FrontResponse | null
  _paused?: boolean
}

/** A body up to this size is waited for and handed over whole. */
const LONGEST_BODY = 65_536
/** More that came before its turn is left in the socket. */
const MOST_AHEAD = 65_536
/** So long the rest of a request may take that did not come at once; then it is node:http's, with its time-outs. */
const REST_MS = 20

/** What `toString('latin1', …)` ends in, without its checks. */
type Latin1 = Buffer & { latin1Slice (start: number, end: number): string }

const refusalOf = (status: number) => `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`
const BAD_REQUEST = refusalOf(400)
const REQUEST_TIMEOUT = refusalOf(408)
const END_OF_HEAD = Buffer.from('\r\n\r\n')

/** A connection for as long as all that comes on it is plain. */
export class FrontConnection {
  readonly socket: HttpSocket
  /** The answer that is being made. */
  response: FrontResponse | undefined
  /** When the last answer was sent, or the connection came. */
  idleSinceMs = performance.now()
  requests = 0
  /** The client wants no other answer after this one. */
  isLast = false
  /** Runs what is of no request. */
  readonly #inOwnContext: <R>(fn: () => R) => R = AsyncLocalStorage.snapshot()
  readonly #server: FrontServer
  #rest: Buffer | undefined
  #restTimer: NodeJS.Timeout | undefined
  #isPaused = false
  #isReading = false
  #isGone = false
  #isHeard = false
  #lastHeaders: Headers | undefined
  #lastText = ''

  constructor (server: FrontServer, socket: HttpSocket) {
    this.#server = server
    this.socket = socket
    socket.server = server.server
    // Those who ask whether a connection speaks HTTP look for one.
    socket.parser = this
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.on('timeout', this.#onTimeout)
  }

  /** As node:http asks its parser. */
  get incoming (): FrontRequest | null {
    return (this.response as { req?: FrontRequest } | undefined)?.req ?? null
  }

  get isIdle (): boolean {
    return this.response === undefined && this.#rest === undefined
  }

  get keepAliveTimeoutMs (): number {
    return this.#server.server.keepAliveTimeout
  }

  /** Another request, or the beginning of one, has come behind the one that is being answered. */
  get hasMore (): boolean {
    return this.#rest !== undefined
  }

  /** The lines that stand in every head, and the empty one. */
  endOfHead (): string {
    return this.isLast ? this.#server.lastEndOfHead() : this.#server.endOfHead()
  }

  /** Sends an answer of a head and a body. */
  send (response: FrontResponse, head: string, body: string | Uint8Array | undefined): void {
    const { socket } = this
    // The client has closed its side, and so have we: as with node:http, this goes nowhere, and ends with the connection.
    if (!socket.writable) return
    // Where somebody listens, what follows an answer follows its 'finish', which they may hold back.
    this.#isHeard = hasListeners(response) || response.emit !== EventEmitter.prototype.emit
    if (this.#isHeard) response.prependListener('finish', this.#onFinish)
    if (body === undefined || body.length === 0 || !response._hasBody) {
      socket.write(head, 'latin1', this.#onFlushed)
    } else if (typeof body === 'string') {
      // As many bytes as characters: it is all ASCII, which is written faster.
      socket.write(head + body, Buffer.byteLength(body) === body.length ? 'latin1' : 'utf8', this.#onFlushed)
    } else {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body, this.#onFlushed)
      socket.uncork()
    }
    if (this.#isHeard) response.emit('prefinish')
  }

  /** The answer is node:http's from now on. */
  serveWhole (request: FrontRequest, response: FrontResponse): void {
    const { socket } = this
    const { server } = this.#server
    socket._httpMessage = null
    response._maxRequestsPerSocket = server.maxRequestsPerSocket
    response.assignSocket(socket)
    socket.on('drain', this.#onDrain)
    response.prependListener('finish', () => {
      socket.off('drain', this.#onDrain)
      response.detachSocket(socket)
      this.#onAnswered(request, response, response._last)
    })
  }

  destroy (): void {
    this.socket.destroy()
  }

  /** Nothing has come for as long as a request may take. */
  refuseLate (): void {
    // Once: who listens to clientError may let it stay.
    this.idleSinceMs = Infinity
    this.#refuse(Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }))
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#rest !== undefined) chunk = Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    if (this.response === undefined) return this.#read(chunk)
    this.#keep(chunk)
  }

  /** Reads requests, one after another: the next one when the last one is answered. */
  #read (bytes: Buffer): void {
    // A handler that answers at once does not make this go deeper.
    if (this.#isReading) return this.#keep(bytes)
    this.#isReading = true
    try {
      let next: Buffer | undefined = bytes
      while (next !== undefined && !this.#isGone) {
        next = this.#readOne(next)
        if (next !== undefined && this.response !== undefined) {
          this.#keep(next)
          next = undefined
        }
        if (next === undefined && this.response === undefined && this.#rest !== undefined && this.#restTimer === undefined) {
          next = this.#rest
          this.#rest = undefined
        }
      }
    } finally {
      // A handler may throw, and the process live on.
      this.#isReading = false
    }
  }

  /** Serves the request at the beginning of these bytes, and gives those behind it. */
  #readOne (bytes: Buffer): Buffer | undefined {
    const headEnd = bytes.indexOf(END_OF_HEAD)
    if (headEnd < 0) return mayBecomePlain(bytes) ? this.#await(bytes) : this.#handOver(bytes)
    const end = headEnd + END_OF_HEAD.length
    if (end > this.#server.longestHead) return this.#handOver(bytes)
    const text = (bytes as Latin1).latin1Slice(0, end)
    const line = readRequestLine(text)
    if (line === undefined) return this.#handOver(bytes)
    const headers = this.#headersOf(text, line)
    if (headers === undefined || headers.contentLength > LONGEST_BODY || this.#server.isOdd) return this.#handOver(bytes)
    const next = end + headers.contentLength
    if (bytes.length < next) return this.#await(bytes)
    this.#serve(line, headers, headers.contentLength === 0 ? undefined : bytes.subarray(end, next))
    return bytes.length > next ? bytes.subarray(next) : undefined
  }

  /** A client sends the same headers again and again. */
  #headersOf (text: string, { end }: RequestLine): Headers | undefined {
    const own = text.slice(end)
    if (own !== this.#lastText) {
      this.#lastHeaders = readHeaders(own)
      this.#lastText = own
    }
    return this.#lastHeaders
  }

  #serve ({ method, url }: RequestLine, headers: Headers, body: Buffer | undefined): void {
    this.requests++
    this.isLast = headers.isLast
    const request = body === undefined ? new LeanRequest(this.socket, method, url, headers, undefined) : requestWithBody(this.socket, method, url, headers, body)
    const response = new LeanResponse(this, request)
    this.response = response
    this.socket._httpMessage = response
    this.#server.server.emit('request', request, response)
    complete(request)
  }

  /** The rest is not there yet. */
  #await (bytes: Buffer): undefined {
    if (bytes.length > this.#server.longestHead + LONGEST_BODY) return this.#handOver(bytes)
    this.#rest = bytes
    this.#restTimer ??= setTimeout(() => {
      this.#restTimer = undefined
      const rest = this.#rest
      // What has come behind a request that is being answered waits for its turn.
      if (rest === undefined || this.response !== undefined) return
      this.#rest = undefined
      this.#handOver(rest)
    }, REST_MS)
    return undefined
  }

  #keep (bytes: Buffer): void {
    this.#rest = this.#rest === undefined ? bytes : Buffer.concat([bytes, this.#rest])
    if (this.#rest.length <= MOST_AHEAD) return
    this.#isPaused = true
    // So that a request of which somebody reads the body does not go on with the socket.
    this.socket._paused = true
    this.socket.pause()
  }

  /** Gives the socket, and what was read of it, to node:http, which keeps it. */
  #handOver (bytes: Buffer): undefined {
    const { socket } = this
    this.#leave()
    socket._paused = false
    socket.parser = undefined
    socket.pause()
    socket.unshift(bytes)
    this.#server.serveByNode(socket)
    socket.resume()
    return undefined
  }

  #leave (): void {
    this.#isGone = true
    clearTimeout(this.#restTimer)
    this.socket.off('data', this.#onData)
    this.socket.off('end', this.#onEnd)
    this.socket.off('error', this.#onError)
    this.socket.off('close', this.#onClose)
    this.socket.off('timeout', this.#onTimeout)
    this.#server.connections.delete(this)
  }

  /** A lean answer has left the process. */
  readonly #onFlushed = (error?: Error | null): void => {
    const { response } = this
    if (response === undefined || error != null) return
    response[FLUSHED] = true
    if (response[WHOLE]) finish(response)
    if (!this.#isHeard) this.#onFinish()
    if (hasListeners(response)) response.emit('finish')
  }

  readonly #onFinish = (): void => {
    const { response } = this
    if (response !== undefined) this.#onAnswered(incomingOf(response), response, this.isLast)
  }

  #onAnswered (request: FrontRequest, response: FrontResponse, isLast: boolean): void {
    const { socket } = this
    this.response = undefined
    socket._httpMessage = null
    this.idleSinceMs = performance.now()
    response[DETACHED] = true
    if (response[WHOLE]) attach(response, null)
    // Somebody has set one for this answer.
    if (socket.timeout) socket.setTimeout(0)
    endRequest(request)
    process.nextTick(emitClose, response)
    if (isLast) return socket.destroySoon()
    const rest = this.#rest
    if (rest === undefined || this.#isGone) return
    this.#rest = undefined
    if (this.#isPaused) {
      this.#isPaused = false
      socket._paused = false
      socket.resume()
    }
    // What the last request has entered is not for the next one.
    this.#inOwnContext(() => this.#read(rest))
  }

  readonly #onDrain = (): void => {
    const { response } = this
    if (response?.[WHOLE] === true) drain(response)
  }

  readonly #onEnd = (): void => {
    const { socket } = this
    const rest = this.#rest
    if (rest !== undefined && this.response === undefined) {
      const code = 'HPE_INVALID_EOF_STATE'
      return this.#refuse(Object.assign(new Error('Parse Error: Invalid EOF state'), { code, bytesParsed: rest.length, rawPacket: rest }))
    }
    socket.end()
  }

  readonly #onTimeout = (): void => {
    const { socket, response } = this
    const isHeard = response?.emit('timeout', socket)
    if (!this.#server.server.emit('timeout', socket) && isHeard !== true) socket.destroy()
  }

  readonly #onError = (error: Error): void => this.#refuse(error)

  /** As node:http does, of whatever is wrong with a connection. */
  #refuse (error: Error): void {
    const { socket, response } = this
    socket.off('error', this.#onError)
    socket.on('error', () => {})
    if (this.#server.server.emit('clientError', error, socket)) return
    if (socket.writable && (response === undefined || response._header === null)) socket.write((error as NodeJS.ErrnoException).code === 'ERR_HTTP_REQUEST_TIMEOUT' ? REQUEST_TIMEOUT : BAD_REQUEST)
    socket.destroy(error)
  }

  readonly #onClose = (): void => {
    const { response } = this
    this.#leave()
    if (response === undefined) return
    this.response = undefined
    makeRequestWhole(incomingOf(response)).destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }))
    if (response[WHOLE]) return
    response.destroyed = true
    emitClose(response)
  }
}

export function incomingOf (response: FrontResponse): FrontRequest {
  return response.req as unknown as FrontRequest
}

function hasListeners (emitter: object): boolean {
  return ((emitter as { _eventsCount?: number })._eventsCount ?? 0) > 0
}

function emitClose (response: FrontResponse): void {
  if (response._closed) return
  response.destroyed = true
  response._closed = true
  response.emit('close')
}
