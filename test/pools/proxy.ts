import { once } from 'node:events'
import { createServer, connect } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type Direction = 'toServer' | 'toClient'

/**
 * What a network does to a connection. 'stall': nothing is read nor written any more, and the sockets stay open; 'cut': both ends
 * get a FIN; 'reset': both get a RST; 'corrupt': a byte comes out as another; 'corruptHeader': the same, with the next byte that
 * is no value but tells how to read what follows.
 */
export type Fault = 'stall' | 'cut' | 'reset' | 'corrupt' | 'corruptHeader'

/** Tells which bytes of a chunk are headers; it sees all chunks of a connection, in their order. */
export type HeaderFinder = (chunk: Buffer) => number[]

interface Planned {
  fault: Fault
  /** Bytes that pass before it; of 'corruptHeader', bytes of headers. */
  bytes: number
  flip: number
}

/** One direction of one connection. */
class Lane {
  splitBytes = Infinity
  delayMs = 0
  readonly breaks: Planned[] = []
  readonly corruptions: Planned[] = []
  #stalled: PromiseWithResolvers<void> | undefined

  stall (): void {
    this.#stalled ??= Promise.withResolvers()
  }

  resume (): void {
    this.#stalled?.resolve()
    this.#stalled = undefined
  }

  /** Settles when it is not stalled. */
  async flowing (): Promise<void> {
    while (this.#stalled !== undefined) await this.#stalled.promise
  }

  endOfNext (start: number, length: number): number {
    return Math.min(length, start + this.splitBytes, ...this.breaks.map(({ bytes }) => start + bytes))
  }

  corrupt (chunk: Buffer, headers: number[]): void {
    for (const one of this.corruptions.slice()) {
      const isHeader = one.fault === 'corruptHeader'
      const count = isHeader ? headers.length : chunk.length
      if (one.bytes < count) {
        chunk[isHeader ? headers[one.bytes]! : one.bytes]! ^= one.flip
        this.corruptions.splice(this.corruptions.indexOf(one), 1)
      } else {
        one.bytes -= count
      }
    }
  }
}

/** One connection through the proxy. */
export class Link {
  readonly toServer = new Lane()
  readonly toClient = new Lane()
  /** Bytes that have come from either end. */
  readonly seen = { toServer: 0, toClient: 0 }
  readonly #client: Socket
  readonly #server: Socket
  readonly closed: Promise<unknown>

  constructor (client: Socket, server: Socket, headers: HeaderFinder) {
    this.#client = client
    this.#server = server
    this.closed = Promise.all([client, server].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => this.reset())
    }
    this.#pump('toServer', client, server, () => [])
    this.#pump('toClient', server, client, headers)
  }

  /** The fault comes after so many bytes more; of 'corruptHeader', after so many bytes of headers. */
  after (bytes: number, direction: Direction, fault: Fault, flip = 0xff): void {
    const { breaks, corruptions } = this[direction]
    const isCorruption = fault === 'corrupt' || fault === 'corruptHeader'
    const planned = isCorruption ? corruptions : breaks
    planned.push({ fault, bytes, flip })
  }

  /** Chunks go on in pieces of so many bytes, each after a delay. */
  slow (splitBytes: number, delayMs = 0): void {
    for (const lane of [this.toServer, this.toClient]) Object.assign(lane, { splitBytes, delayMs })
  }

  /** What is planned and has not come yet does not come any more. */
  heal (): void {
    for (const lane of [this.toServer, this.toClient]) {
      lane.breaks.length = lane.corruptions.length = 0
      lane.resume()
    }
  }

  stall (): void {
    this.toServer.stall()
    this.toClient.stall()
  }

  resume (): void {
    this.toServer.resume()
    this.toClient.resume()
  }

