import type { Kind, Taken } from './layout.ts'

/** Somebody in the line of one worker; between two others, which only `Waiters` knows. */
export interface Waiter {
  readonly kind: Kind
  /** Given when it enters the line. */
  ticket: number
  isInLine: boolean
  before: Waiter | undefined
  behind: Waiter | undefined
  /** Called once, outside the guard. */
  granted (taken: Taken): void
}

/** First in, first out, and each may leave from where it is: a list, as a Set is slow to find its first past those that have left. */
export class Waiters {
  first: Waiter | undefined = undefined
  size = 0
  #last: Waiter | undefined = undefined

  add (waiter: Waiter): void {
    waiter.isInLine = true
    waiter.before = this.#last
    if (this.#last === undefined) this.first = waiter
    else this.#last.behind = waiter
    this.#last = waiter
    this.size++
  }

  /** False: it was not in the line. */
  delete (waiter: Waiter): boolean {
    if (!waiter.isInLine) return false
    const { before, behind } = waiter
    if (before === undefined) this.first = behind
    else before.behind = behind
    if (behind === undefined) this.#last = before
    else behind.before = before
    waiter.isInLine = false
    waiter.before = waiter.behind = undefined
    this.size--
    return true
  }
}
