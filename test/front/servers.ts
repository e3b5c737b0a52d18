import { once } from 'node:events'
import http from 'node:http'
import type { RequestListener, Server, ServerOptions } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { front } from '../../plugins/front/index.ts'

/* What tests of limits have in common: each runs with a server of node:http and with one before which the front stands. */

/** Servers of both kinds. */
const KINDS = {
  'node:http': (options: ServerOptions, listener: RequestListener) => http.createServer(options, listener),
  'the front': (options: ServerOptions, listener: RequestListener) => front(options)(listener)
}
type Start = (options: ServerOptions, listener: RequestListener) => Promise<{ server: Server, port: number }>

export const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
export const LAST = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
export const MEGABYTE = 1024 * 1024

/** A handler. */
export const ok: RequestListener = (request, response) => {
  request.resume()
  response.writeHead(200, { 'content-length': 2 }).end('ok')
}

export interface Client {
  socket: Socket
  bytes: () => string
  /** Milliseconds until the server has closed it. */
  closed: Promise<number>
}

export function open (port: number, ...first: string[]): Client {
  const begin = performance.now()
  const socket = connect({ port, host: '127.0.0.1' })
  let bytes = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => { bytes += chunk })
  socket.on('error', () => {})
  const closed = new Promise<number>((resolve) => { socket.once('close', () => { resolve(performance.now() - begin) }) })
  for (const piece of first) socket.write(piece)
  return { socket, bytes: () => bytes, closed }
}

/** Waits for so many answers, or for the end of the connection. */
export async function answered (client: Client, times = 1): Promise<void> {
  while (client.bytes().split('HTTP/1.1 ').length <= times && !client.socket.destroyed) await sleep(2)
}

/** Runs a test with a server of node:http, and with one before which the front stands. */
export function both (name: string, test: (t: Test, start: Start, kind: string) => Promise<void>): void {
  for (const [kind, create] of Object.entries(KINDS)) {
    t.test(`${name}: ${kind}`, { timeout: 60_000 }, async (t) => {
      await test(t, async (options, listener) => {
        const server = create(options, listener)
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        t.teardown(() => {
          server.closeAllConnections()
          server.close()
        })
        return { server, port: (server.address() as AddressInfo).port }
      }, kind)
    })
  }
}
