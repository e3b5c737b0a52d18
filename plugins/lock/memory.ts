import { ClosedError, LockTimeoutError, LockTypeError, OptionsInvalidError, SchemaMismatchError } from '../errors.ts'
import { parseDuration, requireNames } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { begin, beginHere, runIn } from './contexts.ts'
import type { Context } from './contexts.ts'
import { forget, watchForDeadlock } from './deadlock.ts'
import { GIVEN_BACK, HeldLock, HeldUnits, PUBLISHED } from './handle.ts'
import type { LockHandle } from './handle.ts'
import { EXCLUSIVE, NOTHING, SHARED, payloadBytes, writeName } from './layout.ts'
import type { Kind, LockDefinition, Taken } from './layout.ts'
import { lineOf } from './line.ts'
import type { Line } from './line.ts'
import { requireDefinition } from './options.ts'
import type { LockOptions } from './options.ts'
import { PendingLock } from './pending.ts'
import type { PublishedWait } from './wait-records.ts'
import { nameWorkers } from './workers.ts'

export type { LockHandle } from './handle.ts'
export type { LockType } from './layout.ts'
export type { LockOptions } from './options.ts'

export interface Wait {
  /** How long to wait at most (default: for ever). 0: do not wait. */
  timeout?: Duration | undefined
  /** Ends the wait; the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/**
 * A lock that all workers share. Who waits is served in the order in which they came; only where several can be in at once
 * may others pass the second waiter of a worker while that worker has yet to notice what its first was granted.
 */
export interface Lock {
  /**
   * Takes the lock, the write side of an rwlock, or one permit of a semaphore. Never blocks the event loop.
   * Rejects with FST_SWOOLE_LOCK_TIMEOUT, the reason of the signal, FST_SWOOLE_DEADLOCK when this wait and those of others
   * wait for each other in a circle, FST_SWOOLE_CLOSED, FST_SWOOLE_MEMORY_FULL and FST_SWOOLE_DURATION_INVALID.
   */
  lock (options?: Wait): Promise<LockHandle>
  /** Takes the lock if it is free and nobody waits for it. Deadlock detection does not know of what was taken this way. */
  trylock (): LockHandle | undefined
  /** Runs `fn` with the lock held and gives it back when that has ended, whether it returned or threw. Rejects as `lock` does. */
  synchronized<T> (fn: (handle: LockHandle) => T | Promise<T>, options?: Wait): Promise<T>
  /** Takes the read side of an rwlock, together with other readers. Rejects as `lock` does; FST_SWOOLE_LOCK_TYPE for other types. */
  lockRead (options?: Wait): Promise<LockHandle>
  /** The same if no writer has it or waits for it. */
  trylockRead (): LockHandle | undefined
  /** `synchronized` with the read side of an rwlock. */
  synchronizedRead<T> (fn: (handle: LockHandle) => T | Promise<T>, options?: Wait): Promise<T>
  /**
   * Over all workers: permits and readers that hold it now, who waits now; and since the lock was made how often it was
   * acquired, how often somebody had to wait, and how often a holder died or closed with it in its hands.
   */
  stats (): { held: number, waiting: number, acquired: number, contended: number, abandoned: number }
}

/** How often a spinlock is tried before its caller gets in line. */
const SPINS = 100
const pause = (Atomics as { pause? (): void }).pause ?? (() => {})

export class SharedLock implements Lock {
  readonly name: string
  readonly definition: LockDefinition
  readonly payload: number
  /** For its handles: the waits that have told other workers that they hold one. */
  readonly published = new Map<HeldLock, Set<PublishedWait>>()
  isClosed: boolean
  #memory: SharedMemory
  #line: Line
  #deadlockTimeoutMs: number | false
  #held: HeldUnits
  #pending = new Set<PendingLock>()

