import { DeadlockError } from '../errors.ts'
import type { Region, SharedMemory } from '../shared-memory/index.ts'
import { circleOf } from './circle.ts'
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
 * deadlock_timeout). Then it is published in shared memory, and its worker looks whether it is caught in a circle of
 * waits. Of those in a circle that hold something the youngest is refused, by its own worker. It publishes last, so nearly
 * always it finds the circle at that moment; else at its next look.
 *
 * Only what somebody holds can hold up others, so only waits of those that hold a lock are published. One more kind holds
 * up: a writer in line stops the readers behind it.
 */
interface WatchedLock {
  readonly name: string
  readonly payload: number
  readonly definition: LockDefinition
}

/** Looks after a wait, until the function that it returns is called. */
export function watchForDeadlock (memory: SharedMemory, lock: WatchedLock, pending: PendingLock, context: Context, timeoutMs: number): () => void {
  const stopsReaders = lock.definition.type === 'rwlock' && pending.kind === EXCLUSIVE
  if (context.parent === undefined && !stopsReaders) return () => {}

  const waitFor = { lock: lock.payload, permits: lock.definition.permits, head: pending.ticket << 1 | pending.kind, since: performance.timeOrigin + performance.now() }
  let published: PublishedWait | undefined
  const look = () => {
    const held = heldIn(context.parent, memory.doorbell)
    const records = held.length > 0 || stopsReaders ? recordsOf(memory) : undefined
    if (records === undefined) return
    published ??= new PublishedWait(records, waitFor)
    published.hold(held)
    if (stopsReaders && held.length === 0) published.holdNothing()
    const steps = circleOfOwn(records, published.serial)
    if (steps !== undefined) pending.fail(() => new DeadlockError(lock.name, describe(memory.region, steps)))
  }
  const timer = setInterval(look, timeoutMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    published?.end()
  }
}

/** A lock was given back: the waits that have told of it hold it no more. */
export function forget (handle: HeldLock): void {
  for (const wait of handle.publishedBy!) wait.forget(handle)
  handle.publishedBy = undefined
}

/** The circle that the wait of this serial is in, when it is the youngest there. */
function circleOfOwn (records: WaitRecords, serial: number): Step[] | undefined {
  const waits = records.read()
  const own = waits.find((wait) => wait.tag === records.memory.slot.tag && wait.serial === serial)
  const circle = own && circleOf(own, waits)
  return circle?.youngest === own ? circle?.steps : undefined
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
