import type { Duplex } from 'node:stream'

/** What is used of a client of ioredis. */
interface Client {
  readonly stream?: Duplex
  /** What was sent and is not answered. */
  readonly commandQueue: { readonly length: number }
}

/**
 * Cuts a connection over which nothing comes for a time though something was asked. As the library's `socketTimeout`, which sets and
 * clears a timer, and a listener, for each command that has the connection alone: here one timer looks when the time could be
 * over (bench/pools).
 */
export class Silence {
  readonly #client: Client
  readonly #longestMs: number
  #stream: Duplex | undefined
  /** Since when nothing has come, while something is asked. */
  #sinceMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor (client: Client, longestMs: number) {
    this.#client = client
    this.#longestMs = longestMs
  }

  /** Before something is sent. */
  expectAnswer (): void {
    const { stream, commandQueue } = this.#client
    if (stream === undefined) return
    if (stream !== this.#stream) this.#listenTo(stream)
    if (commandQueue.length === 0) this.#sinceMs = performance.now()
    if (this.#timer === undefined) this.#lookAfter(this.#longestMs)
  }

  #listenTo (stream: Duplex): void {
    this.#stream = stream
    this.#sinceMs = performance.now()
    stream.on('data', () => { this.#sinceMs = performance.now() })
  }

  #lookAfter (ms: number): void {
    this.#timer = setTimeout(this.#look, Math.ceil(ms))
    this.#timer.unref()
  }

  readonly #look = (): void => {
    this.#timer = undefined
    const { stream, commandQueue } = this.#client
    if (stream === undefined || commandQueue.length === 0) return
    const leftMs = this.#sinceMs + this.#longestMs - performance.now()
    if (leftMs > 0) this.#lookAfter(leftMs)
    else stream.destroy(new Error(`Nothing came from the server for ${this.#longestMs} ms, though it was asked`))
  }
}
