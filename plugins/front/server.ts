import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import http from 'node:http'
import type { Server } from 'node:http'
import { FrontConnection } from './connection.ts'
import type { HttpSocket } from './connection.ts'

/** How often is looked for connections that are idle for too long. */
const SWEEP_MS = 500
const CHANNELS = ['http.server.request.start', 'http.server.response.created', 'http.server.response.finish']

type Listener = (this: Server, socket: HttpSocket) => void

type Settings = Server & {
  keepAliveTimeoutBuffer?: number
  maxHeaderSize?: number
  maxHeadersCount: number | null
  insecureHTTPParser?: boolean
  httpValidation?: unknown
  joinDuplicateHeaders?: boolean
  rejectNonStandardBodyWrites?: boolean
  closeIdleConnections (): void
  closeAllConnections (): void
}

/** A server of node:http before whose connections a front stands. */
export class FrontServer {
  readonly server: Settings
  readonly connections = new Set<FrontConnection>()
  /** Runs what is of no request. */
  readonly inOwnContext: <R>(fn: () => R) => R = AsyncLocalStorage.snapshot()
  readonly #byNode: Listener
  #date = ''
  #endOfHead = ''
  #lastEndOfHead = ''
  #keepAliveTimeoutMs = -1
  #sweep: NodeJS.Timeout | undefined

  /** `event`: by which it hears of connections; 'secureConnection' over TLS. */
  constructor (server: Server, event: 'connection' | 'secureConnection') {
    this.server = server as Settings
    const listeners = server.listeners(event) as Listener[]
    this.#byNode = listeners.at(-1)!
    server.removeListener(event, this.#byNode as never)
    server.on(event, (socket: HttpSocket) => this.#accept(socket))
    const { closeIdleConnections, closeAllConnections } = this.server
    this.server.closeIdleConnections = () => {
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
    const { maxRequestsPerSocket, timeout, insecureHTTPParser, httpValidation, joinDuplicateHeaders, maxHeadersCount, rejectNonStandardBodyWrites } = this.server
    return (maxRequestsPerSocket ?? 0) > 0 || timeout > 0 || insecureHTTPParser === true || httpValidation !== undefined || joinDuplicateHeaders === true ||
      rejectNonStandardBodyWrites === true || (typeof maxHeadersCount === 'number' && maxHeadersCount < 200)
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

  serveByNode (socket: HttpSocket): void {
    this.#byNode.call(this.server, socket)
  }

  #accept (socket: HttpSocket): void {
    if (CHANNELS.some((name) => diagnostics.hasSubscribers(name))) return this.serveByNode(socket)
    this.connections.add(new FrontConnection(this, socket))
    this.#sweep ??= setInterval(() => this.#closeIdle(), SWEEP_MS).unref()
  }

  #closeIdle (): void {
    const { keepAliveTimeout, keepAliveTimeoutBuffer = 1000, headersTimeout } = this.server
    const nowMs = performance.now()
    for (const connection of this.connections) {
      if (!connection.isIdle) continue
      const longestMs = connection.requests === 0 ? headersTimeout : keepAliveTimeout === 0 ? 0 : keepAliveTimeout + keepAliveTimeoutBuffer
      if (longestMs > 0 && nowMs - connection.idleSinceMs > longestMs) connection.destroy()
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
