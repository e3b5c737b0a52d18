import { PoolClosedError, PoolConnectError, PoolNotBorrowedError, PoolTimeoutError } from '../errors.ts'
import { messageOf } from '../values/index.ts'
import { Attempts } from './attempts.ts'
import type { Driver } from './driver.ts'
import type { Share } from './budget.ts'

export interface PoolOptions {
  /** Connections at most. */
  size: number
  /** How long to wait for a free connection, or for a new one. */
  timeoutMs: number
  /** A connection that nobody used for so long is closed; 0 is at once. */
  idleTimeoutMs: number
  /** A connection so old is replaced, 0: never. */
  maxLifetimeMs: number
  /** A connection that nobody used for so long is asked whether it still works before it is lent; 0 is each time. */
  validateAfterIdleMs: number
}

export interface PoolLog {
  warn (details: object, message: string): void
}

export interface PoolStats {
  /** Connections it may have. */
  size: number
  /** Connections it has; those that are lent or idle. */
  current: number
  available: number
  inUse: number
  /** Callers that wait for one. */
  waiting: number
  /** Since the start: connections opened, and those that were closed again. */
  opened: number
  closed: number
  /** Since the start: attempts to connect that failed, and callers that waited in vain. */
  failures: number
  timeouts: number
}

/** 'busy': it is being checked or reset. */
type State = 'idle' | 'lent' | 'busy' | 'gone'

interface Held<C> {
  readonly connection: C
  state: State
  isBroken: boolean
  /** What somebody does with it who is gone is not to reach who has it next. */
  isDoubtful: boolean
  /** Which time it is lent. */
  lease: number
  readonly expiresMs: number
  idleSinceMs: number
}

interface Waiter<C> {
  take (connection: C): void
  fail (error: Error): void
}

/** How much earlier than `maxLifetime` some connections go, as a part of it, so that not all do at once. */
const LIFETIME_JITTER = 0.1
/** A Node timer with more fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** How long a connection may take to say that it works, as a part of the time-out: there must be time for another one. */
const CHECK_PART = 0.25

/**
 * Connections that are lent to one caller at a time. Who comes first is served first; what is broken is replaced before
 * anybody meets it; each caller has one deadline. It keeps to its share of the machine's budget, where there is one.
 */
export class ConnectionPool<C> {
  readonly name: string
  readonly #driver: Driver<C>
  readonly #options: PoolOptions
  readonly #share: Share | undefined
  readonly #log: PoolLog
  readonly #held = new Map<C, Held<C>>()
  /** The last one lent is lent next, so that the others may go when there are too many. */
  readonly #idle: Array<Held<C>> = []
  readonly #waiters = new Set<Waiter<C>>()
  #opening = 0
  #busy = 0
  #lent = 0
  /** Those that are being closed, which the server may still count. */
  readonly #parting = new Set<C>()
  readonly #attempts: Attempts
  #sweep: NodeJS.Timeout | undefined
  #closing: PromiseWithResolvers<void> | undefined
  #isClosed = false
  readonly #abandoned = new AbortController()
  readonly #counts = { opened: 0, closed: 0, failures: 0, timeouts: 0 }