  cut (): void {
    this.#client.end()
    this.#server.end()
    // Neither end has to answer it: what it says from now on is not read.
    for (const socket of [this.#client, this.#server]) socket.once('finish', () => socket.destroy())
    this.resume()
  }

  reset (): void {
    for (const socket of [this.#client, this.#server]) {
      // A socket that is just being shut down cannot be reset, and would never be closed then (libuv: uv_tcp_close_reset).
      if (socket.writableEnded && !socket.writableFinished) socket.destroy()
      else socket.resetAndDestroy()
    }
    this.resume()
  }

  async #pump (direction: Direction, from: Socket, to: Socket, headers: HeaderFinder): Promise<void> {
    const lane = this[direction]
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        this.seen[direction] += chunk.length
        const found = headers(chunk)
        lane.corrupt(chunk, found)
        for (let start = 0; start < chunk.length;) {
          this.#breakIfDue(lane)
          await lane.flowing()
          if (lane.delayMs > 0) await sleep(lane.delayMs)
          if (to.destroyed || to.writableEnded) return
          const end = lane.endOfNext(start, chunk.length)
          if (!to.write(chunk.subarray(start, end))) await Promise.race([once(to, 'drain'), this.closed])
          for (const one of lane.breaks) one.bytes -= end - start
          start = end
          this.#breakIfDue(lane)
        }
      }
      await lane.flowing()
      to.end()
    } catch {
      this.reset()
    }
  }

  #breakIfDue (lane: Lane): void {
    const due = lane.breaks.findIndex(({ bytes }) => bytes <= 0)
    if (due >= 0) this[lane.breaks.splice(due, 1)[0]!.fault as 'stall' | 'cut' | 'reset']()
  }
}

/** A proxy on 127.0.0.1 between a client and a server, that does to their connections what a network may do. */
export class Proxy {
  readonly links = new Set<Link>()
  /** Sees each new connection before a byte has passed. */
  onLink: (link: Link) => void = () => {}
  /** Connections that were made since the start. */
  made = 0
  readonly #headers: () => HeaderFinder
  readonly #target: { host: string, port: number }
  #listener: Server | undefined
  #port = 0
  #isStalled = false

  private constructor (target: { host: string, port: number }, headers: () => HeaderFinder) {
    this.#target = target
    this.#headers = headers
  }

  static async start (target: { host: string, port: number }, headers: () => HeaderFinder = () => () => []): Promise<Proxy> {
    const proxy = new Proxy(target, headers)
    await proxy.accept()
    return proxy
  }

  get port (): number {
    return this.#port
  }

  /** Takes new connections, after `refuse` again. */
  async accept (): Promise<void> {
    if (this.#listener !== undefined) return
    this.#listener = createServer({ allowHalfOpen: false, pauseOnConnect: true }, (client) => this.#link(client))
    this.#listener.listen(this.#port, '127.0.0.1')
    await once(this.#listener, 'listening')
    this.#port = (this.#listener.address() as AddressInfo).port
  }

  /** New connections are refused; those that are made stay. */
  refuse (): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  /** All connections, those to come as well. */
  stall (): void {
    this.#isStalled = true
    for (const link of this.links) link.stall()
  }

  resume (): void {
    this.#isStalled = false
    for (const link of this.links) link.resume()
  }

  /** Does no harm any more, neither now nor later. */
  heal (): void {
    this.onLink = () => {}
    this.#isStalled = false
    for (const link of this.links) link.heal()
  }

  cut (): void {
    for (const link of this.links) link.cut()
  }

  reset (): void {
    for (const link of this.links) link.reset()
  }

  async close (): Promise<void> {
    this.refuse()
    const closed = [...this.links].map((link) => link.closed)
    this.reset()
    await Promise.all(closed)
  }

  #link (client: Socket): void {
    this.made++
    const server = connect(this.#target)
    const link = new Link(client, server, this.#headers())
    this.links.add(link)
    link.closed.then(() => this.links.delete(link))
    if (this.#isStalled) link.stall()
    this.onLink(link)
  }
}
