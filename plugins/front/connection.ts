import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { STATUS_CODES } from 'node:http'
import type { Server } from 'node:http'
import { Socket } from 'node:net'
import { HeadReader } from './head.ts'
import type { Head } from './head.ts'
import { copyOf, readInto, shared } from './reading.ts'
import { LeanRequest, complete, endRequest, isFollowed, makeWhole as makeRequestWhole, requestWithBody } from './request.ts'
import type { FrontRequest } from './request.ts'
import { FrontResponse, drain, finish } from './response.ts'
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

/** Not those that a test may put in their place while it runs. */
const { clearTimeout, setTimeout } = globalThis

const refusalOf = (status: number) => `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`
const BAD_REQUEST = refusalOf(400)
const REQUEST_TIMEOUT = refusalOf(408)

/** A connection for as long as all that comes on it is plain. */
export class FrontConnection {
  readonly socket: HttpSocket
  /** The answer that is being made. */
  response: FrontResponse | undefined
  /** That, when all of it has left the process. */
  #flushed: FrontResponse | undefined
  /** When the last answer was sent, or the connection came. */
  idleSinceMs = performance.now()
  requests = 0
  /** The client wants no other answer after this one. */
  isLast = false
  /** Runs what is of no request. */
  readonly #inOwnContext: <R>(fn: () => R) => R = AsyncLocalStorage.snapshot()
  readonly #server: FrontServer
  readonly #heads = new HeadReader()
  #rest: Buffer | undefined
  #restTimer: NodeJS.Timeout | undefined
  #isPaused = false
  #isReading = false
  /** The socket is node:http's, or closed. */
  #isGone = false
  /** The last answer has been sent. */
  #isDone = false
  /** Somebody listens to the answer that is being made. */
  #isHeard = false