  /** Throws FST_SWOOLE_LOCK_TYPE, FST_SWOOLE_DURATION_INVALID, and what `SharedMemory.open` throws. */
  constructor (memory: SharedMemory, name: string, options: LockOptions = {}) {
    const { definition, deadlockTimeoutMs } = requireDefinition(name, options)
    this.name = name
    this.definition = definition
    this.#memory = memory
    this.#deadlockTimeoutMs = deadlockTimeoutMs
    this.isClosed = memory.isClosed
    this.#held = new HeldUnits(definition.permits)
    this.payload = memory.open({
      type: 'lock',
      name,
      definition,
      bytes: typeof name === 'string' ? payloadBytes(definition, name) : 0,
      initialise: (payload) => writeName(memory.region, payload, definition, name)
    })
    this.#line = lineOf(memory, this.payload, definition)
    memory.onClose(() => this.#close())
  }

  lock (options?: Wait): Promise<LockHandle> {
    const context = this.#deadlockTimeoutMs === false ? undefined : beginHere()
    return this.#acquire(EXCLUSIVE, context, options)
  }

  lockRead (options?: Wait): Promise<LockHandle> {
    const context = this.#deadlockTimeoutMs === false ? undefined : beginHere()
    return this.#acquire(SHARED, context, options)
  }

  // Uncontended, this and `unlock` are one compare-and-swap each, two loads and one object (bench/memory).
  trylock (): LockHandle | undefined {
    return this.#try(EXCLUSIVE)
  }

  trylockRead (): LockHandle | undefined {
    return this.#try(SHARED)
  }

  synchronized<T> (fn: (handle: LockHandle) => T | Promise<T>, options?: Wait): Promise<T> {
    return this.#synchronized(EXCLUSIVE, fn, options)
  }

  synchronizedRead<T> (fn: (handle: LockHandle) => T | Promise<T>, options?: Wait): Promise<T> {
    return this.#synchronized(SHARED, fn, options)
  }

  stats (): { held: number, waiting: number, acquired: number, contended: number, abandoned: number } {
    return this.#line.stats()
  }

  /** For who opens it once more. Throws FST_SWOOLE_SCHEMA_MISMATCH when these options ask for another lock than this, and as the constructor. */
  reopen (options: LockOptions): void {
    const { definition, deadlockTimeoutMs } = requireDefinition(this.name, options)
    if (options.type !== undefined || options.permits !== undefined) {
      const [own, asked] = [this.definition, definition].map((definition) => JSON.stringify(definition))
      if (own !== asked) throw new SchemaMismatchError(`The lock "${this.name}"`, own, asked)
    }
    if (options.deadlockTimeout !== undefined) this.#deadlockTimeoutMs = deadlockTimeoutMs
  }

  /** What is the same for all locks of this worker, and of no other. */
  get worker (): object {
    return this.#memory.doorbell
  }

  /** For its handles. */
  giveBack (handle: HeldLock): boolean {
    const { unit } = handle
    if (!this.#held.delete(unit)) return false
    if (handle.state === PUBLISHED) forget(handle)
    handle.state = GIVEN_BACK
    this.#line.giveBack(unit)
    return true
  }

  #acquire (kind: Kind, context: Context | undefined, options: Wait | undefined): Promise<LockHandle> {
    try {
      if (options !== undefined) requireNames(`The options of a wait for the lock "${this.name}"`, options, ['timeout', 'signal'])
      const timeoutMs = options?.timeout === undefined ? undefined : parseDuration(options.timeout, `The time-out of a wait for the lock "${this.name}"`)
      options?.signal?.throwIfAborted()
      const taken = this.#take(kind)
      if (taken === NOTHING) return this.#wait(kind, context, timeoutMs, options?.signal)
      const handle = this.#hold(taken)
      if (context !== undefined) context.handle = handle
      return Promise.resolve(handle)
    } catch (error) {
      if (context !== undefined) context.hasFailed = true
      return Promise.reject(error)
    }
  }

  async #synchronized<T> (kind: Kind, fn: (handle: LockHandle) => T | Promise<T>, options: Wait | undefined): Promise<T> {
    if (typeof fn !== 'function') throw new OptionsInvalidError(`What the lock "${this.name}" is to be held for is of type ${typeof fn}, but must be a function`)
    const context = this.#deadlockTimeoutMs === false ? undefined : begin()
    const handle = await this.#acquire(kind, context, options)
    try {
      return await (context === undefined ? fn(handle) : runIn(context, () => fn(handle)))
    } finally {
      handle[Symbol.dispose]()
    }
  }

  #try (kind: Kind): LockHandle | undefined {
    this.#requireKind(kind)
    if (this.isClosed) throw new ClosedError(`The lock "${this.name}"`)
    const taken = this.#line.take(kind)
    return taken === NOTHING ? undefined : this.#hold(taken)
  }

  #take (kind: Kind): Taken {
    this.#requireKind(kind)
    if (this.isClosed) throw new ClosedError(`The lock "${this.name}"`)
    const taken = this.#line.take(kind)
    if (taken !== NOTHING || this.definition.type !== 'spinlock') return taken
    for (let spin = 0; spin < SPINS && !this.#line.hasWaiters; spin++) {
      pause()
      const taken = this.#line.take(kind)
      if (taken !== NOTHING) return taken
    }
    return NOTHING
  }

  #requireKind (kind: Kind): void {
    if (kind === EXCLUSIVE || this.definition.type === 'rwlock') return
    throw new LockTypeError(this.name, `is of type ${this.definition.type} and has no read side: open it with type "rwlock"`)
  }

  #hold (taken: Taken): HeldLock {
    const handle = new HeldLock(this, taken, this.#line.nextToken())
    this.#held.add(handle.unit)
    return handle
  }

  #wait (kind: Kind, context: Context | undefined, timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<LockHandle> {
    const timedOut = () => new LockTimeoutError(this.name, timeoutMs, nameWorkers(this.#memory.region, this.#line.holders()) || 'other waiters')
    if (timeoutMs === 0) throw timedOut()
    return new Promise<LockHandle>((resolve, reject) => {
      const pending = new PendingLock(kind, this.#line, {
        granted: (taken) => {
          const handle = this.#hold(taken)
          if (context !== undefined) context.handle = handle
          resolve(handle)
        },
        failed: (error) => {
          if (context !== undefined) context.hasFailed = true
          reject(error)
        },
        ended: () => this.#pending.delete(pending)
      })
      this.#pending.add(pending)
      pending.enter()
      if (pending.hasEnded) return
      if (timeoutMs !== undefined) pending.endAfter(timeoutMs, timedOut)
      if (signal !== undefined) pending.endWith(signal)
      if (context !== undefined && this.#deadlockTimeoutMs !== false) {
        pending.onEnd(watchForDeadlock(this.#memory, this, pending, context, this.#deadlockTimeoutMs))
      }
    })
  }

  /** What was held is not finished: its next holder is told. */
  #close (): void {
    this.isClosed = true
    const pending = [...this.#pending]
    for (const each of pending) each.refuse()
    for (const each of pending) each.abandon(new ClosedError(`The lock "${this.name}"`))
    for (const handle of this.published.keys()) forget(handle)
    for (const unit of this.#held.all()) {
      this.#held.delete(unit)
      this.#line.leaveBehind(unit)
    }
  }
}
