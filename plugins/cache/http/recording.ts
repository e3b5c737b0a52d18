import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Fields } from './policy.ts'

/** What is done with an answer whose head is known. */
export interface Plan {
  /** Whether its body is wanted. */
  isKept: boolean
  /** This cache's part of the field Cache-Status. */
  cacheStatus: string
  /** What the client gets in its place. */
  instead?: { status: number, headers: Fields, body?: Buffer } | undefined
}

export interface Listener {
  /** The head is known, and on its way out. Called again when the head could not be sent. */
  planFor (status: number, headers: Fields): Plan
  /** Whether the body is still wanted, with what others have set as the head went out. */
  mayKeep (headers: Fields): boolean
  /** Called once, before the client has all of it. */
  finished (body: RecordedBody): void
}

/**
 * The whole body, or why there is none: the plan did not want it, it is too large, it was broken off by who made it, or its client
 * left.
 */
export type RecordedBody = Buffer | 'unwanted' | 'too large' | 'broken off' | 'left'

type Callback = () => void
type Chunk = string | Uint8Array

/**
 * Listens to an answer as it goes out to the client, whoever sends it. Not in an onSend hook: other plugins may add hooks
 * after that, and what they set (a cookie) or make of the body (compressed, say) has to be known.
 */
export class Recording {
  readonly #raw: ServerResponse
  readonly #mostBytes: number
  readonly #listener: Listener
  readonly #sent: Pick<ServerResponse, 'writeHead' | 'write' | 'end' | 'destroy'>
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #promisedBytes: number | undefined
  #isHeaded = false
  #isKept = false
  #isFinished = false
  #isEnded = false
  #instead: Plan['instead']

  constructor (raw: ServerResponse, mostBytes: number, listener: Listener) {
    this.#raw = raw
    this.#mostBytes = mostBytes
    this.#listener = listener
    this.#sent = { writeHead: raw.writeHead, write: raw.write, end: raw.end, destroy: raw.destroy }
  }

  start (): void {
    const raw = this.#raw
    raw.writeHead = this.#writeHead as ServerResponse['writeHead']
    raw.write = this.#write as ServerResponse['write']
    raw.end = this.#end as ServerResponse['end']
    raw.destroy = this.#destroy as ServerResponse['destroy']
    raw.once('close', this.#closed)
  }

  #writeHead = (status: number, ...rest: unknown[]): ServerResponse => {
    const raw = this.#raw
    if (this.#isHeaded) return this.#sent.writeHead.call(raw, status, ...rest as [])
    const given = rest.at(-1)
    const headers = { ...raw.getHeaders(), ...fieldsOf(given) } as Fields
    const plan = this.#listener.planFor(status, headers)
    const cacheStatus = headers['cache-status'] === undefined ? plan.cacheStatus : `${String(headers['cache-status'])}, ${plan.cacheStatus}`
    if (plan.instead !== undefined) {
      for (const name of raw.getHeaderNames()) raw.removeHeader(name)
      this.#sent.writeHead.call(raw, plan.instead.status, { ...plan.instead.headers, 'cache-status': cacheStatus })
    } else if (typeof given === 'object' && given !== null) {
      this.#sent.writeHead.call(raw, status, ...rest.slice(0, -1) as [], { ...fieldsOf(given), 'cache-status': cacheStatus } as OutgoingHttpHeaders)
    } else {
      raw.setHeader('cache-status', cacheStatus)
      this.#sent.writeHead.call(raw, status, ...rest as [])
    }
    this.#isHeaded = true
    this.#instead = plan.instead
    this.#promisedBytes = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
    this.#isKept = plan.isKept && this.#listener.mayKeep({ ...headers, ...raw.getHeaders() } as Fields)
    if (!this.#isKept) this.#finish('unwanted')
    return raw
  }

  #write = (chunk: Chunk, encoding?: BufferEncoding | Callback, callback?: Callback): boolean => {
    this.#requireHead()
    this.#collect(chunk, encoding)
    if (this.#instead === undefined || this.#isEnded) {
      const takesMore = this.#sent.write.call(this.#raw, chunk, encoding as BufferEncoding, callback)
      // All of what is kept is in memory anyway: whoever makes it does not wait for this client, and so nobody else does.
      return takesMore || this.#isKept
    }
    const done = typeof encoding === 'function' ? encoding : callback
    if (done !== undefined) process.nextTick(done)
    return true
  }

  #end = (...args: unknown[]): ServerResponse => {
    const [chunk, encoding] = typeof args[0] === 'function' ? [] : args as [Chunk?, (BufferEncoding | Callback)?]
    this.#requireHead(chunk ?? '')
    if (chunk !== undefined && chunk !== null) this.#collect(chunk, encoding)
    const isWhole = (this.#promisedBytes ?? this.#bytes) === this.#bytes
    this.#finish(isWhole ? Buffer.concat(this.#chunks, this.#bytes) : 'broken off')
    // Another `end` may call `write`.
    this.#isEnded = true
    if (this.#instead === undefined) return this.#sent.end.call(this.#raw, ...args as [Chunk, BufferEncoding])
    const callback = args.find((argument) => typeof argument === 'function') as Callback | undefined
    return this.#sent.end.call(this.#raw, this.#instead.body, 'utf8', callback)
  }

  #destroy = (error?: Error): ServerResponse => {
    this.#finish('broken off')
    return this.#sent.destroy.call(this.#raw, error)
  }

  #closed = (): void => this.#finish('left')

  /** As node:http does by itself: an answer that ends with its first part has its length in the head. */
  #requireHead (all?: Chunk): void {
    if (this.#isHeaded) return
    const raw = this.#raw
    const hasBody = raw.statusCode >= 200 && raw.statusCode !== 204 && raw.statusCode !== 304
    if (all !== undefined && hasBody && !raw.hasHeader('content-length') && !raw.hasHeader('transfer-encoding')) raw.setHeader('content-length', Buffer.byteLength(all))
    raw.writeHead(raw.statusCode)
  }

  #collect (chunk: Chunk, encoding: BufferEncoding | Callback | undefined): void {
    if (!this.#isKept) return
    const copy = typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8') : Buffer.from(chunk)
    this.#bytes += copy.length
    this.#chunks.push(copy)
    if (this.#bytes > this.#mostBytes) this.#finish('too large')
  }

  #finish (body: RecordedBody): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#isKept = false
    this.#chunks.length = 0
    this.#raw.off('close', this.#closed)
    this.#listener.finished(body)
  }
}

/** By name in lower case, of any form that `writeHead` takes. */
function fieldsOf (given: unknown): Fields {
  if (typeof given !== 'object' || given === null) return {}
  const pairs = Array.isArray(given) ? pairsOf(given) : Object.entries(given)
  const fields: Record<string, unknown> = {}
  for (const [name, value] of pairs) {
    const key = String(name).toLowerCase()
    fields[key] = key in fields ? [fields[key], value].flat() : value
  }
  return fields as Fields
}

function pairsOf (list: unknown[]): Array<[unknown, unknown]> {
  if (Array.isArray(list[0])) return list as Array<[unknown, unknown]>
  return Array.from({ length: list.length / 2 }, (_, n) => [list[2 * n], list[2 * n + 1]])
}