  constructor (name: string, driver: Driver<C>, options: PoolOptions, log: PoolLog, share?: Share) {
    this.name = name
    this.#driver = driver
    this.#options = options
    this.#log = log
    this.#attempts = new Attempts(options.timeoutMs, () => this.#grow())
    this.#share = share
    share?.onChange(() => this.#onShare())
  }

  /** How long `borrow` waits when it is not told. */
  get timeoutMs (): number {
    return this.#options.timeoutMs
  }

  /** All is closed, or was given up. */
  get isClosed (): boolean {
    return this.#isClosed
  }

  /** One that is idle and needs no look, when nobody waits for it. */
  tryBorrow (): C | undefined {
    const held = this.#idle.at(-1)
    if (held === undefined || this.#waiters.size > 0 || this.#closing !== undefined || !this.#isFresh(held)) return undefined
    this.#idle.pop()
    return this.#lend(held)
  }

  /**
   * Lends a connection; `put` takes it back. Rejects with FST_SWOOLE_POOL_TIMEOUT, _POOL_CLOSED, _POOL_CONNECT (when it is no
   * use to try again), and with the signal's reason.
   */
  borrow (timeoutMs = this.#options.timeoutMs, signal?: AbortSignal): Promise<C> {
    if (this.#closing !== undefined) return Promise.reject(new PoolClosedError(this.name))
    if (signal?.aborted) return Promise.reject(signal.reason)
    const ready = this.tryBorrow()
    if (ready !== undefined) return Promise.resolve(ready)

    return new Promise<C>((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#waiters.delete(waiter)
        this.#share?.want(this.#lacking())
      }
      const waiter: Waiter<C> = {
        take (connection) {
          finish()
          resolve(connection)
        },
        fail (error) {
          finish()
          reject(error)
        }
      }
      const abort = () => {
        waiter.fail(signal!.reason)
        this.#endIfDone()
      }
      const timer = setTimeout(() => {
        this.#counts.timeouts++
        waiter.fail(this.#timeoutError(timeoutMs))
        this.#endIfDone()
      }, Math.min(timeoutMs, LONGEST_TIMER_MS))
      signal?.addEventListener('abort', abort)
      this.#waiters.add(waiter)
      this.#serve()
    })
  }

  /** Takes back what was lent; with `lease`, only if it was not put back and lent to another since. Throws FST_SWOOLE_POOL_NOT_BORROWED. */
  put (connection: C, lease?: number): void {
    const held = this.#held.get(connection)
    // A close that waited long enough has taken it.
    if (held === undefined && this.#isClosed) return
    if (held?.state !== 'lent' || (lease !== undefined && lease !== held.lease)) throw new PoolNotBorrowedError(this.name, held === undefined ? 'is none of its' : 'was put back already')
    this.#lent--
    if (held.isBroken || held.isDoubtful) return this.#drop(held)
    const reset = this.#driver.reset(connection)
    if (reset === undefined) this.#offer(held)
    else this.#offerAfter(held, reset)
  }

  /** Closes what was lent, when it has answered all that it was asked, instead of lending it again. */
  retire (connection: C): void {
    const held = this.#held.get(connection)
    if (held?.state !== 'lent') return
    this.#lent--
    this.#part(held)
  }

  /** It is closed when it is put back: somebody may still be doing something with it. */
  doubt (connection: C): void {
    const held = this.#held.get(connection)
    if (held !== undefined) held.isDoubtful = true
  }

  /** Closes it at once, though somebody has it; who has it puts it back nevertheless. */
  cut (connection: C): void {
    this.doubt(connection)
    this.#driver.destroy(connection)
  }

  /** Undefined: it is not lent. */
  leaseOf (connection: C): number | undefined {
    const held = this.#held.get(connection)
    return held?.state === 'lent' ? held.lease : undefined
  }

  stats (): PoolStats {
    const { size } = this.#options
    const current = this.#idle.length + this.#lent + this.#busy
    return { size, current, available: this.#idle.length, inUse: current - this.#idle.length, waiting: this.#waiters.size, ...this.#counts }
  }

  /** Who waits already is served; when all is back, all is closed. After `graceMs`, what is still out is closed as well. */
  async close (graceMs?: number): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = Promise.withResolvers()
      for (const held of this.#idle.splice(0)) this.#part(held)
      this.#endIfDone()
    }
    if (graceMs === undefined) return await this.#closing.promise
    const timer = setTimeout(() => this.#giveUp(), graceMs)
    await this.#closing.promise
    clearTimeout(timer)
  }

  #giveUp (): void {
    for (const waiter of this.#waiters) waiter.fail(new PoolClosedError(this.name))
    this.#abandoned.abort()
    for (const held of this.#held.values()) {
      if (held.state === 'lent') this.#lent--
      if (held.state === 'busy') this.#busy--
      this.#drop(held)
    }
    for (const connection of this.#parting) this.#driver.destroy(connection)
    this.#attempts.stop()
    this.#isClosed = true
    this.#closing!.resolve()
  }

  #isFresh (held: Held<C>): boolean {
    const nowMs = performance.now()
    return nowMs - held.idleSinceMs < this.#options.validateAfterIdleMs && nowMs < held.expiresMs && !held.isBroken
  }

  #lend (held: Held<C>): C {
    held.state = 'lent'
    held.lease++
    this.#lent++
    return held.connection
  }

  /** Gives what is idle to those that wait, in their order, and opens what they lack. */
  #serve (): void {
    while (this.#waiters.size > this.#busy && this.#idle.length > 0) {
      const held = this.#idle.pop()!
      if (held.isBroken || performance.now() >= held.expiresMs) this.#part(held)
      else if (this.#isFresh(held)) this.#offer(held)
      else this.#offerAfter(held, this.#driver.check(held.connection), this.#options.timeoutMs * CHECK_PART)
    }
    this.#grow()
  }

  /** What was under way for somebody has come to nothing: there may be an idle one to be had instead. */
  #serveOthers (): void {
    if (this.#waiters.size > this.#busy + this.#opening) this.#serve()
  }

  /** To whoever waits first; else it is idle. */
  #offer (held: Held<C>): void {
    if (held.isBroken) return this.#drop(held)
    if (performance.now() >= held.expiresMs || this.#share?.isToYield(this.#held.size + this.#opening) === true) return this.#part(held)
    const [waiter] = this.#waiters
    if (waiter !== undefined) return waiter.take(this.#lend(held))
    if (this.#closing !== undefined || this.#options.idleTimeoutMs === 0) return this.#part(held)
    held.state = 'idle'
    held.idleSinceMs = performance.now()
    this.#idle.push(held)
    this.#scheduleSweep()
  }

  /** The same, once what is done with it has ended; it is closed when that fails, or takes too long. */
  #offerAfter (held: Held<C>, work: Promise<unknown>, longestMs = this.#options.timeoutMs): void {
    held.state = 'busy'
    this.#busy++
    const finish = (isWell: boolean) => {
      clearTimeout(timer)
      if (held.state !== 'busy') return
      this.#busy--
      if (isWell) this.#offer(held)
      else this.#drop(held)
      this.#serveOthers()
    }
    const timer = setTimeout(finish, longestMs, false)
    work.then(() => finish(true), () => finish(false))
  }

  /** How many connections those that wait lack. */
  #lacking (): number {
    const possible = this.#options.size - this.#held.size - this.#opening - this.#parting.size
    return Math.max(0, Math.min(possible, this.#waiters.size - this.#opening - this.#busy))
  }

  #grow (): void {
    if (this.#attempts.isPausing) return
    this.#share?.want(this.#lacking())
    while (this.#lacking() > 0 && (this.#share?.tryTake() ?? true)) this.#open()
    this.#share?.want(this.#lacking())
  }

  async #open (): Promise<void> {
    this.#opening++
    const deadline = AbortSignal.timeout(this.#options.timeoutMs)
    let connection: C
    try {
      connection = await this.#driver.open(AbortSignal.any([deadline, this.#abandoned.signal]))
    } catch (error) {
      this.#opening--
      this.#share?.give()
      this.#onOpenFailed(deadline.aborted ? new Error(`it did not answer within ${this.#options.timeoutMs} ms`, { cause: error }) : error)
      this.#serveOthers()
      return this.#endIfDone()
    }
    this.#opening--
    this.#attempts.succeeded()
    this.#counts.opened++
    const { maxLifetimeMs } = this.#options
    const expiresMs = maxLifetimeMs === 0 ? Infinity : performance.now() + maxLifetimeMs * (1 - Math.random() * LIFETIME_JITTER)
    const held: Held<C> = { connection, state: 'busy', isBroken: false, isDoubtful: false, lease: 0, expiresMs, idleSinceMs: 0 }
    this.#held.set(connection, held)
    this.#driver.onBreak(connection, () => this.#onBreak(held))
    const [waiter] = this.#waiters
    // Even if others lack one: they were asked when it was taken.
    if (waiter !== undefined && !held.isBroken) waiter.take(this.#lend(held))
    else this.#offer(held)
  }

  #onOpenFailed (error: unknown): void {
    this.#counts.failures++
    const isFinal = this.#driver.isFinal(error)
    if (this.#attempts.failed(error) && !this.#abandoned.signal.aborted) {
      this.#log.warn({ err: error, pool: this.name }, `the pool cannot connect to ${this.#driver.server}${isFinal ? '' : ': it tries again'}`)
    }
    if (isFinal) {
      for (const waiter of this.#waiters) waiter.fail(this.#connectError(error))
    } else if (!this.#attempts.isPausing && this.#waiters.size > 0) {
      this.#attempts.pause()
    }
  }

  #onBreak (held: Held<C>): void {
    held.isBroken = true
    if (held.state !== 'idle') return
    this.#idle.splice(this.#idle.indexOf(held), 1)
    this.#drop(held)
  }

  /** Closes one that works. */
  #part (held: Held<C>): void {
    if (!this.#forget(held)) return
    const { connection } = held
    this.#parting.add(connection)
    const timer = setTimeout(() => this.#driver.destroy(connection), this.#options.timeoutMs)
    this.#driver.close(connection).catch(() => this.#driver.destroy(connection)).finally(() => {
      clearTimeout(timer)
      this.#parting.delete(connection)
      this.#left()
    })
  }

  /** Closes one that is broken, or not to be trusted. */
  #drop (held: Held<C>): void {
    if (!this.#forget(held)) return
    this.#driver.destroy(held.connection)
    this.#left()
  }

  #forget (held: Held<C>): boolean {
    if (held.state === 'gone') return false
    held.state = 'gone'
    this.#held.delete(held.connection)
    this.#counts.closed++
    return true
  }

  #left (): void {
    this.#share?.give()
    // Rather a new one: what has just gone was perhaps not the only one that is of no use.
    this.#grow()
    this.#serveOthers()
    this.#endIfDone()
  }

  #endIfDone (): void {
    if (this.#closing === undefined || this.#held.size + this.#opening + this.#parting.size + this.#waiters.size > 0) return
    clearTimeout(this.#sweep)
    this.#attempts.stop()
    this.#isClosed = true
    this.#closing.resolve()
  }

  /** There may be room in the budget now, or others need a part of what this one has. */
  #onShare (): void {
    while (this.#idle.length > 0 && this.#share!.isToYield(this.#held.size + this.#opening)) this.#part(this.#idle.shift()!)
    this.#grow()
  }

  #scheduleSweep (): void {
    if (this.#sweep !== undefined) return
    const [oldest] = this.#idle
    if (oldest === undefined) return
    const nextMs = Math.min(oldest.idleSinceMs + this.#options.idleTimeoutMs, ...this.#idle.map(({ expiresMs }) => expiresMs))
    this.#sweep = setTimeout(() => {
      this.#sweep = undefined
      const nowMs = performance.now()
      const isDue = (held: Held<C>) => nowMs >= held.idleSinceMs + this.#options.idleTimeoutMs || nowMs >= held.expiresMs
      for (const held of this.#idle.filter(isDue)) {
        this.#idle.splice(this.#idle.indexOf(held), 1)
        this.#part(held)
      }
      this.#scheduleSweep()
    }, Math.max(1, Math.ceil(nextMs - performance.now())))
    this.#sweep.unref()
  }

  #timeoutError (timeoutMs: number): Error {
    const { size } = this.#options
    const { lastError } = this.#attempts
    const reason = lastError !== undefined
      ? `${this.#driver.server} cannot be reached (${messageOf(lastError)})`
      : `${this.#lent} of ${size} are lent, ${this.#opening === 0 ? '' : `${this.#opening} are being opened, to which ${this.#driver.server} has not answered, `}and ${this.#waiters.size - 1} callers more are waiting${this.#share === undefined ? '' : `, and the application may have ${this.#share.most}`}`
    return Object.assign(new PoolTimeoutError(this.name, Math.round(timeoutMs), reason), lastError === undefined ? {} : { cause: lastError })
  }

  #connectError (error: unknown): Error {
    return Object.assign(new PoolConnectError(this.name, this.#driver.server, messageOf(error)), { cause: error })
  }
}
