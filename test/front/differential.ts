import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { front } from '../../plugins/front/index.ts'
import { inputOf } from './inputs.ts'

/* The same bytes, in the same pieces, for a server of node:http and for one with the front before it: what reaches their handlers? */

interface Seen {
  method: string
  url: string
  rawHeaders: string[]
  headers: string
  /** Undefined: it did not come to its end. */
  body: string | undefined
}

interface Outcome {
  requests: Seen[]
  /** Of the answers, in their order. */
  statuses: string[]
  isClosed: boolean
}

const LONGER_THAN_REST_MS = 60

const recordings = new WeakMap<object, Seen[]>()

function handler (request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse): void {
  const { method, url, rawHeaders, headers } = request
  const seen: Seen = { method: method!, url: url!, rawHeaders: [...rawHeaders], headers: JSON.stringify(headers), body: undefined }
  recordings.get(request.socket)?.push(seen)
  let body = ''
  request.setEncoding('latin1')
  request.on('data', (chunk: string) => { body += chunk })
  request.on('end', () => {
    seen.body = body
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 2 })
    response.end('ok')
  })
  request.on('error', () => {})
}

const servers = { node: createServer(handler), front: front()(handler) }
/** Bytes of a real socket come another way than those of a stream: of so many inputs, one is sent over TCP. */
const TCP_EVERY = 8

async function connectTo (server: Server, overTcp: boolean): Promise<[Duplex, Duplex]> {
  if (!overTcp) {
    const [client, socket] = duplexPair() as [Duplex, Duplex]
    server.emit('connection', socket)
    return [client, socket]
  }
  if (!server.listening) await once(server.listen(0, '127.0.0.1').unref(), 'listening')
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  const [[socket]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(client, 'connect')])
  return [client, socket]
}

/** What one of them makes of the pieces, `waitMs` after the last one. */
async function ask (server: Server, pieces: readonly Buffer[], isEnded: boolean, overTcp: boolean, waitMs = 0): Promise<Outcome> {
  const [client, socket] = await connectTo(server, overTcp)
  const requests: Seen[] = []
  recordings.set(socket, requests)
  let answer = ''
  let isClosed = false
  client.setEncoding('latin1')
  client.on('data', (chunk: string) => { answer += chunk })
  client.on('error', () => {})
  socket.on('close', () => { isClosed = true })
  for (const piece of pieces) {
    if (isClosed) break
    client.write(piece)
    await nextTurn()
  }
  for (let n = 0; n < 4; n++) await nextTurn()
  if (isEnded) client.end()
  for (let n = 0; n < 4; n++) await nextTurn()
  if (waitMs > 0) await sleep(waitMs)
  const outcome = { requests: [...requests], statuses: [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status!), isClosed }
  client.destroy()
  socket.destroy()
  return outcome
}

/** What is wrong with the front beside node:http, for the input of a seed; undefined: nothing. And how many requests came. */
export async function compare (seed: number): Promise<{ fault: string | undefined, requests: number }> {
  const { text, pieces, isEnded } = inputOf(seed)
  const overTcp = seed % TCP_EVERY === 0
  const both = async (waitMs: number) => await Promise.all([ask(servers.node, pieces, isEnded, overTcp, overTcp ? waitMs : 0), ask(servers.front, pieces, isEnded, overTcp, waitMs)])
  let [byNode, byFront] = await both(0)
  // What may become plain waits in the front for a moment before node:http has it.
  if (faultOf(byNode, byFront) !== undefined) [byNode, byFront] = await both(LONGER_THAN_REST_MS)
  const fault = faultOf(byNode, byFront)
  return { fault: fault && `seed ${seed}: ${fault}, of ${JSON.stringify(text)}`, requests: byFront.requests.length }
}

function faultOf (byNode: Outcome, byFront: Outcome): string | undefined {
  if (byFront.requests.length > byNode.requests.length) return `one request more: ${JSON.stringify(byFront.requests[byNode.requests.length])}`
  for (const [n, seen] of byFront.requests.entries()) {
    const other = byNode.requests[n]!
    for (const key of ['method', 'url', 'headers'] as const) {
      if (seen[key] !== other[key]) return `request ${n} has another ${key}: ${JSON.stringify(seen[key])}, and by node:http ${JSON.stringify(other[key])}`
    }
    if (seen.rawHeaders.join('\n') !== other.rawHeaders.join('\n')) return `request ${n} has other raw headers: ${JSON.stringify(seen.rawHeaders)}, and by node:http ${JSON.stringify(other.rawHeaders)}`
    // node:http gives up a request that is whole when what is wrong behind it has come with it.
    if (seen.body !== undefined && other.body !== undefined && seen.body !== other.body) return `request ${n} has another body: ${JSON.stringify(seen.body)}, and by node:http ${JSON.stringify(other.body)}`
  }
  // One that is not whole yet, the front keeps for a moment, and refuses when no more can come.
  const missing = byNode.requests.slice(byFront.requests.length).find(({ body }) => body !== undefined)
  if (missing !== undefined && !byFront.isClosed) return `a whole request is missing: ${JSON.stringify(missing)}`
  return undefined
}
