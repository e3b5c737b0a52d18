import { IncomingMessage } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { Socket } from 'node:net'
import type { Headers } from './head.ts'
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

const setNodeHeaders = Object.getOwnPropertyDescriptor(IncomingMessage.prototype, 'headers')!.set!

const lean: PropertyDescriptorMap = {
  constructor: { value: IncomingMessage, configurable: true, writable: true },
  headers: {
    get (this: FrontRequest) { return (this[HEADERS] ??= { ...this[PLAIN].values }) },
    set (this: FrontRequest, headers: IncomingHttpHeaders) { this[HEADERS] = headers }
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
      Object.defineProperty(makeWhole(this), 'res', { value: response, configurable: true, enumerable: true, writable: true })
    }
  }
}
/** What they are as long as it is lean. Who changes one of them changes that of node:http. */
const FIELDS = { httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1, aborted: false, upgrade: false, statusCode: null, statusMessage: null, joinDuplicateHeaders: null }
for (const [name, value] of Object.entries(FIELDS)) {
  lean[name] = { get: () => value, set: setterOf(name) }
}
/** What they say, or are, when the request is whole. */
for (const name of ['_consuming', '_dumped', '_readableState', 'headersDistinct', 'rawTrailers', 'signal', 'trailers', 'trailersDistinct'] as const) {
  lean[name] = { get (this: FrontRequest) { return makeWhole(this)[name] }, set: setterOf(name) }
}

function setterOf (name: string) {
  return function (this: FrontRequest, value: unknown) { Object.assign(makeWhole(this), { [name]: value }) }
}

LeanRequest.prototype = Object.create(IncomingMessage.prototype, lean) as FrontRequest

/**
 * A request with a body is read as a stream anyway, so it is whole from the beginning: a constructor that is called on an object of
 * another shape takes half as long again as one that makes its own.
 */
class WholeRequest extends IncomingMessage {
  static {
    Object.defineProperty(this.prototype, 'constructor', { value: IncomingMessage, configurable: true, writable: true })
  }
}

export function requestWithBody (socket: Socket, method: string, url: string, plain: Headers, body: Buffer): FrontRequest {
  const request = new WholeRequest(socket) as FrontRequest
  request[WHOLE] = true
  request[PLAIN] = plain
  request[BODY] = body
  request[ANSWERED] = false
  request._addHeaderLines([...plain.raw], plain.raw.length)
  fill(request, method, url, { ...plain.values })
  return request
}

function fill (request: FrontRequest, method: string, url: string, headers: IncomingHttpHeaders): void {
  request.method = method
  request.url = url
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  ;(request as { upgrade?: boolean }).upgrade = false
  ;(request as { joinDuplicateHeaders?: null }).joinDuplicateHeaders = null
  setNodeHeaders.call(request, headers)
}

const DETACH_SIGNAL = Object.getOwnPropertySymbols(IncomingMessage.prototype).find(({ description }) => description === 'kDetachAbortSignal')

const ABORT_CONTROLLER = Object.getOwnPropertySymbols(new IncomingMessage(new Socket())).find(({ description }) => description === 'kAbortController') ?? Symbol('none')

/** What node:http would have given to its handler, as far as it has come. */
export function makeWhole (request: FrontRequest): FrontRequest {
  if (request[WHOLE]) return request
  request[WHOLE] = true
  const { method, url, socket, complete: isComplete, [PLAIN]: plain, [HEADERS]: headers = { ...plain.values }, [RAW]: raw = [...plain.raw] } = request
  if (Object.getPrototypeOf(request) === LeanRequest.prototype) Object.setPrototypeOf(request, IncomingMessage.prototype)
  ;(IncomingMessage as unknown as (this: FrontRequest, socket: Socket) => void).call(request, socket)
  request._addHeaderLines(raw, raw.length)
  fill(request, method!, url!, headers)
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

/** Somebody is to hear of its end, or of that of its connection. */
export function isFollowed (request: FrontRequest): boolean {
  return ((request as unknown as { _eventsCount?: number })._eventsCount ?? 0) > 0 || (request[WHOLE] && (request as unknown as Record<symbol, unknown>)[ABORT_CONTROLLER] != null)
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
  if (isRead || resumeScheduled) return
  request._dump()
  request._consuming = true
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
