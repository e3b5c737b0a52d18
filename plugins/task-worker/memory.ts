import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, OptionsInvalidError, TaskQueueFullError, TaskUnknownError, ValueInvalidError } from '../errors.ts'
import { QueueWord, collectDead, removeDead, reviveDead } from '../items/index.ts'
import type { OnError } from '../items/index.ts'
import { showValue } from '../options/show.ts'
import { readSlots } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { dispatchSettings, handlerSettings, waitSettings } from './options.ts'
import type { DispatchOptions, HandlerOptions, Wait } from './options.ts'
import { Replies } from './replies.ts'
import { TaskType } from './task-type.ts'
import type { Task, TaskHandler } from './task-type.ts'

export type { Backoff } from '../items/index.ts'
export type { DispatchOptions, HandlerOptions, Wait } from './options.ts'
export type { TaskHandler, TaskInfo } from './task-type.ts'

/** A task as one object, after the original's `TaskData`. */
export interface TaskData<D = unknown> {
  type: string
  data?: D
}

export interface TaskStats {
  /** Workers that are ready and run tasks: task workers, where there are none HTTP workers, without a launcher this process. */
  workers: number
  /** Tasks that run. */
  busy: number
  /** Tasks that wait to be run, delayed ones included. */
  queued: number
  /** Since the memory was made: tasks that ended well, and tasks that failed for good. */
  completed: number
  failed: number
  /** Attempts that failed and were followed by another. */
  retried: number
}

export interface DeadTask {
  taskId: string
  type: string
  data: unknown
  /** The message of the last attempt's error, or what became of its worker. */
  error: string
  attempts: number
}

export interface TaskSettings {
  /** Of the workers that run tasks. */
  role: 'task' | 'http' | 'standalone'
  /** Tasks of a type that wait at once. */
  maxQueued: number
  /** Bytes that a task takes at most. */
  maxPayload: number
  /** Errors take their stacks along to who waits for the result. */
  withStack: boolean
  onError (type: string, ...failure: Parameters<OnError>): void
  /** Called after each attempt in this worker. */
  onEnd (): void
}

/**
 * Work outside of requests: tasks that wait in shared memory for a worker that runs them. A task is safe once `dispatch` has
 * told its id: it runs at least once, whoever dies, and ends once, as done or as a dead letter.
 * After the original's `TaskWorker`.
 */
export class SharedTaskWorker {
  readonly #memory: SharedMemory
  readonly #settings: TaskSettings
  readonly #replies: Replies
  readonly #types = new Map<string, TaskType>()
  #isRunning = false

  constructor (memory: SharedMemory, settings: TaskSettings) {
    this.#memory = memory
    this.#settings = settings
    this.#replies = new Replies(memory, settings.withStack)
  }