  constructor (server: FrontServer, socket: HttpSocket) {
    this.#server = server
    this.socket = socket
    socket.server = server.server
    // Those who ask whether a connection speaks HTTP look for one.
    socket.parser = this
    // What the stream already has comes first, and where it was paused, that is not for the front to end.
    if (socket.readableLength === 0 && socket.readableFlowing !== false) readInto(socket, this.#onRead)
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.on('timeout', this.#onTimeout)
    socket.on('drain', this.#onDrain)
  }

  /** As node:http asks its parser. */
  get incoming (): FrontRequest | null {
    return this.response?.req ?? null
  }

  get isIdle (): boolean {
    return this.response === undefined && this.#rest === undefined && !this.#isReading
  }

  get keepAliveTimeoutMs (): number {
    return this.#server.server.keepAliveTimeout
  }

  get maxRequestsPerSocket (): number | null {
    return this.#server.server.maxRequestsPerSocket
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
    if (hasListeners(response) || isFollowed(response.req) || response.emit !== EventEmitter.prototype.emit) this.awaitFinish(response)
    if (body === undefined || body.length === 0 || !response._hasBody) {
      this.#write(head, 'latin1')
    } else if (typeof body === 'string') {
      // As many bytes as characters: it is all ASCII, which is written faster.
      this.#write(head + body, Buffer.byteLength(body) === body.length ? 'latin1' : 'utf8')
    } else {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body, this.#onStreamed)
      socket.uncork()
    }
    if (this.#isHeard) response.emit('prefinish')
  }

  /** What follows an answer follows its 'finish'. */
  awaitFinish (response: FrontResponse): void {
    if (this.#isHeard || this.response !== response) return
    this.#isHeard = true
    response.prependListener('finish', () => this.#onAnswered(response))
  }

  #write (text: string, encoding: BufferEncoding): void {
    const { socket } = this
    // With nothing before it, it need not go through the socket's stream, which takes as long again.
    const isNext = socket.writableLength === 0 && socket.writableCorked === 0 && socket._write === Socket.prototype._write && socket.write === Socket.prototype.write
    if (isNext) socket._write(text, encoding, this.#onWritten)
    else socket.write(text, encoding, this.#onStreamed)
  }

  /** By the short way. */
  readonly #onWritten = (error?: Error | null): void => {
    if (error != null) {
      this.socket.destroy(error)
      return
    }
    if (this.socket.destroyed) return
    this.#flushed = this.response
    if (this.#isHeard || this.isLast || this.#rest !== undefined) process.nextTick(this.#onFlushed)
    else this.#server.callLater(this.#onFlushed)
  }

  /** By the socket's stream. */
  readonly #onStreamed = (error?: Error | null): void => {
    if (error != null) return
    this.#flushed = this.response
    this.#onFlushed()
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

  /** False: the socket is to stop reading. */
  readonly #onRead = (bytes: number): boolean => {
    this.#server.callNow()
    if (this.#isGone) return this.socket.push(copyOf(shared, 0, bytes))
    if (this.#isDone) return true
    if (this.#rest !== undefined || this.response !== undefined) this.#onData(copyOf(shared, 0, bytes))
    else this.#read(shared, bytes)
    return true
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#server.callNow()
    if (this.#isDone) return
    if (this.#rest !== undefined) chunk = Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    if (this.response === undefined) return this.#read(chunk, chunk.length)
    this.#keep(chunk)
  }

  /** Reads requests, one after another: the next one when the last one is answered. */
  #read (bytes: Buffer, end: number): void {
    // A handler that answers at once does not make this go deeper.
    if (this.#isReading) return this.#keep(copyOf(bytes, 0, end))
    this.#isReading = true
    try {
      for (let from = 0; !this.#isGone;) {
        if (from < end) {
          if (this.response !== undefined) {
            if (this.#flushed !== undefined) process.nextTick(this.#onFlushed)
            return this.#keep(copyOf(bytes, from, end))
          }
          from = this.#readOne(bytes, from, end)
        } else {
          if (this.response !== undefined || this.#rest === undefined || this.#restTimer !== undefined) return
          bytes = this.#rest
          this.#rest = undefined
          from = 0
          end = bytes.length
        }
      }
    } finally {
      // A handler may throw, and the process live on.
      this.#isReading = false
    }
  }

  /** Serves the request that begins there, and says where the one behind it does. */
  #readOne (bytes: Buffer, from: number, to: number): number {
    const head = this.#heads.read(bytes, from, to, this.#server.longestHead)
    if (head === 'incomplete') return this.#await(bytes, from, to)
    if (head === undefined || head.headers.contentLength > LONGEST_BODY || this.#server.isOdd) return this.#handOver(bytes, from, to)
    const bodyAt = from + head.bytes
    const next = bodyAt + head.headers.contentLength
    if (to < next) return this.#await(bytes, from, to)
    this.#serve(head, next === bodyAt ? undefined : copyOf(bytes, bodyAt, next))
    return next
  }

  #serve ({ method, url, headers }: Head, body: Buffer | undefined): void {
    this.requests++
    this.isLast = headers.isLast
    const request = body === undefined ? new LeanRequest(this.socket, method, url, headers, undefined) : requestWithBody(this.socket, method, url, headers, body)
    const response = new FrontResponse(this, request)
    this.#isHeard = false
    this.response = response
    this.socket._httpMessage = response
    this.#server.server.emit('request', request, response)
    complete(request)
  }

  /** The rest is not there yet. */
  #await (bytes: Buffer, from: number, to: number): number {
    if (to - from > this.#server.longestHead + LONGEST_BODY) return this.#handOver(bytes, from, to)
    this.#rest = copyOf(bytes, from, to)
    this.#restTimer ??= setTimeout(() => {
      this.#restTimer = undefined
      const rest = this.#rest
      // What has come behind a request that is being answered waits for its turn.
      if (rest === undefined || this.response !== undefined) return
      this.#rest = undefined
      this.#handOver(rest, 0, rest.length)
    }, REST_MS)
    return to
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
  #handOver (bytes: Buffer, from: number, to: number): number {
    const { socket } = this
    this.#leave()
    socket._paused = false
    socket.parser = undefined
    socket.pause()
    socket.unshift(copyOf(bytes, from, to))
    this.#server.serveByNode(socket)
    socket.resume()
    return to
  }

  #leave (): void {
    this.#isGone = true
    clearTimeout(this.#restTimer)
    this.socket.off('data', this.#onData)
    this.socket.off('end', this.#onEnd)
    this.socket.off('error', this.#onError)
    this.socket.off('close', this.#onClose)
    this.socket.off('timeout', this.#onTimeout)
    this.socket.off('drain', this.#onDrain)
    this.#server.connections.delete(this)
  }

  /** An answer has left the process. */
  readonly #onFlushed = (): void => {
    const response = this.#flushed
    // Whose handler is still running has more time than that.
    if (this.#isReading && response !== undefined) return process.nextTick(this.#onFlushed)
    this.#flushed = undefined
    if (response === undefined || response !== this.response) return
    finish(response)
    if (!this.#isHeard) this.#onAnswered(response)
    if (hasListeners(response)) response.emit('finish')
  }

  #onAnswered (response: FrontResponse): void {
    if (this.response !== response) return
    const { socket } = this
    this.response = undefined
    socket._httpMessage = null
    this.idleSinceMs = performance.now()
    response.socket = null
    // Somebody has set one for this answer.
    if (socket.timeout) socket.setTimeout(0)
    endRequest(response.req)
    if (hasListeners(response)) process.nextTick(emitClose, response)
    else response.destroyed = response._closed = true
    if (response._last) return this.#endAfterLast()
    // A handler that throws is not to keep others from hearing of this answer.
    if (this.#isHeard) process.nextTick(this.#readOn)
    else this.#readOn()
  }

  readonly #readOn = (): void => {
    const { socket } = this
    const rest = this.#rest
    if (rest === undefined || this.#isGone || this.response !== undefined) return
    this.#rest = undefined
    if (this.#isPaused) {
      this.#isPaused = false
      socket._paused = false
      socket.resume()
    }
    // What the last request has entered is not for the next one.
    this.#inOwnContext(() => this.#read(rest, rest.length))
  }

  /** Of what has come behind the last request, nothing is read. */
  #endAfterLast (): void {
    const { socket } = this
    this.#isDone = true
    this.#rest = undefined
    clearTimeout(this.#restTimer)
    if (typeof socket.destroySoon === 'function') socket.destroySoon()
    else socket.end()
  }

  readonly #onDrain = (): void => {
    if (this.response !== undefined) drain(this.response)
  }

  readonly #onEnd = (): void => {
    const { socket } = this
    // What was to be read in the next tick has come before this.
    this.#readOn()
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
    if (socket.writable && (response === undefined || !response._headerSent)) socket.write((error as NodeJS.ErrnoException).code === 'ERR_HTTP_REQUEST_TIMEOUT' ? REQUEST_TIMEOUT : BAD_REQUEST)
    socket.destroy(error)
  }

  readonly #onClose = (): void => {
    this.#leave()
    this.#onFlushed()
    const { response } = this
    if (response === undefined) return
    this.response = undefined
    makeRequestWhole(response.req).destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }))
    emitClose(response)
  }
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
