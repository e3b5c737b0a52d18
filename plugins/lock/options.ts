import { LockTypeError } from '../errors.ts'
import { parseDuration, requireNames } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import type { LockDefinition, LockType } from './layout.ts'

export interface LockOptions {
  /**
   * - `mutex` (default): one holder.
   * - `rwlock`: many readers, or one writer. A reader that comes after a waiting writer waits behind it.
   * - `spinlock`: a mutex that tries some 100 times before it gets in line; for sections of a few microseconds.
   * - `semaphore`: as many holders as it has permits.
   */
  type?: LockType | undefined
  /** Of a semaphore: 1 to 65535, default 1. */
  permits?: number | undefined
  /**
   * How long somebody who holds a lock waits for this one before it is checked whether that can ever end (default 1000 ms;
   * at least 1), and how long until the next check. `false`: never, and what is held of this lock is not known to the checks of
   * others. Not part of the lock's definition: each application has its own, and when `fastify.lock` names another one
   * later, that holds for the waits from then on. More than 2^31 - 1 ms counts as that much.
   *
   * What a function starts while it holds a lock counts as part of it. So where a lock is held for long and given back by
   * something else than the code that took it (a timer, an event), or where waits are started inside and not awaited, a wait
   * for another lock may be refused that would have ended: use `false` there. Who waits for the very lock that it holds
   * is refused when it holds it by `synchronized` or `synchronizedRead`, and is not when by `lock` or `lockRead`: the caller of
   * an async function that does `await lock.lock()` cannot be told from that function.
   */
  deadlockTimeout?: Duration | false | undefined
}

const TYPES: readonly unknown[] = ['mutex', 'rwlock', 'spinlock', 'semaphore']
const MOST_PERMITS = 65535
const DEADLOCK_TIMEOUT_MS = 1000
/** A Node timer with more fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

export function requireDefinition (name: string, options: LockOptions): { definition: LockDefinition, deadlockTimeoutMs: number | false } {
  requireNames(`The options of the lock "${String(name)}"`, options, ['type', 'permits', 'deadlockTimeout'])
  const { type = 'mutex', permits, deadlockTimeout = DEADLOCK_TIMEOUT_MS } = options
  if (!TYPES.includes(type)) throw new LockTypeError(name, `has the type ${shown(type)}, but must be of type "mutex", "rwlock", "spinlock" or "semaphore"`)
  if (permits !== undefined && type !== 'semaphore') {
    throw new LockTypeError(name, `is of type ${type} and has permits: ${shown(permits)}, but only a semaphore has permits`)
  }
  if (permits !== undefined && !(Number.isInteger(permits) && permits >= 1 && permits <= MOST_PERMITS)) {
    throw new LockTypeError(name, `has permits: ${shown(permits)}, but must have an integer from 1 to ${MOST_PERMITS}`)
  }
  return {
    definition: { type, permits: permits ?? 1 },
    deadlockTimeoutMs: deadlockTimeout !== false && Math.min(Math.max(1, parseDuration(deadlockTimeout, `deadlockTimeout of the lock "${String(name)}"`)), LONGEST_TIMER_MS)
  }
}

function shown (value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  return (typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, 80)
}
