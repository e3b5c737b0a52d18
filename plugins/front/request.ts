import { IncomingMessage } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { Socket } from 'node:net'
import type { Headers } from './head.ts'
import { makeWhole as makeResponseWhole } from './response.ts'
import type { FrontResponse } from './response.ts'

/*
 * A request that is one of node:http's when somebody asks for more than its line and headers: its fields are then made by the constructor of
 * `IncomingMessage` itself, on this object, so that all that it does afterwards is node:http's own. What is the front's has symbols for names:
 * applications have `request.body` and what not.
 */
export const WHOLE = Symbol('whole')
const PLAIN = Symbol('plain')
const BODY = Symbol('body')
const HEADERS = Symbol('headers')
const RAW = Symbol('raw headers')
const ANSWERED = Symbol('answered')

type Inner = IncomingMessage & {
  _readableState: object
  _consuming: boolean
  _dumped: boolean
  _dump (): void
  _addHeaderLines (raw: readonly string[], count: number): void
}

export interface FrontRequest extends Inner {
  /** Made by `IncomingMessage`. */
  [WHOLE]: boolean
  [PLAIN]: Headers
  [BODY]: Buffer | undefined
  [HEADERS]: IncomingHttpHeaders | undefined
  [RAW]: string[] | undefined
  [ANSWERED]: boolean
}

interface Constructor {
  new (socket: Socket, method: string, url: string, plain: Headers, body: Buffer | undefined): FrontRequest
  prototype: FrontRequest
}

export const LeanRequest = function (this: FrontRequest, socket: Socket, method: string, url: string, plain: Headers, body: Buffer | undefined) {
  this[WHOLE] = false
  this.socket = socket
  this.method = method
  this.url = url
  this.complete = false
  this[PLAIN] = plain
  this[BODY] = body
  this[HEADERS] = undefined
  this[RAW] = undefined
  this[ANSWERED] = false
} as unknown as Constructor

const { get: nodeHeaders, set: setNodeHeaders } = Object.getOwnPropertyDescriptor(IncomingMessage.prototype, 'headers')!

const lean: PropertyDescriptorMap = {
  constructor: { value: IncomingMessage, configurable: true, writable: true },
  headers: {
    get (this: FrontRequest) { return this[WHOLE] ? nodeHeaders!.call(this) : (this[HEADERS] ??= { ...this[PLAIN].values }) },
    set (this: FrontRequest, headers: IncomingHttpHeaders) {
      if (this[WHOLE]) setNodeHeaders!.call(this, headers)
      else this[HEADERS] = headers
    }
  },
  rawHeaders: {
    get (this: FrontRequest) { return (this[RAW] ??= [...this[PLAIN].raw]) },
    set (this: FrontRequest, raw: string[]) { this[RAW] = raw }
  },
  client: {
    get (this: FrontRequest) { return this.socket },
    set () {}
  },
  // Express sets this before it puts prototypes of its own in the place of ours.
  res: {
    get () { return undefined },
    set (this: FrontRequest, response: FrontResponse) {
      makeWhole(this)
      if (response === (this.socket as { _httpMessage?: unknown })._httpMessage) makeResponseWhole(response)
      keep(this, 'res', response)
    }
  },
  _consuming: fieldOf('_consuming', (request) => request[ANSWERED]),
  _dumped: fieldOf('_dumped', (request) => request[ANSWERED]),
  // All methods and fields of a stream look at this first.
  _readableState: fieldOf('_readableState', (request) => makeWhole(request)._readableState),
  rawTrailers: fieldOf('rawTrailers', (request) => makeWhole(request).rawTrailers)
}
for (const name of ['headersDistinct', 'signal', 'trailers', 'trailersDistinct']) {
  const descriptor = Object.getOwnPropertyDescriptor(IncomingMessage.prototype, name)
  // Not each version of node:http has all of them.
  if (descriptor === undefined) continue
  lean[name] = {
    configurable: true,
    get (this: FrontRequest) { return descriptor.get!.call(makeWhole(this)) },
    set (this: FrontRequest, value: unknown) { descriptor.set?.call(makeWhole(this), value) }
  }
}

