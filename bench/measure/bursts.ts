import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import type { Socket } from 'node:net'

const REQUEST = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'
const OK = 'HTTP/1.1 200 '

/** Connections to one server on which so many small requests are made and answered as are asked for: for rounds that are shorter than wrk's. */
export class Bursts implements Disposable {
  readonly #sockets: Socket[]

  private constructor (sockets: Socket[]) {
    this.#sockets = sockets
  }

  static async connect (port: number, connections: number): Promise<Bursts> {
    const sockets = Array.from({ length: connections }, () => createConnection({ host: '127.0.0.1', port, noDelay: true }).setEncoding('latin1'))
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    return new Bursts(sockets)
  }

  /** Each connection asks again when it has its answer, which must come in one piece. Rejects when one is not 200. */
  ask (requests: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let asked = 0
    let answered = 0
    const askOn = (socket: Socket) => {
      if (asked === requests) return
      asked++
      socket.write(REQUEST)
    }
    for (const socket of this.#sockets) {
      socket.removeAllListeners().on('error', reject).on('close', () => reject(new Error('The server has ended a connection')))
      socket.on('data', (text: unknown) => {
        if (!String(text).startsWith(OK)) return reject(new Error(`Answered was ${text}`))
        answered++
        if (answered === requests) resolve()
        else askOn(socket)
      })
      askOn(socket)
    }
    return promise
  }

  [Symbol.dispose] (): void {
    for (const socket of this.#sockets) socket.removeAllListeners().destroy()
  }
}

/** Moves this process, with all of its threads, to some of the cores until it is disposed: `'0-2'`. */
export function stayOnCores (cores: string): Disposable {
  const all = allowedCores()
  moveTo(cores)
  return { [Symbol.dispose]: () => moveTo(all) }
}

const allowedCores = (): string => spawnSync('taskset', ['-pc', String(process.pid)], { encoding: 'utf8' }).stdout.split(': ')[1]!.trim()

const moveTo = (cores: string): unknown => spawnSync('taskset', ['-apc', cores, String(process.pid)])
