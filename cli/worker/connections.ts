import { Server as NetServer } from 'node:net'
import type { Socket } from 'node:net'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

/** A connection between two looks while the worker drains. */
interface Look {
  bytesRead: number
  since: number
}

const LOOK_EVERY_MS = 50

const LATEST = Symbol('latest response')

type HttpSocket = Socket & { _httpMessage?: ServerResponse | null, [LATEST]?: ServerResponse | undefined }

/*
 * The connections of a server, and how they end without a request lost. It costs nothing per request but one addition:
 * who is busy is asked of the sockets, and only when somebody wants to know.
 */
export class Connections {
  #server: Server
  #sockets = new Set<HttpSocket>()
  #isDraining = false
  requests = 0

  constructor (server: Server, requested: () => void) {
    this.#server = server
    const isTls = 'setSecureContext' in server
    server.on(isTls ? 'secureConnection' : 'connection', (socket: HttpSocket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      this.requests++
      requested()
      const socket = request.socket as HttpSocket
      socket[LATEST] = response
      if (this.#isDraining) closeAfter(socket, response)
    })
  }

  get open (): number {
    return this.#sockets.size
  }

  get inFlight (): number {
    let busy = 0
    for (const socket of this.#sockets) {
      if (isBusy(socket)) busy++
      // An idle connection keeps no response alive.
      else socket[LATEST] = undefined
    }
    return busy
  }

  /**
   * Stops accepting, and lets the connections end: each answer from now on says `Connection: close`, one that is idle
   * for `idleMs` is closed, and what is left after `timeoutMs` is cut. Settles when no connection is left.
   *
   * http.Server's own close() is not used: it cuts idle keep-alive connections at once, between two requests of a
   * client that is busy.
   */
  drain (timeoutMs: number, idleMs: number): Promise<void> {
    this.#isDraining = true
    NetServer.prototype.close.call(this.#server)
    const deadline = Date.now() + timeoutMs
    const looks = new Map<HttpSocket, Look>()
    for (const socket of this.#sockets) {
      if (isBusy(socket) && socket[LATEST] !== undefined) closeAfter(socket, socket[LATEST])
    }
    return new Promise((resolve) => {
      const look = () => {
        const now = Date.now()
        for (const socket of this.#sockets) {
          if (now >= deadline || idleTime(socket, looks, now) >= idleMs) socket.destroy()
        }
        if (this.#sockets.size > 0 && now < deadline) return
        clearInterval(timer)
        resolve()
      }
      const timer = setInterval(look, LOOK_EVERY_MS)
      look()
    })
  }
}

/**
 * Has a response say that it is the connection's last, unless a pipelined request comes before it is written: what
 * stands behind a response that says so is thrown away.
 */
function closeAfter (socket: HttpSocket, response: ServerResponse): void {
  const { writeHead } = response
  response.writeHead = function (...args: unknown[]) {
    if (socket[LATEST] === response && !response.headersSent && !hasMore(socket)) response.setHeader('connection', 'close')
    return writeHead.apply(response, args as never)
  } as typeof writeHead
}

/** node:http gives pipelined requests to the handler at once, the front one after another. */
function hasMore (socket: HttpSocket): boolean {
  return (socket as unknown as { parser?: { hasMore?: boolean } }).parser?.hasMore === true
}

/** An upgraded connection has neither a request nor a parser: it is busy until its protocol ends it. */
function isBusy (socket: HttpSocket): boolean {
  return Boolean(socket._httpMessage) || !(socket as unknown as { parser?: object }).parser
}

function idleTime (socket: HttpSocket, looks: Map<HttpSocket, Look>, now: number): number {
  const look = looks.get(socket)
  if (look !== undefined && look.bytesRead === socket.bytesRead && !isBusy(socket)) return now - look.since
  looks.set(socket, { bytesRead: socket.bytesRead, since: now })
  return 0
}
