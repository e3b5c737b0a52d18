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
  /** The synchronous run that it was entered in; -1 when it was not entered from inside. */
  run: number
}

const contexts = new AsyncLocalStorage<Context>()
let run = 0
let isRunKnown = false

/** A context inside the one that the caller runs in. */
export function begin (): Context {
  return { handle: undefined, hasFailed: false, parent: current(), run: -1 }
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

/** What a context holds of a worker's locks. A process may have several memories: one application may call another. */
export function heldIn (context: Context | undefined, worker: object): HeldLock[] {
  const held: HeldLock[] = []
  for (let at = context; at !== undefined; at = at.parent) {
    if (at.handle?.isHeld && at.handle.owner.worker === worker) held.push(at.handle)
  }
  return held
}

function current (): Context | undefined {
  let context = contexts.getStore()
  // Entered in this very run, so by a sibling that goes on later: `Promise.all([a.lock(), b.lock()])`.
  while (context !== undefined && context.run === run) context = context.parent
  context = unlessOver(context)
  // Whoever takes one lock, then the next, then frees the first must not keep the contexts of all it has ever freed.
  if (context !== undefined) context.parent = unlessOver(context.parent)
  return context
}

function unlessOver (context: Context | undefined): Context | undefined {
  while (context !== undefined && (context.hasFailed || context.handle?.isHeld === false)) context = context.parent
  return context
}
