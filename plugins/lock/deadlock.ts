import { DeadlockError } from '../errors.ts'
import type { Region, SharedMemory } from '../shared-memory/index.ts'
import { circlesOf } from './circle.ts'
import type { Step } from './circle.ts'
import { heldIn } from './contexts.ts'
import type { Context } from './contexts.ts'
import type { HeldLock } from './handle.ts'
import { EXCLUSIVE, readName } from './layout.ts'
import type { LockDefinition } from './layout.ts'
import type { PendingLock } from './pending.ts'
import { PublishedWait, WaitRecords } from './wait-records.ts'
import { workerNames } from './workers.ts'

/*
 * Most waits end soon, so nothing is done about one before it has lasted for the deadlock time-out (after PostgreSQL's
 * deadlock_timeout). Then it is published in shared memory, and its worker looks for circles of waits, once per time-out
 * for all that wait in it. Of those in a circle that hold something the youngest is refused, by its own worker: at
 * its first look nearly always, since it publishes last.
 *
 * Only what somebody holds can hold up others, so only waits of those that hold a lock are published. One more kind holds
 * up: a writer in line stops the readers behind it.
 */
interface WatchedLock {
  readonly name: string
  readonly payload: number
  readonly definition: LockDefinition
}

interface WatchedWait {
  readonly memory: SharedMemory
  readonly lock: WatchedLock
  readonly pending: PendingLock
  readonly context: Context
  readonly stopsReaders: boolean
  readonly startedAt: number
  published: PublishedWait | undefined
}

/** Looks after a wait, until the function that it returns is called. */
export function watchForDeadlock (memory: SharedMemory, lock: WatchedLock, pending: PendingLock, context: Context, timeoutMs: number): () => void {
  const stopsReaders = lock.definition.type === 'rwlock' && pending.kind === EXCLUSIVE
  if (context.parent === undefined && !stopsReaders) return () => {}

  const watch = watchOf(memory, timeoutMs)
  const wait: WatchedWait = { memory, lock, pending, context, stopsReaders, startedAt: performance.now(), published: undefined }
  watch.add(wait)
  return () => watch.delete(wait)
}

/** A lock was given back: the waits that have told of it hold it no more. */
export function forget (handle: HeldLock): void {
  const { published } = handle.owner
  for (const wait of published.get(handle) ?? []) wait.forget(handle)
  published.delete(handle)
}

/** The waits of one worker at locks with one deadlock time-out. */
class Watch {
  #timeoutMs: number
  /** In the order in which they began. */
  #waits = new Set<WatchedWait>()
  #timer: NodeJS.Timeout | undefined
  #lookedAt = -Infinity

  constructor (timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  add (wait: WatchedWait): void {
    this.#waits.add(wait)
    if (this.#timer === undefined) this.#wait()
  }

  delete (wait: WatchedWait): void {
    wait.published?.end()
    this.#waits.delete(wait)
    if (this.#waits.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #wait (): void {
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, Math.ceil(this.#lookAt() - performance.now())))
    this.#timer.unref()
  }

  #lookAt (): number {
    const [oldest] = this.#waits
    return Math.max(oldest!.startedAt, this.#lookedAt) + this.#timeoutMs
  }

  #wake (): void {
    // The waits that the timer was set for may have ended, and a timer may be early by a part of a millisecond.
    if (performance.now() >= this.#lookAt()) this.#look()
    this.#timer = undefined
    if (this.#waits.size > 0) this.#wait()
  }

  #look (): void {
    this.#lookedAt = performance.now()
    const [{ memory }] = this.#waits as unknown as [WatchedWait]
    const records = recordsOf(memory)
    if (records === undefined) return
    const published = this.#publish(records)
    if (published.size === 0) return
    for (const { youngest, steps, waits } of circlesOf(records.read())) {
      const own = youngest.tag === memory.slot.tag ? published.get(youngest.serial) : undefined
      if (own === undefined || !waits.every((wait) => records.isSame(wait))) continue
      own.pending.fail(() => new DeadlockError(own.lock.name, describe(memory.region, steps)))
    }
  }

  /** Those that have waited for long enough, by their serials. */
  #publish (records: WaitRecords): Map<number, WatchedWait> {
    const published = new Map<number, WatchedWait>()
    let isFull = false
    for (const wait of this.#waits) {
      if (this.#lookedAt - wait.startedAt < this.#timeoutMs) break
      if (!isFull) isFull = !publish(wait, records)
      if (wait.published !== undefined) published.set(wait.published.serial, wait)
    }
    return published
  }
}

/** Tells other workers what a wait holds now. False: there is no room for it. */
function publish (wait: WatchedWait, records: WaitRecords): boolean {
  const { lock, pending, startedAt } = wait
  const held = heldIn(wait.context.parent, wait.memory.doorbell, lock.payload)
  if (held.length === 0 && !wait.stopsReaders) return true
  wait.published ??= new PublishedWait(records, {
    lock: lock.payload,
    permits: lock.definition.permits,
    head: pending.ticket << 1 | pending.kind,
    since: performance.timeOrigin + startedAt
  })
  return held.length > 0 ? wait.published.hold(held) : wait.published.holdNothing()
}

function describe (region: Region, steps: Step[]): string {
  const nameOf = workerNames(region)
  const lockName = ({ from }: Step) => `"${readName(region, from.lock, from.permits)}"`
  return steps.map((step, n) => {
    const wanted = lockName(steps[(n + 1) % steps.length]!)
    return step.why === 'holds'
      ? `${lockName(step)} is held by ${nameOf(step.to.tag)}, which waits for ${wanted}`
      : `${nameOf(step.to.tag)} is before it in line for ${lockName(step)} and wants to write`
  }).join('; ')
}

const watches = new WeakMap<object, Map<number, Watch>>()

function watchOf (memory: SharedMemory, timeoutMs: number): Watch {
  const ofWorker = watches.get(memory.doorbell) ?? new Map<number, Watch>()
  watches.set(memory.doorbell, ofWorker)
  const watch = ofWorker.get(timeoutMs) ?? new Watch(timeoutMs)
  ofWorker.set(timeoutMs, watch)
  return watch
}

const recordsOfWorkers = new WeakMap<object, WaitRecords>()

/** Undefined: there is no room for the table, and so no detection. */
function recordsOf (memory: SharedMemory): WaitRecords | undefined {
  let records = recordsOfWorkers.get(memory.doorbell)
  if (records === undefined) {
    try {
      records = new WaitRecords(memory)
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'FST_SWOOLE_MEMORY_FULL' || code === 'FST_SWOOLE_DIRECTORY_FULL') return undefined
      throw error
    }
    recordsOfWorkers.set(memory.doorbell, records)
  }
  return records
}
