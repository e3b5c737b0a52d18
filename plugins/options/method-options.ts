import { OptionsInvalidError } from '../errors.ts'
import { showValue } from './show.ts'

/**
 * Checks what a method was given as its options: an object, or undefined, of nothing but these names, whose `signal` is an
 * AbortSignal. `what` begins the message of FST_SWOOLE_OPTIONS_INVALID.
 */
export function requireNames (what: string, given: unknown, names: readonly string[]): void {
  if (given === undefined) return
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OptionsInvalidError(`${what} are ${showValue(given)}, but must be an object with ${names.join(', ')}`)
  }
  for (const name in given) {
    if (!names.includes(name)) throw new OptionsInvalidError(`${what} have "${name}", which is none: there are ${names.join(', ')}`)
  }
  const { signal } = given as { signal?: unknown }
  if (signal === undefined || signal instanceof AbortSignal) return
  throw new OptionsInvalidError(`The signal in ${what.charAt(0).toLowerCase()}${what.slice(1)} is ${showValue(signal)}, but must be an AbortSignal`)
}

/** Throws FST_SWOOLE_OPTIONS_INVALID for what cannot be called; `what` names it. */
export function requireFunction (what: string, given: unknown): void {
  if (typeof given !== 'function') throw new OptionsInvalidError(`${what} is ${showValue(given)}, but must be a function`)
}
