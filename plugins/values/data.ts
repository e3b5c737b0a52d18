import { types } from 'node:util'
import { ValueInvalidError } from '../errors.ts'
import { showValue } from '../options/show.ts'

/** So many that what was written can be read in any stack that is not all but full. */
const MOST_LEVELS = 1000
const LONGEST_PATH = 200

/** What an error says that a value must be. */
export const DATA = 'data: leave out what is none, or give its object a toJSON method that returns data'

/** A way into a value: the name of a property, or which key or value of a Map or Set. */
type Step = string | { of: 'key', n: number } | { of: 'entry', key: unknown } | { of: 'set', n: number }

/**
 * A copy of a value in which all is data that the structured clone keeps: what has a `toJSON` method stands for what that
 * gives, an instance of a class for its own enumerable properties. Dates, Maps, Sets, binary data, regular expressions,
 * errors (their name, message, stack and cause) and boxed primitives stay what they are; one object in two places stays one.
 * A copy, so that each getter and `toJSON` is called once.
 *
 * Throws FST_SWOOLE_VALUE_INVALID for functions, symbols, an instance of a class that has no such properties (a Promise, a
 * WeakMap, Headers: nothing of them would be left), and for more than 1000 levels; `what` names the value in it.
 */
export function dataOf (value: unknown, what: string): unknown {
  return new Copier(what).copy(value)
}

class Copier {
  #what: string
  #path: Step[] = []
  #copies = new Map<object, unknown>()

  constructor (what: string) {
    this.#what = what
  }

  copy (value: unknown): unknown {
    if (typeof value === 'function') this.#refuse('a function')
    if (typeof value === 'symbol') this.#refuse('a symbol')
    if (typeof value !== 'object' || value === null) return value
    if (this.#copies.has(value)) return this.#copies.get(value)
    return ArrayBuffer.isView(value) || types.isDate(value) ? value : this.#copyOrCall(value)
  }

  #copyOrCall (value: { toJSON?: unknown }): unknown {
    const { toJSON } = value
    if (typeof toJSON !== 'function') return this.#copyObject(value)
    const given: unknown = toJSON.call(value, this.#lastName())
    // As with JSON, what toJSON gives is not asked for its own; it may be the object itself.
    const isContainer = typeof given === 'object' && given !== null && !ArrayBuffer.isView(given) && !types.isDate(given)
    const copy = isContainer ? this.#copies.get(given) ?? this.#copyObject(given) : this.copy(given)
    this.#copies.set(value, copy)
    return copy
  }

  #copyObject (value: object): unknown {
    if (types.isRegExp(value) || types.isArrayBuffer(value) || (types.isBoxedPrimitive(value) && !types.isSymbolObject(value))) return value
    if (types.isNativeError(value)) return this.#copyError(value)
    if (types.isMap(value)) return this.#copyMap(value)
    if (types.isSet(value)) return this.#copySet(value)
    if (Array.isArray(value)) return this.#copyArray(value)
    return this.#copyProperties(value as Record<string, unknown>)
  }

  /** All but the cause is for the clone to read. */
  #copyError (value: Error): Error {
    if (!Object.hasOwn(value, 'cause')) return value
    const copy = new Error(value.message)
    this.#copies.set(value, copy)
    copy.name = value.name
    copy.stack = value.stack
    copy.cause = this.#copyAt('cause', value.cause)
    return copy
  }

  #copyMap (value: ReadonlyMap<unknown, unknown>): Map<unknown, unknown> {
    const copy = new Map<unknown, unknown>()
    this.#copies.set(value, copy)
    for (const [key, item] of value) {
      const keyCopy = this.#copyAt({ of: 'key', n: copy.size }, key)
      copy.set(keyCopy, this.#copyAt({ of: 'entry', key }, item))
    }
    return copy
  }

  #copySet (value: ReadonlySet<unknown>): Set<unknown> {
    const copy = new Set<unknown>()
    this.#copies.set(value, copy)
    for (const item of value) copy.add(this.#copyAt({ of: 'set', n: copy.size }, item))
    return copy
  }

  #copyArray (value: unknown[]): unknown[] {
    const copy: unknown[] = []
    this.#copies.set(value, copy)
    this.#copyInto(copy, value as unknown as Record<string, unknown>, Object.keys(value))
    // Last, since an array that is made with a large length has room for all of it.
    copy.length = value.length
    return copy
  }

  #copyProperties (value: Record<string, unknown>): object {
    const names = Object.keys(value)
    const copy = {}
    if (names.length === 0 && !isPlain(value)) this.#refuse(`an instance of ${className(value)}, which has no properties that can be kept`)
    this.#copies.set(value, copy)
    this.#copyInto(copy, value, names)
    return copy
  }

  #copyInto (copy: object, value: Record<string, unknown>, names: string[]): void {
    for (const name of names) {
      const item = value[name]
      if (name === 'toJSON' && typeof item === 'function') continue
      const property = this.#copyAt(name, item)
      if (name === '__proto__') Object.defineProperty(copy, name, { value: property, enumerable: true, configurable: true, writable: true })
      else (copy as Record<string, unknown>)[name] = property
    }
    for (const symbol of Object.getOwnPropertySymbols(value)) {
      if (Object.prototype.propertyIsEnumerable.call(value, symbol)) this.#refuse(`an object with the key ${String(symbol)}`)
    }
  }

  #copyAt (step: Step, value: unknown): unknown {
    if (this.#path.push(step) > MOST_LEVELS) throw new ValueInvalidError(this.#what, 'nested too deeply', `of at most ${MOST_LEVELS} levels`)
    const copy = this.copy(value)
    this.#path.pop()
    return copy
  }

  #lastName (): string {
    const step = this.#path.at(-1)
    return typeof step === 'string' ? step : ''
  }

  #refuse (met: string): never {
    const path = textOf(this.#path)
    throw new ValueInvalidError(this.#what, path === '' ? met : `an object in which ${path} is ${met}`, DATA)
  }
}

/** Another realm's objects are plain too, and those of which the prototype only keeps `Object.prototype` away. */
function isPlain (value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function className (value: object): string {
  const name: unknown = (value.constructor as { name?: unknown } | undefined)?.name
  return typeof name === 'string' && name !== '' ? name : 'a class'
}

function textOf (path: readonly Step[]): string {
  const text = path.map(textOfStep).join('').replace(/^\./, '')
  return text.length > LONGEST_PATH ? `${text.slice(0, LONGEST_PATH - 1)}…` : text
}

function textOfStep (step: Step): string {
  if (typeof step === 'string') {
    if (/^\d+$/.test(step)) return `[${step}]`
    return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  }
  if (step.of === 'entry') return `.get(${showValue(step.key)})`
  return step.of === 'key' ? `.keys()[${step.n}]` : `.values()[${step.n}]`
}