/** A field of the constructor of `IncomingMessage`, and what it is before that. */
function fieldOf (name: string, value: (request: FrontRequest) => unknown): PropertyDescriptor {
  return {
    configurable: true,
    get (this: FrontRequest) { return value(this) },
    set (this: FrontRequest, given: unknown) { keep(this, name, given) }
  }
}

function keep (request: FrontRequest, name: string, value: unknown): void {
  Object.defineProperty(request, name, { value, configurable: true, enumerable: true, writable: true })
}

LeanRequest.prototype = Object.create(IncomingMessage.prototype, lean) as FrontRequest

Object.assign(LeanRequest.prototype, {
  httpVersion: '1.1',
  httpVersionMajor: 1,
  httpVersionMinor: 1,
  aborted: false,
  upgrade: false,
  statusCode: null,
  statusMessage: null,
  joinDuplicateHeaders: null
})

const DETACH_SIGNAL = Object.getOwnPropertySymbols(IncomingMessage.prototype).find(({ description }) => description === 'kDetachAbortSignal')

/** What node:http would have given to its handler, as far as it has come. */
export function makeWhole (request: FrontRequest): FrontRequest {
  if (request[WHOLE]) return request
  request[WHOLE] = true
  const { method, url, socket, complete: isComplete, [HEADERS]: headers, [PLAIN]: plain, [RAW]: raw = [...plain.raw] } = request
  ;(IncomingMessage as unknown as (this: FrontRequest, socket: Socket) => void).call(request, socket)
  request._addHeaderLines(raw, raw.length)
  Object.assign(request, { method, url, httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1, upgrade: false, joinDuplicateHeaders: null })
  if (headers !== undefined) setNodeHeaders!.call(request, headers)
  if (request[ANSWERED]) forget(request)
  else if (isComplete) deliver(request)
  return request
}

/** All of it has come: node:http says so when the handler has returned. */
export function complete (request: FrontRequest): void {
  if (!request[WHOLE]) request.complete = true
  else if (request[BODY] === undefined) deliver(request)
  else deliverBody(request)
}

/** What nobody has read goes, and it is closed; for whoever looks at it. */
export function endRequest (request: FrontRequest): void {
  const isHeard = ((request as unknown as { _eventsCount?: number })._eventsCount ?? 0) > 0
  if (!request[WHOLE] && !isHeard) {
    request[ANSWERED] = true
    request[BODY] = undefined
    return
  }
  makeWhole(request)
  // The signal of a request that has been answered does not follow its connection.
  if (DETACH_SIGNAL !== undefined) (request as unknown as Record<symbol, () => void>)[DETACH_SIGNAL]!()
  const { _consuming: isRead, _readableState: { resumeScheduled } } = request as unknown as { _consuming: boolean, _readableState: { resumeScheduled: boolean } }
  if (!isRead && !resumeScheduled) request._dump()
}

/** Between the body and its end, node:http lets those have their turn who wait for the body. */
function deliverBody (request: FrontRequest): void {
  const { [BODY]: body } = request
  request[BODY] = undefined
  Readable.prototype.push.call(request, body)
  process.nextTick(deliver, request)
}

function deliver (request: FrontRequest): void {
  const { [BODY]: body } = request
  request[BODY] = undefined
  request.complete = true
  if (body !== undefined) Readable.prototype.push.call(request, body)
  Readable.prototype.push.call(request, null)
}

/** As if it had been read by nobody, and closed. */
function forget (request: FrontRequest): void {
  Object.assign(request, { complete: true, _consuming: true, _dumped: true })
  const hadBody = request[PLAIN].contentLength > 0
  Object.assign(request._readableState, { flowing: hadBody || null, dataEmitted: hadBody, ended: true, endEmitted: true, destroyed: true, closed: true, closeEmitted: true })
  if (DETACH_SIGNAL !== undefined) (request as unknown as Record<symbol, () => void>)[DETACH_SIGNAL]!()
}
