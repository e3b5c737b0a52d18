import type { Server } from 'node:net'
import type { ConnectionHandle } from '../launcher/distributor.ts'

interface PrimaryAddress {
  address: string
  port: number
  family: string
}

/** What `net.Server` expects of the thing it listens on; node:cluster's own workers make one just like it. */
interface ServerInternals {
  _handle: object | null
  _listen2 (address: string, port: number, addressType: 4 | 6, backlog: number, fd: number): void
}

/**
 * Makes a server's `listen` wait for connections that the primary accepted, instead of a socket of its own. To the
 * server and to Fastify it is a listening server like any other: `address()`, `close()`, limits, hooks and events.
 * Returns how to hand it a connection.
 */
export function listenThroughPrimary (server: Server, address: PrimaryAddress): (connection: ConnectionHandle) => void {
  const handle = {
    onconnection: undefined as undefined | ((status: number, connection: ConnectionHandle) => void),
    listen: () => 0,
    close () {},
    ref () {},
    unref () {},
    hasRef: () => true,
    getAsyncId: () => 0,
    getsockname (out: object) {
      Object.assign(out, address)
      return 0
    }
  }
  const internals = server as unknown as ServerInternals
  server.listen = function (...args: unknown[]) {
    const callback = args.findLast((argument) => typeof argument === 'function')
    if (callback !== undefined) server.once('listening', callback as () => void)
    internals._handle = handle
    internals._listen2(address.address, address.port, address.family === 'IPv6' ? 6 : 4, 511, -1)
    return server
  }
  // A connection given before the server stopped accepting may arrive after: it is served all the same.
  return (connection) => handle.onconnection!.call(handle, 0, connection)
}
