import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { ClosedError } from '../errors.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { messageOf } from '../values/index.ts'
import { timedOut } from './reader.ts'
import type { Delivery, Store, WaitFor } from './store.ts'

/** What a handler is told of its item. */
export interface Attempt {
  /** Which attempt this is, from 1. */
  readonly attempt: number
  /** Aborts when the item is taken back while the handler runs: it was too long in flight, or the application closes. */
  readonly signal: AbortSignal
}

export type Handler<T> = (item: T, info: Attempt, taken: Delivery) => unknown

/** Hears of each attempt that failed; `isDead`: it was the last one. */
export type OnError = (error: unknown, item: unknown, attempt: number, isDead: boolean) => void

export interface ConsumerSettings {
  /** Names it in errors. */
  what: string
  handler: Handler<unknown>
  /** How many handlers run at once. */
  concurrency: number
  /**
   * How long it looks for the next item before it sleeps, where items come one soon after the other; default 0. It goes on
   * meanwhile with whatever else there is, and saves those who push the wake-up of this worker, which is dearer.
   */
  patienceMs?: number
  /** How long an item may be in flight before it is given to another; 0: as long as this worker lives. */
  visibilityMs: number
  /** How long an item waits that failed; undefined: it is not tried again. */
  waitMs (taken: Delivery, error: unknown): number | undefined
  onError: OnError
}

/** So many handlers may start before the event loop gets its turn: those that never wait would keep it for ever. */
const MOST_IN_A_ROW = 32
const RETRY_MS = 1000
/** So late an item that was too long in flight is taken back at most. */
const LONGEST_SLEEP_MS = 5000
/** A sleep that took no longer than so many times the patience was not worth it. */
const WORTH_A_SLEEP = 1.5

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
  #settings: ConsumerSettings
  #running = new Set<Running>()
  #started = 0
  /** Whether the last item for which this slept was there soon. */
  #comeSoon = false
  #stopping = new AbortController()
  #loop: Promise<void>
  #stopped: Promise<void> | undefined
  /** Settles `#vacancy()`. */
  #onVacancy = () => {}

  constructor (memory: SharedMemory, store: Store, settings: ConsumerSettings) {
    this.#memory = memory
    this.#store = store
    this.#settings = settings
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
    this.#store.lookAgain()
    this.#onVacancy()
    await this.#loop
    while (this.#running.size > 0) await this.#vacancy()
    this.#memory.offClose(this.#close)
  }

  async #consume (): Promise<void> {
    const { signal } = this.#stopping
    const { visibilityMs } = this.#settings
    // Whoever hangs wakes nobody when its item is due to be taken back.
    const timeoutMs = visibilityMs === 0 ? Infinity : Math.min(visibilityMs, LONGEST_SLEEP_MS)
    const wait = { isOver: () => signal.aborted, timeoutMs }
    await nextTurn()
    while (!signal.aborted) {
      try {
        if (this.#running.size === this.#settings.concurrency) await this.#vacancy()
        else if (!await this.#startNext() && !await this.#awaitSoon()) await this.#sleep(wait)
      } catch (error) {
        if (signal.aborted) return
        // Too many waiters, or no memory for their words: that may pass, and nobody else would start this consumer again.
        this.#settings.onError(error, undefined, 0, false)
        await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {})
      }
    }
  }

  /** False: there is no item. */
  async #startNext (): Promise<boolean> {
    const taken = this.#store.take(this.#settings.visibilityMs)
    if (taken === undefined) return false
    this.#handle({ taken, info: new Info(taken.attempt) })
    if (++this.#started % MOST_IN_A_ROW === 0) await nextTurn()
    return true
  }

  /** True: there is an item, or there was no need to look any more. */
  async #awaitSoon (): Promise<boolean> {
    const { patienceMs = 0 } = this.#settings
    if (patienceMs === 0 || !this.#comeSoon) return false
    for (const end = performance.now() + patienceMs; performance.now() < end; await nextTurn()) {
      if (this.#store.isAnyReady || this.#stopping.signal.aborted) return true
    }
    this.#comeSoon = false
    return false
  }

  async #sleep (wait: WaitFor): Promise<void> {
    const startedAt = performance.now()
    await this.#store.waitForItem(wait)
    this.#comeSoon = performance.now() - startedAt < (this.#settings.patienceMs ?? 0) * WORTH_A_SLEEP
  }

  async #handle (running: Running): Promise<void> {
    const { taken } = running
    const { visibilityMs } = this.#settings
    this.#running.add(running)
    if (visibilityMs > 0) this.#watch(running, visibilityMs)
    let failure: { error: unknown } | undefined
    try {
      await this.#settings.handler(taken.value, running.info, taken)
    } catch (error) {
      failure = { error }
    }
    clearTimeout(running.timer)
    if (!this.#running.delete(running)) {
      // It was taken back, or put back by the close, and how its handler ends counts nothing.
      if (failure !== undefined && running.isTakenBack) this.#settings.onError(failure.error, taken.value, taken.attempt, false)
      return
    }
    if (failure === undefined) this.#store.acknowledge(taken)
    else this.#fail(taken, failure.error)
    this.#onVacancy()
  }

  #fail (taken: Delivery, error: unknown): void {
    const isDead = this.#store.fail(taken, messageOf(error), this.#settings.waitMs(taken, error))
    this.#settings.onError(error, taken.value, taken.attempt, isDead)
  }

  /** Looks when the item has been in flight for too long, if that is so by the clock that all workers share. */
  #watch (running: Running, ms: number): void {
    running.timer = setTimeout(() => {
      const { taken } = running
      if (this.#store.has(taken)) return this.#watch(running, 1)
      const error = new DOMException(timedOut(this.#settings.visibilityMs), 'TimeoutError')
      Info.abort(running.info, error)
      running.isTakenBack = true
      this.#running.delete(running)
      this.#settings.onError(error, taken.value, taken.attempt, taken.attempt >= taken.mostAttempts)
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
    this.#store.lookAgain()
    const reason = new ClosedError(this.#settings.what)
    for (const running of this.#running) {
      clearTimeout(running.timer)
      this.#store.putBack(running.taken)
      Info.abort(running.info, reason)
    }
    this.#running.clear()
    this.#onVacancy()
  }
}