  /**
   * Says what runs tasks of this type (1 to 1024 bytes), in every worker; the last one that is registered counts.
   * Throws FST_SWOOLE_OPTIONS_INVALID, _VALUE_INVALID, _NAME_INVALID, _MEMORY_FULL, _CLOSED.
   */
  registerHandler<D = unknown, R = unknown> (type: string, handler: TaskHandler<D, R>, options?: HandlerOptions): void {
    this.#requireOpen()
    if (typeof handler !== 'function') throw new ValueInvalidError(`The handler of tasks of type ${showValue(type)}`, showValue(handler), 'a function')
    const settings = handlerSettings(type, options)
    const known = this.#types.get(type)
    if (known !== undefined) return known.define(handler as TaskHandler, settings)
    const { onError, onEnd } = this.#settings
    const added = new TaskType(this.#memory, type, this.#replies, (...failure) => onError(type, ...failure), onEnd, handler as TaskHandler, settings)
    this.#types.set(type, added)
    if (this.#isRunning) added.start()
  }

  /**
   * Leaves a task to be run, and gives its id. `data` is data, as a value of the cache is: it comes to the handler as it was.
   * Rejects with FST_SWOOLE_TASK_UNKNOWN, _TASK_QUEUE_FULL, _VALUE_INVALID, _VALUE_TOO_LONG, _OPTIONS_INVALID, _MEMORY_FULL, _CLOSED.
   */
  async dispatch (type: string | TaskData, data?: unknown, options?: DispatchOptions): Promise<string> {
    if (typeof type === 'object') return await this.#dispatchObject(type, data, options)
    const known = this.#require(type)
    const { attempts = known.attempts, delayMs } = dispatchSettings(type, options)
    const task = taskOf(data)
    this.#push(known, task, attempts, delayMs === 0 ? 0 : Date.now() + delayMs)
    return task.id
  }

  /**
   * Leaves a task to be run and waits for what its handler returns. An error that the handler throws comes at once, with name,
   * message, code, causes and its other plain properties; only the death of a worker is followed by another attempt. A task
   * whose caller has waited for too long before it was begun is not run.
   * Rejects as `dispatch` does, and with FST_SWOOLE_TASK_TIMEOUT, _TASK_WORKER_DIED, and the signal's reason.
   */
  async dispatchSync<R = unknown> (type: string | TaskData, data?: unknown, options?: Wait): Promise<R> {
    if (typeof type === 'object') return await this.#dispatchSyncObject(type, data, options)
    const known = this.#require(type)
    const { timeoutMs, signal } = waitSettings(type, options)
    signal?.throwIfAborted()
    const reply = this.#replies.address()
    const task: Task = { ...taskOf(data), to: reply.to, call: reply.call, until: Date.now() + timeoutMs }
    this.#push(known, task, known.attempts, 0)
    return await this.#replies.await(reply, type, known.store, { ...known.store.pushed }, timeoutMs, signal) as R
  }

  /** Of all types that this worker knows, over all workers. */
  async getStats (): Promise<TaskStats> {
    this.#requireOpen()
    const stats = { workers: this.#countWorkers(), busy: 0, queued: 0, completed: 0, failed: 0, retried: 0 }
    for (const { store, told } of this.#types.values()) {
      store.inside(({ index }) => {
        stats.busy += index.count(QueueWord.IN_FLIGHT)
        stats.queued += index.waiting()
        // One whose caller was told is counted a moment before it is gone.
        stats.completed += Math.max(0, index.total(QueueWord.POPPED) - told)
        stats.failed += index.total(QueueWord.BURIED) + told
        stats.retried += index.total(QueueWord.FAILED) - index.total(QueueWord.BURIED)
      })
    }
    return stats
  }

  /** Tasks that failed for good, the oldest first. Rejects with FST_SWOOLE_TASK_UNKNOWN, as the next two. */
  async deadLetters (type: string): Promise<DeadTask[]> {
    return collectDead(this.#require(type).store).map(({ item, ...letter }) => {
      const { id = '', data } = (item ?? {}) as Partial<Task>
      return { taskId: id, type, data, ...letter }
    })
  }

  /** Leaves all of them to be run as if they had never been tried. How many there were. */
  async retryDeadLetters (type: string): Promise<number> {
    return await reviveDead(this.#require(type).store)
  }

  /** How many there were. */
  async clearDeadLetters (type: string): Promise<number> {
    return await removeDead(this.#require(type).store)
  }

  /** Runs tasks in this worker from now on. */
  start (): void {
    this.#isRunning = true
    for (const type of this.#types.values()) type.start()
  }

  /** Begins no more; settles when those that run have ended, or after `graceMs`: then they are put back, and are told. How many. */
  async stop (graceMs: number): Promise<number> {
    this.#isRunning = false
    const types = [...this.#types.values()]
    const grace = new AbortController()
    const stopped = Promise.all(types.map((type) => type.stop())).finally(() => grace.abort())
    await Promise.race([stopped, sleep(graceMs, undefined, { signal: grace.signal }).catch(() => {})])
    return types.reduce((sum, type) => sum + type.abandon(), 0)
  }

  async #dispatchObject (given: TaskData | null, data: unknown, options: DispatchOptions | undefined): Promise<string> {
    const { type, data: own } = this.#requireTask('dispatch', given, options ?? data)
    return await this.dispatch(type, own, (options ?? data) as DispatchOptions | undefined)
  }

  async #dispatchSyncObject<R> (given: TaskData | null, data: unknown, options: Wait | undefined): Promise<R> {
    const { type, data: own } = this.#requireTask('dispatchSync', given, options ?? data)
    return await this.dispatchSync(type, own, (options ?? data) as Wait | undefined)
  }

  #requireTask (method: string, given: TaskData | null, options: unknown): TaskData {
    if (given !== null && typeof given.type === 'string' && (options === undefined || typeof options === 'object')) return given
    throw new OptionsInvalidError(`${method}() was given ${showValue(given)}, but needs the type of a task, or { type, data }, and options behind it`)
  }

  #require (type: string): TaskType {
    this.#requireOpen()
    const known = this.#types.get(type)
    if (known !== undefined) return known
    throw new TaskUnknownError(showValue(type), this.#types.size === 0 ? 'none' : [...this.#types.keys()].join(', '))
  }

  #push (type: TaskType, task: Task, attempts: number, due: number): void {
    const { maxQueued, maxPayload } = this.#settings
    const { store } = type
    if (store.waiting < maxQueued && type.push(task, maxPayload, attempts, due)) return
    const bytes = store.inside(({ index }) => index.total(QueueWord.BYTES))
    throw new TaskQueueFullError(`tasks of type "${type.name}"`, `${store.waiting} of ${maxQueued} wait, with ${bytes} of ${store.definition.maxBytes} bytes`)
  }

  #countWorkers (): number {
    const { role } = this.#settings
    return readSlots(this.#memory.region).filter((slot) => slot.role === role && (role === 'standalone' || slot.state === 'ready')).length
  }

  #requireOpen (): void {
    if (this.#memory.isClosed) throw new ClosedError('The task worker')
  }
}

/** Unique over all workers, and ten times as fast as a UUID for each. */
const ofProcess = randomUUID()
let made = 0

/** Without data there is no such property: JSON keeps the rest. */
function taskOf (data: unknown): Task {
  const id = `${ofProcess}-${(made++).toString(36)}`
  return data === undefined ? { id } : { id, data }
}
