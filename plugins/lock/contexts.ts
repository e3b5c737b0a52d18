import { AsyncLocalStorage } from 'node:async_hooks'
import type { HeldLock } from './handle.ts'

/**
 * What an asynchronous context holds, innermost first: code that runs in a context holds the handles of the chain that
 * are still locked. A context is begun with each acquisition; its handle comes when the lock is granted.
 */
export interface Context {
  handle: HeldLock | undefined
  /** Its lock was not granted, and never will be. */
  hasFailed: boolean
  parent: Context | undefined
  /** The synchronous run in which `lock` entered it; ENCLOSING when something runs inside and it ends with that. */
  run: number
  /** How many contexts are in the chain, and how many may be before those that are over are taken out of it. */
  length: number
  lengthAtMost: number
}

const ENCLOSING = -1
/** Twice what was left the last time, so it costs each acquisition the same, and this much at least. */
const LENGTH_AT_MOST = 16

const contexts = new AsyncLocalStorage<Context>()
let run = 0
let isRunKnown = false

/** A context inside the one that the caller runs in. */
export function begin (): Context {
  const parent = current()
  const context: Context = { handle: undefined, hasFailed: false, parent, run: ENCLOSING, length: 1, lengthAtMost: LENGTH_AT_MOST }
  if (parent === undefined) return context
  context.length = parent.length + 1
  context.lengthAtMost = parent.lengthAtMost
  // Whoever takes locks one after the other and frees an earlier one each time must not keep the contexts of all.
  if (context.length > context.lengthAtMost) {
    context.length = withoutThoseOver(context)
    context.lengthAtMost = Math.max(LENGTH_AT_MOST, 2 * context.length)
  }
  return context
}

/** The same, and the caller goes on in it: `await lock.lock()` has no function that could be run inside. */
export function beginHere (): Context {
  const context = begin()
  if (!isRunKnown) {
    isRunKnown = true
    // Queued before any continuation of the caller, so it comes first.
    queueMicrotask(() => {
      run++
      isRunKnown = false
    })
  }
  context.run = run
  contexts.enterWith(context)
  return context
}

/** Runs `act` in a context. */
export function runIn<T> (context: Context, act: () => T): T {
  return contexts.run(context, act)
}

/**
 * What a context holds of a worker's locks. A process may have several memories: one application may call another.
 *
 * Of the lock that is waited for only what an enclosing `synchronized` holds: the context that `lock()` begins leaves the
 * function that called it, so whoever called that, and calls it again, would seem to wait for itself.
 */
export function heldIn (context: Context | undefined, worker: object, waitedFor: number): HeldLock[] {
  const held: HeldLock[] = []
  for (let at = context; at !== undefined; at = at.parent) {
    const { handle } = at
    if (handle?.isHeld && handle.owner.worker === worker && (at.run === ENCLOSING || handle.owner.payload !== waitedFor)) held.push(handle)
  }
  return held
}

function current (): Context | undefined {
  let context = contexts.getStore()
  // Entered in this very run, so by a sibling that goes on later: `Promise.all([a.lock(), b.lock()])`.
  while (context !== undefined && context.run === run) context = context.parent
  return unlessOver(context)
}

function unlessOver (context: Context | undefined): Context | undefined {
  while (context !== undefined && (context.hasFailed || context.handle?.isHeld === false)) context = context.parent
  return context
}

/** How many contexts are left. */
function withoutThoseOver (context: Context): number {
  let count = 1
  for (let at = context; ; count++) {
    at.parent = unlessOver(at.parent)
    if (at.parent === undefined) return count
    at = at.parent
  }
}
