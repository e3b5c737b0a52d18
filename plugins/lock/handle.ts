import { LockNotHeldError } from '../errors.ts'
import { WAS_LEFT } from './layout.ts'
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
  giveBack (handle: HeldLock): void
}

/** A class without closures, and a list that runs through the handles: an uncontended lock makes this one object. */
export class HeldLock implements LockHandle {
  readonly abandoned: boolean
  readonly fencingToken: number
  readonly owner: Owner
  readonly unit: Unit
  isHeld = true
  /** The waits that have told other workers that they hold this. */
  publishedBy: Set<PublishedWait> | undefined = undefined
  next: HeldLock | undefined = undefined
  previous: HeldLock | undefined = undefined

  constructor (owner: Owner, taken: Taken, fencingToken: number) {
    this.owner = owner
    this.unit = taken & ~WAS_LEFT
    this.abandoned = (taken & WAS_LEFT) !== 0
    this.fencingToken = fencingToken
  }

  unlock (): void {
    if (!this.isHeld) throw new LockNotHeldError(this.owner.name)
    this.owner.giveBack(this)
  }

  [Symbol.dispose] (): void {
    if (this.isHeld) this.owner.giveBack(this)
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    this[Symbol.dispose]()
  }
}

/** The handles of one lock that one application holds. */
export class HeldLocks {
  #last: HeldLock | undefined = undefined

  add (handle: HeldLock): void {
    if (this.#last !== undefined) this.#last.next = handle
    handle.previous = this.#last
    this.#last = handle
  }

  delete (handle: HeldLock): void {
    if (handle.next !== undefined) handle.next.previous = handle.previous
    else this.#last = handle.previous
    if (handle.previous !== undefined) handle.previous.next = handle.next
    handle.next = handle.previous = undefined
  }

  get last (): HeldLock | undefined {
    return this.#last
  }
}
