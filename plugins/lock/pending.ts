import type { Kind, Taken } from './layout.ts'
import type { Line } from './line.ts'
import { LONGEST_TIMER_MS } from './options.ts'
import type { Waiter } from './waiters.ts'

interface Outcome {
  granted (taken: Taken): void
  failed (error: unknown): void
  /** Called before either. */
  ended (): void
}

/** A wait in the line that may end before its turn comes. */
export class PendingLock implements Waiter {
  readonly kind: Kind
  ticket = 0
  isInLine = false
  before: Waiter | undefined = undefined
  behind: Waiter | undefined = undefined
  hasEnded = false
  #line: Line
  #outcome: Outcome
  #isUnwanted = false
  #onEnd: Array<() => void> = []

  constructor (kind: Kind, line: Line, outcome: Outcome) {
    this.kind = kind
    this.#line = line
    this.#outcome = outcome
  }

  enter (): void {
    try {
      this.#line.enter(this)
    } catch (error) {
      this.refuse()
      this.#line.remove(this)
      this.#end()
      this.#outcome.failed(error)
    }
  }

  endAfter (timeoutMs: number, timedOut: () => Error): void {
    // That is 24 days, as good as none.
    if (timeoutMs > LONGEST_TIMER_MS) return
    const timer = setTimeout(() => this.fail(timedOut), timeoutMs)
    this.onEnd(() => clearTimeout(timer))
  }

  endWith (signal: AbortSignal): void {
    const abort = () => this.abandon(signal.reason)
    signal.addEventListener('abort', abort)
    this.onEnd(() => signal.removeEventListener('abort', abort))
  }

  onEnd (act: () => void): void {
    this.#onEnd.push(act)
  }

  granted (taken: Taken): void {
    this.#end()
    if (this.#isUnwanted) this.#line.putBack(taken)
    else this.#outcome.granted(taken)
  }

  /** Ends the wait with an error, unless the lock was granted already: then it is the caller's. */
  fail (error: () => Error): void {
    if (!this.#line.remove(this)) return
    this.#end()
    this.#outcome.failed(error())
  }

  /** What is granted from now on goes back; `abandon` follows. */
  refuse (): void {
    this.#isUnwanted = true
  }

  /** Ends the wait with an error; a lock that was granted already goes back. */
  abandon (error: unknown): void {
    this.refuse()
    if (this.#line.remove(this)) this.#end()
    this.#outcome.failed(error)
  }

  #end (): void {
    this.hasEnded = true
    for (const act of this.#onEnd) act()
    this.#outcome.ended()
  }
}
