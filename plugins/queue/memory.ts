import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, OptionsInvalidError, ValueTooLongError } from '../errors.ts'
import { Consumer, QueueWord, Store, backoffMs, clearAll, collectDead, removeDead, reviveDead } from '../items/index.ts'
import type { Delivery, Handler, OnError } from '../items/index.ts'
import { parseDuration, requireNames } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { Encoded } from '../values/index.ts'
import { definitionOf } from './definition.ts'
import type { Definition, QueueOptions } from './definition.ts'

export type { Attempt, Backoff, Handler, OnError } from '../items/index.ts'
export type { QueueOptions } from './definition.ts'

export interface PushOptions {
  /** The item is not taken before so long; it then stands behind what was pushed before that. Default 0. */
  delay?: Duration
  /** How long to wait for room when the queue is full. Default: not at all. */
  timeout?: Duration
  signal?: AbortSignal
}

export interface PopOptions {
  /** How long to wait for an item when there is none. Default: not at all. */
  timeout?: Duration
  signal?: AbortSignal
}

export interface DeadLetter<T> {
  /** Undefined when it is dead because its value was damaged. */
  item: T
  /** The message of the last attempt's error, its first 2,048 characters. */
  error: string
  attempts: number
}

export interface QueueStats {
  name: string
  /** Items that wait to be taken, delayed ones included. */
  size: number
  capacity: number
  /** Of `size`, those that are not due yet. */
  delayed: number
  inFlight: number
  /** Dead letters. */
  dead: number
  /** Of all values: waiting, in flight and dead. */
  bytes: number
  maxBytes: number
  /** Since the queue was made: items pushed, and items popped or acknowledged. */
  pushed: number
  popped: number
  /** Attempts that failed; one too few when a worker died while it counted one. */
  failed: number
}

export interface ConsumeOptions {
  /** How many handlers of this consumer run at once. Default 1. */
  concurrency?: number
}

/** `stop` takes no more items and settles when the running handlers have ended; a handler must not wait for it. */
export interface QueueConsumer {
  stop (): Promise<void>
}

/** Most pushes and pops end at once, and these promises are theirs: none is made (bench/memory). */
const PUSHED = Promise.resolve(true)
const FULL = Promise.resolve(false)
const EMPTY = Promise.resolve(undefined)

const MOST_CONCURRENT = 65_535

/**
 * A first-in, first-out queue over all workers. An item is any value that JSON can hold, or bytes (they come back as a
 * Buffer). Each item is taken by one worker: with `pop` for good, with `consume` until its handler has ended.
 *
 * Methods reject with FST_SWOOLE_CLOSED once the application has closed.
 * After the original's `SwooleQueue`; attempts, dead letters and the visibility time-out are those of Amazon SQS.
 */
export class SharedQueue<T = unknown> {
  readonly name: string
  readonly definition: Definition
  #memory: SharedMemory
  #store: Store
  #value = new Encoded()
  #what: string
  #onError: OnError
  #consumers = new Set<Consumer>()

  /**
   * Without options the queue is the one that exists, or one with the defaults. `onError` hears of each attempt that fails.
   * Throws FST_SWOOLE_OPTIONS_INVALID, _NAME_INVALID, _SCHEMA_MISMATCH, _DIRECTORY_FULL, _MEMORY_FULL.
   */
  constructor (memory: SharedMemory, name: string, options?: QueueOptions, onError: OnError = () => {}) {
    const existing = options === undefined ? memory.find('queue', name) as Definition | undefined : undefined
    this.name = name
    this.definition = existing ?? definitionOf(name, options)
    this.#memory = memory
    this.#onError = onError
    this.#what = `The item for the queue "${name}"`
    this.#store = new Store(memory, name, this.definition, (error, attempt) => onError(error, undefined, attempt, true))
  }

  /**
   * True: the item is in the queue. False: the queue is full, by items or bytes; with `timeout`, it was so all that time.
   * Rejects with FST_SWOOLE_VALUE_INVALID, _VALUE_TOO_LONG (the item alone has more than `maxBytes`), _MEMORY_FULL,
   * _DURATION_INVALID, and with the signal's reason.
   */
  push (item: T, options?: PushOptions): Promise<boolean> {
    try {
      this.#requireOpen()
      if (options !== undefined) {
        requireNames(`The options of a push to the queue "${this.name}"`, options, ['delay', 'timeout', 'signal'])
        return this.#pushWith(this.#encode(item, new Encoded()), options)
      }
      return this.#store.push(this.#encode(item, this.#value), 0) ? PUSHED : FULL
    } catch (error) {
      return Promise.reject(error)
    } finally {
      this.#value.clear()
    }
  }

