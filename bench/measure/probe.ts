import { createConnection, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Answer {
  status: number
  body: string
}

const REQUEST = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'

/** One request on a connection of its own. Rejects when it is refused, reset, closed without an answer or too slow. */
export function get (port: number, timeoutMs = 10_000): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer in ${timeoutMs} ms`)))
    socket.once('connect', () => socket.write(REQUEST))
    socket.setEncoding('latin1').on('data', (text) => { received += text })
    socket.once('error', reject)
    socket.once('close', () => {
      const end = received.indexOf('\r\n\r\n')
      if (end === -1) reject(new Error('closed before the answer'))
      else resolve({ status: Number(received.slice(9, 12)), body: received.slice(end + 4) })
    })
  })
}

/** Asks every few milliseconds until the answer is 200. */
export async function firstAnswer (port: number, timeoutMs = 30_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (; performance.now() < deadline; await sleep(3)) {
    const answer = await get(port).catch(() => undefined)
    if (answer?.status === 200) return
  }
  throw new Error(`no answer on port ${port} in ${timeoutMs} ms`)
}

/** A port that was free a moment ago. */
export function freePort (): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
