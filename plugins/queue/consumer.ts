import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { ClosedError } from '../errors.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { backoffMs } from './definition.ts'
import { timedOut } from './reader.ts'
import type { Delivery, Store } from './store.ts'

/** What a handler is told of its item. */
export interface Attempt {
  /** Which attempt this is, from 1. */
  readonly attempt: number
  /** Aborts when the item is taken back while the handler runs: it was too long in flight, or the application closes. */
  readonly signal: AbortSignal
}

export type Handler<T> = (item: T, info: Attempt) => unknown

/** Hears of each attempt that failed; `isDead`: it was the last one. */
export type OnError = (error: unknown, item: unknown, attempt: number, isDead: boolean) => void

/** So many handlers may start before the event loop gets its turn: those that never wait would keep it for ever. */
const MOST_IN_A_ROW = 32
const RETRY_MS = 1000

/** The signal is made when it is first asked for: most handlers never do. */
class Info implements Attempt {
  readonly attempt: number
  #controller: AbortController | undefined
  #reason: Error | undefined

  constructor (attempt: number) {
    this.attempt = attempt
  }

  get signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Not the handler's to call, so not a method that it sees. */
  static abort (info: Info, reason: Error): void {
    info.#reason = reason
    info.#controller?.abort(reason)
  }
}

/** An item that a handler has. */
interface Running {
  taken: Delivery
  info: Info
  timer?: NodeJS.Timeout
  /** It was in flight for too long. */
  isTakenBack?: boolean
}

/** Takes items and calls a handler with them, until it is stopped or the memory closes. */
export class Consumer {
  #memory: SharedMemory
  #store: Store
  #name: string
  #handler: Handler<unknown>
  #concurrency: number
  #onError: OnError
  #running = new Set<Running>()
  #started = 0
  #stopping = new AbortController()
  #loop: Promise<void>
  #stopped: Promise<void> | undefined
  /** Settles `#vacancy()`. */
  #onVacancy = () => {}

  constructor (memory: SharedMemory, store: Store, name: string, handler: Handler<unknown>, concurrency: number, onError: OnError) {
    this.#memory = memory
    this.#store = store
    this.#name = name
    this.#handler = handler
    this.#concurrency = concurrency
    this.#onError = onError
    memory.onClose(this.#close)
    this.#loop = this.#consume()
  }

  /** Takes no more items; settles when the running handlers have ended. */
  stop (): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop (): Promise<void> {
    this.#stopping.abort()
    this.#onVacancy()
    await this.#loop
    while (this.#running.size > 0) await this.#vacancy()
    this.#memory.offClose(this.#close)
  }

  async #consume (): Promise<void> {
    const { signal } = this.#stopping
    await nextTurn()
    while (!signal.aborted) {
      try {
        if (this.#running.size === this.#concurrency) await this.#vacancy()
        else if (!await this.#startNext()) await this.#store.waitForItem({ signal })
      } catch (error) {
        if (signal.aborted) return
        // Too many waiters, or no memory for their words: that may pass, and nobody else would start this consumer again.
        this.#onError(error, undefined, 0, false)
        await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {})
      }
    }
  }

  /** False: there is no item. */
  async #startNext (): Promise<boolean> {
    const taken = this.#store.take()
    if (taken === undefined) return false
    this.#handle({ taken, info: new Info(taken.attempt) })
    if (++this.#started % MOST_IN_A_ROW === 0) await nextTurn()
    return true
  }

  async #handle (running: Running): Promise<void> {
    const { taken } = running
    const { visibilityMs } = this.#store.definition
    this.#running.add(running)
    if (visibilityMs > 0) this.#watch(running, visibilityMs)
    let failure: { error: unknown } | undefined
    try {
      await this.#handler(taken.value, running.info)
    } catch (error) {
      failure = { error }
    }
    clearTimeout(running.timer)
    if (!this.#running.delete(running)) {
      // It was taken back, or put back by the close, and how its handler ends counts nothing.
      if (failure !== undefined && running.isTakenBack) this.#onError(failure.error, taken.value, taken.attempt, false)
      return
    }
    if (failure === undefined) this.#store.acknowledge(taken)
    else this.#fail(taken, failure.error)
    this.#onVacancy()
  }

  #fail (taken: Delivery, error: unknown): void {
    const isDead = this.#store.fail(taken, messageOf(error), backoffMs(this.#store.definition, taken.attempt))
    this.#onError(error, taken.value, taken.attempt, isDead)
  }

  /** Looks when the item has been in flight for too long, if that is so by the clock that all workers share. */
  #watch (running: Running, ms: number): void {
    running.timer = setTimeout(() => {
      const { taken } = running
      if (this.#store.has(taken)) return this.#watch(running, 1)
      const { visibilityMs, maxAttempts } = this.#store.definition
      const error = new DOMException(timedOut(visibilityMs), 'TimeoutError')
      Info.abort(running.info, error)
      running.isTakenBack = true
      this.#running.delete(running)
      this.#onError(error, taken.value, taken.attempt, taken.attempt >= maxAttempts)
      this.#onVacancy()
    }, ms).unref()
  }

  #vacancy (): Promise<void> {
    return new Promise((resolve) => { this.#onVacancy = resolve })
  }

  /** Puts back what handlers still have, without counting the attempt, and tells them. How many there were. */
  abandon (): number {
    const abandoned = this.#running.size
    this.#close()
    return abandoned
  }

  #close = (): void => {
    this.#stopping.abort()
    const reason = new ClosedError(`The queue "${this.#name}"`)
    for (const running of this.#running) {
      clearTimeout(running.timer)
      this.#store.putBack(running.taken)
      Info.abort(running.info, reason)
    }
    this.#running.clear()
    this.#onVacancy()
  }
}

/** What a handler throws may be anything, also what throws when it is looked at. */
export function messageOf (error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return `of type ${typeof error}, and cannot be shown`
  }
}