  /**
   * The item that was in the queue for longest, which this worker has from now on, whatever happens to it. Undefined:
   * there is none; with `timeout`, there was none all that time.
   * Rejects with FST_SWOOLE_DURATION_INVALID, and with the signal's reason.
   */
  pop (options?: PopOptions): Promise<T | undefined> {
    try {
      this.#requireOpen()
      if (options !== undefined) {
        requireNames(`The options of a pop from the queue "${this.name}"`, options, ['timeout', 'signal'])
        return this.#popWith(options)
      }
      const value = this.#store.pop()
      return value === undefined ? EMPTY : Promise.resolve(value as T)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The item that `pop` would take, which stays in the queue. */
  async peek (): Promise<T | undefined> {
    this.#requireOpen()
    return this.#store.peek() as T | undefined
  }

  /**
   * Calls `handler` with one item after the other, `concurrency` at once, here and in every other worker that consumes. An
   * item is gone when its handler has ended; when that throws, the item is tried again after `backoff`, and is a dead letter
   * after `maxAttempts`. The items of a worker that dies come back at once. So an item may be handled more than once.
   * Throws FST_SWOOLE_OPTIONS_INVALID, FST_SWOOLE_CLOSED.
   */
  consume (handler: Handler<T>, options?: ConsumeOptions): QueueConsumer {
    this.#requireOpen()
    requireNames(`The options of a consumer of the queue "${this.name}"`, options, ['concurrency'])
    const { concurrency = 1 } = options ?? {}
    if (typeof handler !== 'function') throw new OptionsInvalidError(`The handler of queue "${this.name}" is of type ${typeof handler}, but must be a function`)
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MOST_CONCURRENT) {
      throw new OptionsInvalidError(`The concurrency of a consumer of queue "${this.name}" is ${String(concurrency)}, but must be an integer from 1 to ${MOST_CONCURRENT}`)
    }
    const { backoff, visibilityMs } = this.definition
    const waitMs = ({ attempt }: Delivery) => backoffMs(backoff, attempt)
    const consumer = new Consumer(this.#memory, this.#store, { what: `The queue "${this.name}"`, handler: handler as Handler<unknown>, concurrency, visibilityMs, waitMs, onError: this.#onError })
    this.#consumers.add(consumer)
    const stop = () => consumer.stop().finally(() => this.#consumers.delete(consumer))
    return { stop }
  }

  /**
   * Stops all consumers of this application, and settles when their handlers have ended, or after `graceMs`. Items of those
   * that have not are ready again, and the attempt does not count; how many there were.
   */
  async stopConsumers (graceMs: number): Promise<number> {
    const grace = new AbortController()
    const stopped = Promise.all([...this.#consumers].map((consumer) => consumer.stop())).finally(() => grace.abort())
    await Promise.race([stopped, sleep(graceMs, undefined, { signal: grace.signal }).catch(() => {})])
    let abandoned = 0
    for (const consumer of this.#consumers) abandoned += consumer.abandon()
    this.#consumers.clear()
    return abandoned
  }

  /** Items that failed for the last time, the oldest first. They count towards the capacity until they are retried or cleared. */
  async deadLetters (): Promise<Array<DeadLetter<T>>> {
    this.#requireOpen()
    return collectDead(this.#store) as Array<DeadLetter<T>>
  }

  /** Puts the dead letters at the end of the queue, as if they had never been tried. How many there were. */
  async retryDeadLetters (): Promise<number> {
    this.#requireOpen()
    return reviveDead(this.#store)
  }

  /** How many dead letters there were. */
  async clearDeadLetters (): Promise<number> {
    this.#requireOpen()
    return removeDead(this.#store)
  }

  /** Whether no item waits to be taken, delayed ones included. */
  async isEmpty (): Promise<boolean> {
    return await this.getSize() === 0
  }

  /** How many items wait to be taken, delayed ones included; not those in flight, nor dead letters. */
  async getSize (): Promise<number> {
    this.#requireOpen()
    return this.#store.inside((ledger) => ledger.index.waiting())
  }

  /** Removes the items that wait to be taken when it is called. Those in flight and dead letters stay. */
  async clear (): Promise<void> {
    this.#requireOpen()
    await clearAll(this.#store)
  }

  async getStats (): Promise<QueueStats> {
    this.#requireOpen()
    const { name, definition: { capacity, maxBytes } } = this
    return this.#store.inside((ledger) => ({
      name,
      size: ledger.index.waiting(),
      capacity,
      delayed: ledger.index.count(QueueWord.DELAYED),
      inFlight: ledger.index.count(QueueWord.IN_FLIGHT),
      dead: ledger.index.count(QueueWord.DEAD),
      bytes: ledger.index.total(QueueWord.BYTES),
      maxBytes,
      pushed: ledger.index.total(QueueWord.PUSHED),
      popped: ledger.index.total(QueueWord.POPPED),
      failed: ledger.index.total(QueueWord.FAILED)
    }))
  }

  async #pushWith (value: Encoded, { delay = 0, timeout = 0, signal }: PushOptions): Promise<boolean> {
    const delayMs = parseDuration(delay, `The delay of a push to the queue "${this.name}"`)
    const timeoutMs = parseDuration(timeout, `The time-out of a push to the queue "${this.name}"`)
    const deadline = performance.now() + timeoutMs
    for (let hasWaited = false; ; hasWaited = true) {
      signal?.throwIfAborted()
      this.#requireOpen()
      const isPushed = this.#store.push(value, delayMs === 0 ? 0 : Date.now() + delayMs)
      const leftMs = deadline - performance.now()
      if (isPushed || leftMs <= 0) {
        if (hasWaited) this.#store.offerRoom()
        return isPushed
      }
      if (!hasWaited) value.keep()
      await this.#store.waitForRoom(value.bytes, { timeoutMs: leftMs, signal })
    }
  }

  async #popWith ({ timeout = 0, signal }: PopOptions): Promise<T | undefined> {
    const timeoutMs = parseDuration(timeout, `The time-out of a pop from the queue "${this.name}"`)
    const deadline = performance.now() + timeoutMs
    for (;;) {
      signal?.throwIfAborted()
      this.#requireOpen()
      const value = this.#store.pop()
      const leftMs = deadline - performance.now()
      if (value !== undefined || leftMs <= 0) return value as T | undefined
      await this.#store.waitForItem({ timeoutMs: leftMs, signal })
    }
  }

  #encode (item: T, value: Encoded): Encoded {
    value.set(item, this.#what)
    const { maxBytes } = this.definition
    if (value.bytes > maxBytes) throw new ValueTooLongError(this.#what, value.bytes, maxBytes)
    return value
  }

  #requireOpen (): void {
    if (this.#memory.isClosed) throw new ClosedError(`The queue "${this.name}"`)
  }
}
