import { AtomicValueError } from '../errors.ts'
import { parseDuration } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import { WaitSet } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'

/*
 * An atomic's payload: the value in the first 8 bytes, and at byte 8 the reference of the waiters' words. A payload
 * begins a cache line of its own, so two atomics never slow each other down.
 */
const BYTES = 16
const WAITERS = 2

const UINT32_LIMIT = 2 ** 32

abstract class Waitable {
  readonly name: string
  #waiters: WaitSet

  constructor (memory: SharedMemory, type: string, name: string, payload: number) {
    this.name = name
    this.#waiters = new WaitSet(memory, `${type} ${name}`, payload / 4 + WAITERS)
  }

  /**
   * Waits until the value is not zero, or until a `wakeup` of any worker chooses this waiter: true. False after the
   * time-out (default: none). Never blocks the event loop, and takes nothing from the value.
   * Rejects with FST_SWOOLE_TOO_MANY_WAITERS and FST_SWOOLE_CLOSED.
   */
  async wait (timeout?: Duration): Promise<boolean> {
    const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, `The time-out of a wait for "${this.name}"`)
    return this.#waiters.wait(() => this.isNotZero(), { timeoutMs })
  }

  /** Wakes up to `count` waiters (default 1) of any worker, and returns how many; the value stays as it is. */
  wakeup (count = 1): number {
    if (!Number.isInteger(count) || count < 0) throw new AtomicValueError(this.name, `the number to wake is ${shown(count)}`, 'an integer of 0 or more')
    return this.#waiters.wake(count)
  }

  protected abstract isNotZero (): boolean

  protected rouse (): void {
    if (this.isNotZero()) this.#waiters.wake(Infinity)
  }
}

/** Unsigned 32 bit in shared memory; values and sums wrap at 2^32 both ways, like the original's. */
export class Uint32Atomic extends Waitable {
  #words: Int32Array
  #index: number

  constructor (memory: SharedMemory, name: string, initial: number) {
    requireInteger(name, 'the initial value', initial)
    const payload = memory.open({
      type: 'atomic',
      name,
      definition: 'uint32',
      bytes: BYTES,
      initialise (payload) { memory.region.i32[payload / 4] = initial }
    })
    super(memory, 'atomic', name, payload)
    this.#words = memory.region.i32
    this.#index = payload / 4
  }

  get (): number {
    return Atomics.load(this.#words, this.#index) >>> 0
  }

  set (value: number): void {
    requireInteger(this.name, 'the value', value)
    if (Atomics.exchange(this.#words, this.#index, value | 0) === 0) this.rouse()
  }

  // `by | 0` holds for nearly every call and costs nothing; waiters are looked for only when the value leaves zero,
  // so an addition is the bare instruction and three compares (bench/atomic).
  add (by: number): number {
    if (typeof by !== 'number' || (by | 0) !== by) requireInteger(this.name, 'the number to add', by)
    const before = Atomics.add(this.#words, this.#index, by | 0)
    if (before === 0) this.rouse()
    return (before + by) >>> 0
  }

  sub (by: number): number {
    if (typeof by !== 'number' || (by | 0) !== by) requireInteger(this.name, 'the number to subtract', by)
    const before = Atomics.sub(this.#words, this.#index, by | 0)
    if (before === 0) this.rouse()
    return (before - by) >>> 0
  }

  increment (): number {
    return this.add(1)
  }

  decrement (): number {
    return this.sub(1)
  }

  compareAndSwap (expected: number, next: number): boolean {
    requireInteger(this.name, 'the expected value', expected)
    requireInteger(this.name, 'the next value', next)
    if (Atomics.compareExchange(this.#words, this.#index, expected | 0, next | 0) !== (expected | 0)) return false
    if ((expected | 0) === 0) this.rouse()
    return true
  }

  protected isNotZero (): boolean {
    return Atomics.load(this.#words, this.#index) !== 0
  }
}

/** Signed 64 bit in shared memory, as bigint; sums wrap at 2^63 both ways. */
export class Int64Atomic extends Waitable {
  #values: BigInt64Array
  #index: number

  constructor (memory: SharedMemory, name: string, initial: bigint) {
    requireBigInt(name, 'the initial value', initial)
    const payload = memory.open({
      type: 'atomicLong',
      name,
      definition: 'int64',
      bytes: BYTES,
      initialise (payload) { memory.region.i64[payload / 8] = initial }
    })
    super(memory, 'atomicLong', name, payload)
    this.#values = memory.region.i64
    this.#index = payload / 8
  }

  get (): bigint {
    return Atomics.load(this.#values, this.#index)
  }

  set (value: bigint): void {
    requireBigInt(this.name, 'the value', value)
    if (Atomics.exchange(this.#values, this.#index, value) === 0n) this.rouse()
  }

  add (by: bigint): bigint {
    requireBigInt(this.name, 'the number to add', by)
    const before = Atomics.add(this.#values, this.#index, by)
    if (before === 0n) this.rouse()
    return BigInt.asIntN(64, before + by)
  }

  sub (by: bigint): bigint {
    requireBigInt(this.name, 'the number to subtract', by)
    const before = Atomics.sub(this.#values, this.#index, by)
    if (before === 0n) this.rouse()
    return BigInt.asIntN(64, before - by)
  }

  increment (): bigint {
    return this.add(1n)
  }

  decrement (): bigint {
    return this.sub(1n)
  }

  compareAndSwap (expected: bigint, next: bigint): boolean {
    requireBigInt(this.name, 'the expected value', expected)
    requireBigInt(this.name, 'the next value', next)
    if (Atomics.compareExchange(this.#values, this.#index, expected, next) !== expected) return false
    if (expected === 0n) this.rouse()
    return true
  }

  protected isNotZero (): boolean {
    return Atomics.load(this.#values, this.#index) !== 0n
  }
}

function requireInteger (name: string, what: string, value: unknown): void {
  if (Number.isInteger(value) && Math.abs(value as number) < UINT32_LIMIT) return
  throw new AtomicValueError(name, `${what} is ${shown(value)}`, 'an integer from -4294967295 to 4294967295')
}

function requireBigInt (name: string, what: string, value: unknown): void {
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return
  throw new AtomicValueError(name, `${what} is ${shown(value)}`, 'a bigint from -2^63 to 2^63 - 1')
}

function shown (value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  return (typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, 80)
}
