import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { SharedLock } from '../../plugins/lock/memory.ts'
import type { LockHandle, LockType } from '../../plugins/lock/memory.ts'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { random } from '../shared-memory/random.ts'
import { answerParent } from '../shared-memory/answering.ts'

/* A worker process of the tests of locks: it attaches to the memory and does the jobs that its parent asks for. */

let memory: SharedMemory
const locks = new Map<string, SharedLock>()
const handles = new Map<string, LockHandle>()

function open (name: string, type: LockType = 'mutex', permits = 1): SharedLock {
  let lock = locks.get(name)
  if (lock === undefined) {
    lock = new SharedLock(memory, name, { type, permits: type === 'semaphore' ? permits : undefined, deadlockTimeout: 100 })
    locks.set(name, lock)
  }
  return lock
}

/** A counter without any protection of its own. */
const word = (name: string) => memory.open({ type: 'test', name, definition: 'word', bytes: 4 }) / 4

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
  },

  open (name: string, type: LockType, permits = 1) {
    open(name, type, permits)
  },

  /** Adds one to the counter in two steps, with a turn of the microtasks between, `times` times. */
  async count (name: string, times: number, type: LockType) {
    const lock = open(name, type)
    const index = word(name)
    for (let n = 0; n < times; n++) {
      await lock.synchronized(async () => {
        const value = Atomics.load(memory.region.i32, index)
        if (n % 8 === 0) await null
        Atomics.store(memory.region.i32, index, value + 1)
      })
    }
  },

  /** The same without waiting in line. */
  countByTrying (name: string, times: number, type: LockType) {
    const lock = open(name, type)
    const index = word(name)
    for (let n = 0; n < times;) {
      const handle = lock.trylock()
      if (handle === undefined) continue
      Atomics.store(memory.region.i32, index, Atomics.load(memory.region.i32, index) + 1)
      handle.unlock()
      n++
    }
  },

  /** Goes in and out at random ways; returns what it saw that must not be. */
  async mingle (name: string, type: LockType, permits: number, seed: number, rounds: number): Promise<string[]> {
    const lock = open(name, type, permits)
    const [readers, writers] = [word(`${name} readers`), word(`${name} writers`)]
    const { i32 } = memory.region
    const next = random(seed)
    const faults: string[] = []
    const one = async () => {
      const reads = type === 'rwlock' && next(4) !== 0
      const handle = next(5) === 0
        ? reads ? lock.trylockRead() : lock.trylock()
        : await (reads ? lock.lockRead(wait()) : lock.lock(wait())).catch(unlessTimeOut)
      if (handle === undefined) return
      const inside = Atomics.add(i32, reads ? readers : writers, 1) + 1
      if (!reads && inside > permits) faults.push(`${inside} are inside`)
      if (type === 'rwlock' && Atomics.load(i32, reads ? writers : readers) !== 0) faults.push('readers and a writer are inside')
      for (let turn = next(4); turn > 0; turn--) await null
      if (next(10) === 0) await new Promise((resolve) => setImmediate(resolve))
      Atomics.sub(i32, reads ? readers : writers, 1)
      handle.unlock()
    }
    const wait = () => next(6) === 0 ? { timeout: 1 + next(3) } : next(12) === 0 ? { signal: AbortSignal.timeout(1) } : undefined
    for (let round = 0; round < rounds; round++) await Promise.all([one(), one(), one()])
    return faults
  },

  /** The same until it is killed. What it counts as inside would stay, so it counts nothing. */
  async mingleForever (name: string, type: LockType, permits: number, seed: number) {
    const lock = open(name, type, permits)
    const next = random(seed)
    for (;;) {
      const reads = type === 'rwlock' && next(3) !== 0
      const handles = await Promise.all([1, 2].map(async () => next(4) === 0 ? (reads ? lock.trylockRead() : lock.trylock()) : await (reads ? lock.lockRead({ timeout: 5 }) : lock.lock({ timeout: 5 })).catch(unlessTimeOut)))
      for (const handle of handles) handle?.unlock()
      if (next(50) === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  },

  async lock (name: string, as = name): Promise<{ abandoned: boolean, fencingToken: number }> {
    const handle = await open(name).lock()
    handles.set(as, handle)
    return { abandoned: handle.abandoned, fencingToken: handle.fencingToken }
  },

  async lockRead (name: string) {
    handles.set(name, await open(name, 'rwlock').lockRead())
  },

  trylock (name: string): boolean {
    const handle = open(name).trylock()
    if (handle !== undefined) handles.set(name, handle)
    return handle !== undefined
  },

  unlock (name: string) {
    handles.get(name)!.unlock()
  },

  /** Its turns are written down in the order in which they came: its number at the place that the counter says. */
  async getInLine (name: string, mark: number) {
    const handle = await open(name).lock()
    const order = memory.open({ type: 'test', name: 'order', definition: 'words', bytes: 1024 }) / 4
    const { i32 } = memory.region
    Atomics.store(i32, order, Atomics.load(i32, order) + 1)
    Atomics.store(i32, order + Atomics.load(i32, order), mark)
    handle.unlock()
  },

  waiting (name: string): number {
    return open(name).stats().waiting
  },

  /** Does not come back to its event loop before the value is not zero. */
  block (name: string, entered: string) {
    const counter = new Uint32Atomic(memory, name, 0)
    new Uint32Atomic(memory, entered, 0).set(1)
    while (counter.get() === 0 && process.connected);
  },

  /** Holds `first` and waits for `second`. */
  async holdAndWait (first: string, second: string, held: string): Promise<string> {
    const outer = await open(first).lock()
    new Uint32Atomic(memory, held, 0).increment()
    await new Uint32Atomic(memory, `${held} by all`, 0).wait()
    try {
      const inner = await open(second).lock()
      inner.unlock()
      return 'got it'
    } catch (error) {
      return `${(error as { code: string }).code} ${(error as Error).message}`
    } finally {
      outer.unlock()
    }
  }
}

function unlessTimeOut (error: { code?: string, name: string }): undefined {
  if (error.code !== 'FST_SWOOLE_LOCK_TIMEOUT' && error.name !== 'TimeoutError') throw error
}

export type Jobs = typeof jobs

answerParent(jobs)
