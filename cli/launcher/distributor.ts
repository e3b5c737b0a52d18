import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { ListenError } from '../../plugins/errors.ts'

/** The handle of an accepted connection, before anybody made a socket of it. */
export interface ConnectionHandle { close (): void }

/** Who takes connections. */
export interface Taker {
  give (connection: ConnectionHandle): void
}

interface Seat {
  /** The connection that was given and that the worker has not said it took. */
  given: ConnectionHandle | undefined
  /** Takes no further connection, but may still say that it took the one it was given. */
  isLeaving: boolean
}

/*
 * Listens in the primary and hands each connection to a worker, round robin over those that are free: a worker that
 * does not answer gets no second one. Unlike node:cluster's own round robin
 *  - the listening socket stays open while there is no worker, and connections wait for the next one;
 *  - a connection given to a worker that died before it took it is given to another.
 * See docs/decisions/0002-own-distribution.md.
 */
export class Distributor {
  readonly address: AddressInfo
  #server: Server
  #seats = new Map<Taker, Seat>()
  #free = new Set<Taker>()
  #waiting: ConnectionHandle[] = []
  #whenHandedOut = () => {}

  private constructor (server: Server) {
    this.#server = server
    this.address = server.address() as AddressInfo
    const handle = (server as unknown as { _handle: { onconnection: (status: number, connection?: ConnectionHandle) => void } })._handle
    handle.onconnection = (status, connection) => {
      if (status === 0 && connection !== undefined) this.#distribute(connection)
    }
  }

  /** Throws FST_SWOOLE_LISTEN with the reason: the port is in use, the host is not of this machine, no permission. */
  static listen (host: string, port: number): Promise<Distributor> {
    return new Promise((resolve, reject) => {
      const server = createServer()
      server.once('error', (error: NodeJS.ErrnoException) => reject(new ListenError(`${host}:${port}`, reasonOf(error))))
      server.listen({ host, port, backlog: 1024 }, () => resolve(new Distributor(server)))
    })
  }

  add (taker: Taker): void {
    this.#seats.set(taker, { given: undefined, isLeaving: false })
    this.#next(taker)
  }

  /** The worker took the connection that it was given last. */
  accepted (taker: Taker): void {
    const seat = this.#seats.get(taker)
    if (seat?.given === undefined) return
    seat.given.close()
    seat.given = undefined
    if (seat.isLeaving) this.#seats.delete(taker)
    else this.#next(taker)
    this.#checkHandedOut()
  }

  /** Gives the worker no further connection. */
  rest (taker: Taker): void {
    this.#free.delete(taker)
    const seat = this.#seats.get(taker)
    if (seat === undefined) return
    seat.isLeaving = true
    if (seat.given === undefined) this.#seats.delete(taker)
  }

  /** The worker is dead: what it was given and did not take goes to another. */
  remove (taker: Taker): void {
    this.#free.delete(taker)
    const given = this.#seats.get(taker)?.given
    this.#seats.delete(taker)
    if (given !== undefined) this.#distribute(given)
  }

  /** Accepts no further connection, and settles when those accepted are with a worker. */
  stop (): Promise<void> {
    this.#server.close()
    return new Promise((resolve) => {
      this.#whenHandedOut = resolve
      this.#checkHandedOut()
    })
  }

  close (): void {
    this.#server.close()
    for (const connection of this.#waiting.splice(0)) connection.close()
    for (const seat of this.#seats.values()) seat.given?.close()
    this.#seats.clear()
    this.#free.clear()
  }

  #distribute (connection: ConnectionHandle): void {
    this.#waiting.push(connection)
    const [taker] = this.#free
    if (taker === undefined) return
    this.#free.delete(taker)
    this.#next(taker)
  }

  #checkHandedOut (): void {
    if (this.#server.listening) return
    const isHandedOut = this.#waiting.length === 0 && [...this.#seats.values()].every(({ given }) => given === undefined)
    if (isHandedOut) this.#whenHandedOut()
  }

  #next (taker: Taker): void {
    const connection = this.#waiting.shift()
    if (connection === undefined) {
      this.#free.add(taker)
      return
    }
    this.#seats.get(taker)!.given = connection
    taker.give(connection)
  }
}

function reasonOf (error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE': return 'the port is in use by another program'
    case 'EADDRNOTAVAIL': return 'this machine does not have that address'
    case 'EACCES': return 'no permission to use that port'
    case 'ENOTFOUND': return 'the host name is unknown'
    default: return error.message
  }
}
