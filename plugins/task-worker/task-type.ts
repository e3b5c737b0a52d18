import { TaskTimeoutError, ValueTooLongError } from '../errors.ts'
import { Consumer, Store, backoffMs } from '../items/index.ts'
import type { Attempt, Delivery, ItemsDefinition, OnError } from '../items/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { Encoded } from '../values/index.ts'
import { DEFAULT_ATTEMPTS } from './options.ts'
import type { HandlerSettings } from './options.ts'
import type { Address, Replies } from './replies.ts'

export interface TaskInfo {
  /** The same for all attempts. */
  readonly taskId: string
  /** From 1. */
  readonly attempt: number
  /** Aborts when the attempt takes longer than the handler's `timeout`, and when the worker must leave before it ends. */
  readonly signal: AbortSignal
}

export type TaskHandler<D = unknown, R = unknown> = (data: D, info: TaskInfo) => R | Promise<R>

/** A task in shared memory. */
export interface Task {
  id: string
  data?: unknown
  /** Who waits for its result, and until when, in epoch milliseconds. */
  to?: number
  call?: number
  until?: number
}

/** The most tasks of a type, with dead letters. */
export const MOST_TASKS = 2 ** 20
/** A worker whose event loop hangs loses an attempt so long after its time-out. */
const HANGING_MS = 5000
const LONGEST_TIMER_MS = 2 ** 31 - 1
const COUNT_BYTES = 64
/** Longer than its caller needs to hear of a result and leave the next task. */
const PATIENCE_MS = 0.2

/** The tasks of one type: where they stand, and how this worker runs them. */
export class TaskType {
  readonly name: string
  readonly store: Store
  readonly #memory: SharedMemory
  readonly #replies: Replies
  readonly #onError: OnError
  readonly #onEnd: () => void
  readonly #task = new Encoded()
  /** A word that counts the tasks that failed with somebody waiting, who was told and so need not be kept. */
  readonly #told: number
  #handler: TaskHandler
  #settings: HandlerSettings
  #consumer: Consumer | undefined
  /** Of handlers that were replaced, as long as their tasks run. */
  readonly #leaving = new Set<Consumer>()

  /** `onEnd` is called after each attempt. Throws FST_SWOOLE_NAME_INVALID, _MEMORY_FULL. */
  constructor (memory: SharedMemory, name: string, replies: Replies, onError: OnError, onEnd: () => void, handler: TaskHandler, settings: HandlerSettings) {
    const definition: ItemsDefinition = { capacity: MOST_TASKS, maxBytes: memory.region.bytes / 2, maxAttempts: DEFAULT_ATTEMPTS, visibilityMs: 0 }
    this.name = name
    this.store = new Store(memory, name, definition, (error, attempt) => onError(error, undefined, attempt, true), 'tasks')
    this.#told = memory.open({ type: 'task counts', name, definition: {}, bytes: COUNT_BYTES }) / 4
    this.#memory = memory
    this.#replies = replies
    this.#onError = onError
    this.#onEnd = onEnd
    this.#handler = handler
    this.#settings = settings
  }

  get attempts (): number {
    return this.#settings.attempts
  }

  /** How many tasks failed whose caller was told so. */
  get told (): number {
    return Atomics.load(this.#memory.region.i32, this.#told) >>> 0
  }

  /** The next tasks are run so. */
  define (handler: TaskHandler, settings: HandlerSettings): void {
    this.#handler = handler
    this.#settings = settings
    if (this.#consumer === undefined) return
    const before = this.#consumer
    this.#leaving.add(before)
    before.stop().finally(() => this.#leaving.delete(before))
    this.#consumer = undefined
    this.start()
  }

  /** False: there is no room. Throws FST_SWOOLE_VALUE_INVALID, _VALUE_TOO_LONG, _MEMORY_FULL. */
  push (task: Task, maxBytes: number, attempts: number, due: number): boolean {
    const encoded = this.#task
    const what = () => `The data of a task of type "${this.name}"`
    encoded.setData(task, what)
    try {
      if (encoded.bytes > maxBytes) throw new ValueTooLongError(what(), encoded.bytes, maxBytes)
      return this.store.push(encoded, due, attempts)
    } finally {
      encoded.clear()
    }
  }

  /** Runs tasks from now on. */
  start (): void {
    const { concurrency, timeoutMs, backoff } = this.#settings
    this.#consumer ??= new Consumer(this.#memory, this.store, {
      what: 'The task worker',
      handler: (task, attempt, taken) => this.#attempt(task as Task, attempt, taken),
      concurrency,
      patienceMs: PATIENCE_MS,
      visibilityMs: timeoutMs === 0 ? 0 : Math.min(timeoutMs + HANGING_MS, LONGEST_TIMER_MS),
      waitMs: ({ attempt }) => backoffMs(backoff, attempt),
      onError: this.#onError
    })
  }

  /** Begins no more tasks; settles when those that run have ended. */
  async stop (): Promise<void> {
    await Promise.all([...this.#leaving, ...this.#consumer === undefined ? [] : [this.#consumer]].map((consumer) => consumer.stop()))
  }

  /** After `stop`: puts back what is still run, without counting the attempt. How many there were. */
  abandon (): number {
    let abandoned = this.#consumer?.abandon() ?? 0
    for (const consumer of this.#leaving) abandoned += consumer.abandon()
    this.#consumer = undefined
    return abandoned
  }

  async #attempt (task: Task, attempt: Attempt, taken: Delivery): Promise<void> {
    const { to, call, until = Infinity } = task
    // Nobody waits any more for one that was dead.
    const reply: Address | undefined = to === undefined || taken.isRevived ? undefined : { to, call: call! }
    try {
      if (reply !== undefined && until <= Date.now()) return this.#countTold()
      const value = await this.#run(task, attempt)
      // Of one that was taken back another attempt tells.
      if (reply !== undefined && this.store.has(taken)) this.#replies.send(reply, { value }, until)
    } catch (error) {
      if (reply === undefined || !this.store.has(taken)) throw error
      this.#replies.send(reply, { error }, until)
      this.#countTold()
    } finally {
      this.#onEnd()
    }
  }

  async #run ({ id, data }: Task, attempt: Attempt): Promise<unknown> {
    const { timeoutMs } = this.#settings
    const info = new Info(id, attempt)
    const running = this.#handler(data, info)
    if (timeoutMs === 0) return await running
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      const error = new TaskTimeoutError(this.name, 'did not end', timeoutMs)
      info.abort(error)
      late.reject(error)
    }, timeoutMs)
    try {
      return await Promise.race([running, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #countTold (): void {
    Atomics.add(this.#memory.region.i32, this.#told, 1)
  }
}

/** The signal is made when it is first asked for: most handlers never do. */
class Info implements TaskInfo {
  readonly taskId: string
  readonly attempt: number
  readonly #outer: Attempt
  #late: AbortController | undefined
  #signal: AbortSignal | undefined
  #reason: Error | undefined

  constructor (taskId: string, outer: Attempt) {
    this.taskId = taskId
    this.attempt = outer.attempt
    this.#outer = outer
  }

  get signal (): AbortSignal {
    if (this.#signal === undefined) {
      this.#late = new AbortController()
      if (this.#reason !== undefined) this.#late.abort(this.#reason)
      this.#signal = AbortSignal.any([this.#late.signal, this.#outer.signal])
    }
    return this.#signal
  }

  abort (reason: Error): void {
    this.#reason = reason
    this.#late?.abort(reason)
  }
}
