import { createConnection } from 'node:net'
import type { Socket } from 'node:net'

export interface Failures {
  /** A request was sent, and the connection ended before the whole answer was there. */
  closed: number
  refused: number
  /** No answer for `HUNG_MS`. */
  hung: number
  not200: number
}

export interface ClientsResult {
  answered: number
  latenciesMs: number[]
  failures: Failures
}

const HUNG_MS = 2000
const REQUEST = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'

/**
 * Clients that ask again as soon as they have the answer, each on one connection that it keeps until the server says
 * `Connection: close` or ends it. Written on raw sockets: wrk does not count connections that hang. A latency counts
 * from when the client wants to ask, so it has the time to connect in it where that was needed.
 */
export async function runClients (port: number, count: number, until: Promise<unknown>): Promise<ClientsResult> {
  const result: ClientsResult = { answered: 0, latenciesMs: [], failures: { closed: 0, refused: 0, hung: 0, not200: 0 } }
  let isOver = false
  const end = until.finally(() => { isOver = true })
  const clients = Array.from({ length: count }, () => runClient(port, result, () => isOver))
  await end
  await Promise.all(clients)
  return result
}

async function runClient (port: number, result: ClientsResult, isOver: () => boolean): Promise<void> {
  while (!isOver()) await runConnection(port, result, isOver)
}

function runConnection (port: number, result: ClientsResult, isOver: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const { failures } = result
    let wantedAt = performance.now()
    let received = ''
    let isAsking = true
    let failure: keyof Failures = 'refused'
    const socket: Socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
    socket.setTimeout(HUNG_MS, () => {
      failure = 'hung'
      socket.destroy()
    })
    socket.once('connect', () => {
      failure = 'closed'
      socket.write(REQUEST)
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      if (isAsking) failures[failure]++
      resolve()
    })
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text
      const answer = parseAnswer(received)
      if (answer === undefined) return
      received = ''
      const now = performance.now()
      result.latenciesMs.push(now - wantedAt)
      if (answer.status === 200) result.answered++
      else failures.not200++
      if (answer.isLast || isOver()) {
        isAsking = false
        socket.destroy()
        return
      }
      wantedAt = now
      socket.write(REQUEST)
    })
  })
}

/** The answer, when the whole of it is there; there is never more than one, since the next request comes after it. */
function parseAnswer (received: string): { status: number, isLast: boolean } | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const head = received.slice(0, end).toLowerCase()
  const length = Number(head.match(/content-length: (\d+)/)?.[1] ?? 0)
  if (received.length < end + 4 + length) return undefined
  return { status: Number(head.slice(9, 12)), isLast: head.includes('\r\nconnection: close') }
}
