import { LockNotHeldError } from '../errors.ts'
import { READ, WAS_LEFT } from './layout.ts'
import type { Taken, Unit } from './layout.ts'
import type { PublishedWait } from './wait-records.ts'

/** What `lock` and its like give: whoever has it holds the lock, until `unlock` or the end of its `using` block. */
export interface LockHandle extends Disposable, AsyncDisposable {
  /** Throws FST_SWOOLE_LOCK_NOT_HELD when it was unlocked before, or lost when its application closed. */
  unlock (): void
  /** A holder before this one died, or its application closed, with the lock in its hands: look whether it was half done. */
  readonly abandoned: boolean
  /**
   * Grows with every acquisition of this lock. Hand it on with each write that the lock protects, and refuse there what
   * comes with a smaller one than was seen: so a holder that was held up cannot write late.
   */
  readonly fencingToken: number
}

/** A lock as its handles know it. */
interface Owner {
  readonly name: string
  readonly payload: number
  readonly worker: object
  readonly isClosed: boolean
  /** The waits that have told other workers that they hold these. */
  readonly published: Map<HeldLock, Set<PublishedWait>>
  /** False: it was lost when the application closed. */
  giveBack (handle: HeldLock): boolean
}

const HELD = 0
/** There are waits that have told other workers of it. */
export const PUBLISHED = 1
export const GIVEN_BACK = 2

/**
 * A class without closures, which nothing but its holder refers to: an uncontended lock makes this one object, and no old
 * one points to it, of which V8 would have to take note.
 */
export class HeldLock implements LockHandle {
  readonly fencingToken: number
  readonly owner: Owner
  state: typeof HELD | typeof PUBLISHED | typeof GIVEN_BACK = HELD
  readonly taken: Taken

  constructor (owner: Owner, taken: Taken, fencingToken: number) {
    this.owner = owner
    this.taken = taken
    this.fencingToken = fencingToken
  }

  get abandoned (): boolean {
    return (this.taken & WAS_LEFT) !== 0
  }

  get unit (): Unit {
    return this.taken & ~WAS_LEFT
  }

  get isHeld (): boolean {
    return this.state !== GIVEN_BACK && !this.owner.isClosed
  }

  unlock (): void {
    if (this.state === GIVEN_BACK || !this.owner.giveBack(this)) throw new LockNotHeldError(this.owner.name)
  }

  [Symbol.dispose] (): void {
    if (this.state !== GIVEN_BACK) this.owner.giveBack(this)
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    this[Symbol.dispose]()
  }
}

/** What one application holds of a lock: the permits, and how many times the read side. */
export class HeldUnits {
  #permits: number[]
  #readers = 0

  constructor (permits: number) {
    this.#permits = Array.from({ length: permits }, () => 0)
  }

  add (unit: Unit): void {
    if (unit === READ) this.#readers++
    else this.#permits[unit] = 1
  }

  /** False: it was not held. */
  delete (unit: Unit): boolean {
    if (unit === READ) return this.#readers > 0 && this.#readers-- > 0
    if (this.#permits[unit] === 0) return false
    this.#permits[unit] = 0
    return true
  }

  all (): Unit[] {
    const permits = [...this.#permits.keys()].filter((unit) => this.#permits[unit] === 1)
    return permits.concat(new Array<Unit>(this.#readers).fill(READ))
  }
}
