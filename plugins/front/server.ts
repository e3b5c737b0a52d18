import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import http, { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:http'
import { FrontConnection } from './connection.ts'
import type { HttpSocket } from './connection.ts'
import { isPatched } from './response.ts'

/** Not those that a test may put in their place while it runs. */
const { clearInterval, setInterval, setTimeout } = globalThis

/** How often is looked for connections that are idle for too long. */
const SWEEP_MS = 500
const channels = ['http.server.request.start', 'http.server.response.created', 'http.server.response.finish'].map((name) => diagnostics.channel(name))

type Listener = (this: Server, socket: HttpSocket) => void

type Settings = Server & {
  keepAliveTimeoutBuffer?: number
  maxHeaderSize?: number
  maxHeadersCount: number | null
  insecureHTTPParser?: boolean
  httpValidation?: unknown
  joinDuplicateHeaders?: boolean
  rejectNonStandardBodyWrites?: boolean
  httpAllowHalfOpen?: boolean
  closeIdleConnections (): void
  closeAllConnections (): void
}

/** A server of node:http before whose connections a front stands. */
export class FrontServer {
  readonly server: Settings
  readonly connections = new Set<FrontConnection>()
  readonly #byNode: Listener
  readonly #isOfOther: boolean
  readonly #inOwnContext: <R>(fn: () => R) => R = AsyncLocalStorage.snapshot()
  #calls: Array<() => void> = []
  #soon: NodeJS.Timeout | undefined
  #date = ''
  #endOfHead = ''
  #lastEndOfHead = ''
  #keepAliveTimeoutMs = -1
  #sweep: NodeJS.Timeout | undefined

  /** `event`: by which it hears of connections; 'secureConnection' over TLS. */
  constructor (server: Server, event: 'connection' | 'secureConnection') {
    this.server = server as Settings
    this.#isOfOther = isOfOther(server)
    const listeners = server.listeners(event) as Listener[]
    this.#byNode = listeners.at(-1)!
    server.removeListener(event, this.#byNode as never)
    server.on(event, (socket: HttpSocket) => this.#accept(socket))
    const { closeIdleConnections, closeAllConnections } = this.server
    this.server.closeIdleConnections = () => {
      this.#inOwnContext(() => this.callNow())
      for (const connection of this.connections) if (connection.isIdle) connection.destroy()
      closeIdleConnections.call(server)
    }
    this.server.closeAllConnections = () => {
      for (const connection of this.connections) connection.destroy()
      closeAllConnections.call(server)
    }
  }

  /** Longer heads are node:http's, which counts in its own way. */
  get longestHead (): number {
    return Math.floor((this.server.maxHeaderSize ?? http.maxHeaderSize) / 2)
  }

  /** The server is set, or watched, in a way that only node:http follows. */
  get isOdd (): boolean {
    const { maxRequestsPerSocket, timeout, insecureHTTPParser, httpValidation, joinDuplicateHeaders, maxHeadersCount, rejectNonStandardBodyWrites, httpAllowHalfOpen } = this.server
    return (maxRequestsPerSocket ?? 0) > 0 || timeout > 0 || insecureHTTPParser === true || httpValidation !== undefined || joinDuplicateHeaders === true ||
      rejectNonStandardBodyWrites === true || httpAllowHalfOpen === true || this.#isOfOther || isPatched() || channels.some(isHeard) || (typeof maxHeadersCount === 'number' && maxHeadersCount < 200)
  }

  endOfHead (): string {
    this.#renew()
    return this.#endOfHead
  }

  /** Of the last answer on a connection. */
  lastEndOfHead (): string {
    this.#renew()
    return this.#lastEndOfHead
  }

  /**
   * Calls it before anything else is read, or soon: a tick of the process, or an immediate, for each answer takes a fifteenth of a small
   * request (bench/front).
   */
  callLater (call: () => void): void {
    this.#calls.push(call)
    // What happens then is not of the request that happened to be the first.
    this.#soon ??= this.#inOwnContext(() => setInterval(this.#callSoon, 1).unref())
  }

  /** Calls what was to be called later. */
  callNow (): void {
    if (this.#calls.length === 0) return
    const calls = this.#calls
    this.#calls = []
    for (const call of calls) {
      try {
        call()
      } catch (error) {
        // Of a listener: neither the others nor what is being read are to suffer from it.
        process.nextTick(() => { throw error })
      }
    }
  }

  serveByNode (socket: HttpSocket): void {
    this.#byNode.call(this.server, socket)
  }

  readonly #callSoon = (): void => {
    if (this.#calls.length > 0) return this.callNow()
    clearInterval(this.#soon)
    this.#soon = undefined
  }

  #accept (socket: HttpSocket): void {
    if (this.isOdd) return this.serveByNode(socket)
    this.connections.add(new FrontConnection(this, socket))
    this.#sweep ??= setInterval(() => this.#closeIdle(), SWEEP_MS).unref()
  }

  #closeIdle (): void {
    const { keepAliveTimeout, keepAliveTimeoutBuffer, headersTimeout, requestTimeout } = this.server
    this.callNow()
    const nowMs = performance.now()
    const keptMs = finiteOr(0, keepAliveTimeout) && keepAliveTimeout + finiteOr(1000, keepAliveTimeoutBuffer)
    const silentMs = Math.min(finiteOr(0, headersTimeout) || Infinity, finiteOr(0, requestTimeout) || Infinity)
    for (const connection of this.connections) {
      if (!connection.isIdle) continue
      const idleMs = nowMs - connection.idleSinceMs
      if (connection.requests === 0) {
        if (idleMs > silentMs) connection.refuseLate()
      } else if (keptMs > 0 && idleMs > keptMs) {
        connection.idleSinceMs = Infinity
        if (!this.server.emit('timeout', connection.socket)) connection.destroy()
      }
    }
    if (this.connections.size > 0) return
    clearInterval(this.#sweep)
    this.#sweep = undefined
  }

  #renew (): void {
    const { keepAliveTimeout } = this.server
    if (this.#date !== '' && keepAliveTimeout === this.#keepAliveTimeoutMs) return
    const now = new Date()
    this.#date = now.toUTCString()
    this.#keepAliveTimeoutMs = keepAliveTimeout
    this.#endOfHead = `Date: ${this.#date}\r\nConnection: keep-alive\r\n${keepAliveTimeout > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveTimeout / 1000)}\r\n` : ''}\r\n`
    this.#lastEndOfHead = `Date: ${this.#date}\r\nConnection: close\r\n\r\n`
    setTimeout(() => { this.#date = '' }, 1000 - now.getMilliseconds()).unref()
  }
}

function isHeard (channel: diagnostics.Channel): boolean {
  return channel.hasSubscribers
}

/** Its requests or responses are to be of other classes, or it has options that nobody can see but node:http. */
function isOfOther (server: Server): boolean {
  const own: Record<string, unknown> = { IncomingMessage, ServerResponse, kUniqueHeaders: null }
  return Object.getOwnPropertySymbols(server).some((symbol) => {
    const name = symbol.description ?? ''
    return Object.hasOwn(own, name) && (server as unknown as Record<symbol, unknown>)[symbol] !== own[name]
  })
}

/** As node:http takes its settings. */
function finiteOr (fallback: number, setting: number | undefined): number {
  return Number.isFinite(setting) && setting! >= 0 ? setting! : fallback
}
