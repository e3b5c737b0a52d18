import { ClosedError, TaskQueueFullError, TaskTimeoutError, TaskWorkerDiedError } from '../errors.ts'
import { Reason, Store } from '../items/index.ts'
import type { ItemsDefinition, Placed, Whereabouts } from '../items/index.ts'
import { Header, isAlive, slotOf } from '../shared-memory/index.ts'
import type { Region, SharedMemory } from '../shared-memory/index.ts'
import { Encoded, dataOfError, errorOf } from '../values/index.ts'
import type { ErrorData } from '../values/index.ts'

/** To whom the result of a task goes: the tag of a worker, and the number of one of its calls. */
export interface Address {
  to: number
  call: number
}

/** The end of a task as its caller is told it. */
export type End = { value?: unknown } | { error: unknown }

interface Letter {
  /** The slot of a worker that died has another one's letters after it. */
  to: number
  call: number
  value?: unknown
  error?: ErrorData
}

interface Awaited {
  owner: Replies
  type: string
  tasks: Store
  placed: Placed
  /** Epoch milliseconds. */
  until: number
  timeoutMs: number
  settle (end: End): void
}

const MOST_LETTERS = 65_536
/** Calls that wait in this process: several applications in it have one slot, and so one inbox. */
interface Calls {
  last: number
  readonly awaited: Map<number, Awaited>
}

const callsOf = new WeakMap<Region, Calls>()

/** What no letter tells is looked up so often: a task that was buried by others, or whose worker hangs. */
const LOOK_EVERY_MS = 1000

/**
 * Results on their way to who waits for them. Each worker has an inbox in shared memory, in which others put letters and
 * ring; and what dies on its way is looked up among the tasks themselves, so that each call gets an answer.
 */
export class Replies {
  readonly #memory: SharedMemory
  readonly #withStack: boolean
  readonly #definition: ItemsDefinition
  readonly #inboxes = new Map<number, Store>()
  readonly #letter = new Encoded()
  readonly #calls: Calls
  #waiting = 0
  #deaths = 0
  #timer: NodeJS.Timeout | undefined

  /** `withStack`: errors take their stacks along. */
  constructor (memory: SharedMemory, withStack: boolean) {
    this.#memory = memory
    this.#withStack = withStack
    this.#calls = callsOf.get(memory.region) ?? { last: 0, awaited: new Map() }
    callsOf.set(memory.region, this.#calls)
    this.#definition = { capacity: MOST_LETTERS, maxBytes: memory.region.bytes, maxAttempts: 1, visibilityMs: 0 }
  }

  /** The address of a call that `await` is for. */
  address (): Address {
    // The inbox must be there, and the last worker's letters gone, before anybody answers.
    this.#inbox(this.#memory.slot.index)
    this.#calls.last = this.#calls.last + 1 | 0
    return { to: this.#memory.slot.tag, call: this.#calls.last }
  }

  /** The result of the task that was placed so. Rejects with its error, FST_SWOOLE_TASK_TIMEOUT, _TASK_WORKER_DIED, _CLOSED, or the signal's reason. */
  await ({ call }: Address, type: string, tasks: Store, placed: Placed, timeoutMs: number, signal: AbortSignal | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (end: End) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#calls.awaited.delete(call)
        if (--this.#waiting === 0) clearInterval(this.#timer)
        if ('error' in end) reject(end.error)
        else resolve(end.value)
      }
      const abort = () => settle({ error: signal!.reason })
      const timer = setTimeout(() => settle({ error: new TaskTimeoutError(type, 'had no result', timeoutMs) }), timeoutMs)
      signal?.addEventListener('abort', abort)
      if (this.#waiting++ === 0) this.#listen()
      this.#calls.awaited.set(call, { owner: this, type, tasks, placed, until: Date.now() + timeoutMs, timeoutMs, settle })
    })
  }

  /** `until`: how long its caller waits, in epoch milliseconds. Throws FST_SWOOLE_VALUE_INVALID for a result that is no data, FST_SWOOLE_MEMORY_FULL, _TASK_QUEUE_FULL. */
  send ({ to, call }: Address, end: End, until: number): void {
    if (until <= Date.now() || !isAlive(this.#memory.region, to)) return
    const letter: Letter = { to, call }
    if ('error' in end) letter.error = dataOfError(end.error, this.#withStack)
    else if (end.value !== undefined) letter.value = end.value
    try {
      this.#letter.setData(letter, () => 'The result of a task')
      const inbox = this.#inbox(slotOf(to))
      if (!inbox.push(this.#letter, 0)) throw new TaskQueueFullError('results of tasks', `it has ${MOST_LETTERS} of them, or all of the memory`)
    } finally {
      this.#letter.clear()
    }
    this.#memory.doorbell.ring(slotOf(to))
  }

  #inbox (slot: number): Store {
    let inbox = this.#inboxes.get(slot)
    if (inbox === undefined) {
      inbox = new Store(this.#memory, `results for slot ${slot}`, this.#definition, () => {}, 'task results')
      this.#inboxes.set(slot, inbox)
    }
    return inbox
  }

  /** From the first call on it listens until the close: answers that come too late are to be thrown away. */
  #listen (): void {
    this.#deaths = Atomics.load(this.#memory.region.i32, Header.DEATHS)
    this.#memory.doorbell.onRing(this.#look)
    this.#memory.onClose(this.#close)
    clearInterval(this.#timer)
    this.#timer = setInterval(this.#lookUp, LOOK_EVERY_MS)
    this.#timer.unref()
  }

  #close = (): void => {
    this.#memory.doorbell.offRing(this.#look)
    for (const { owner, settle } of this.#calls.awaited.values()) {
      if (owner === this) settle({ error: new ClosedError('The task worker') })
    }
  }

  #look = (): void => {
    this.#read()
    const deaths = Atomics.load(this.#memory.region.i32, Header.DEATHS)
    if (deaths === this.#deaths) return
    this.#deaths = deaths
    this.#lookUp()
  }

  #read (): void {
    const inbox = this.#inbox(this.#memory.slot.index)
    if (inbox.waiting === 0) return
    for (let letter = inbox.pop() as Letter | undefined; letter !== undefined; letter = inbox.pop() as Letter | undefined) {
      if (letter.to !== this.#memory.slot.tag) continue
      this.#calls.awaited.get(letter.call)?.settle(letter.error === undefined ? { value: letter.value } : { error: errorOf(letter.error) })
    }
  }

  /** A letter is put before its task is gone, so who finds no task and then no letter will get none. */
  #lookUp = (): void => {
    const own = [...this.#calls.awaited.values()].filter(({ owner }) => owner === this)
    const ends = own.map((awaited) => ({ awaited, end: endOf(awaited, awaited.tasks.whereabouts(awaited.placed)) }))
    this.#read()
    const left = new Set(this.#calls.awaited.values())
    for (const { awaited, end } of ends) {
      if (end !== undefined && left.has(awaited)) awaited.settle(end)
    }
  }
}

/** Undefined: it goes on. */
function endOf ({ type, until, timeoutMs }: Awaited, whereabouts: Whereabouts): End | undefined {
  if (whereabouts === 'waiting' || whereabouts === 'in flight') return undefined
  if (whereabouts === 'gone') {
    return { error: Date.now() >= until ? new TaskTimeoutError(type, 'had no result', timeoutMs) : new TaskWorkerDiedError(type, 'it was removed, or its result could not be kept') }
  }
  const { error, reason } = whereabouts
  return { error: new TaskWorkerDiedError(type, reason === Reason.TIMED_OUT ? `${error}, and its worker did not answer` : error) }
}
