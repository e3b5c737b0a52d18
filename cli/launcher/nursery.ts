import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import { once } from 'node:events'
import { extname, join } from 'node:path'
import { libc } from '../../plugins/shared-memory/libc.ts'

const WORKER_FILE = join(import.meta.dirname, '../worker', `main${extname(import.meta.filename)}`)

/**
 * Where worker processes come from. A process takes longer to start than the application in it takes to load, so those
 * of the first start are made before the options are read: they load Fastify while the primary reads on, and wait to be
 * told what they are.
 */
export class Nursery {
  #app: string
  #blanks: Worker[] = []
  #memoryFd: number

  constructor (app: string) {
    this.#app = app
    this.#memoryFd = libc().memfd('fastify-swoole')
    this.#setUp()
  }

  /** An anonymous memory file, still empty, that the processes inherit; -1 where the system has none. */
  get memoryFd (): number {
    return this.#memoryFd
  }

  /** Starts processes ahead, so that `count` are waiting. */
  prepare (count: number): void {
    if (this.#memoryFd === -1) return
    while (this.#blanks.length < count) this.#blanks.push(cluster.fork())
  }

  /** The memory is this one after all: what inherited another is of no use. */
  async useMemory (fd: number): Promise<void> {
    if (fd === this.#memoryFd) return
    await this.discard()
    this.#memoryFd = fd
    this.#setUp()
  }

  take (): Worker {
    const blank = this.#blanks.shift()
    return blank?.isConnected() === true ? blank : cluster.fork()
  }

  /** Ends the processes that nobody took. */
  async discard (): Promise<void> {
    await Promise.all(this.#blanks.splice(0).map(async ({ process }) => {
      if (process.exitCode !== null || process.signalCode !== null) return
      process.kill('SIGKILL')
      await once(process, 'exit')
    }))
  }

  #setUp (): void {
    const stdio = [0, 1, 2, 'ipc', ...(this.#memoryFd === -1 ? [] : [this.#memoryFd])]
    cluster.setupPrimary({ exec: WORKER_FILE, args: [this.#app], stdio } as never)
  }
}
