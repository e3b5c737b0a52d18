import { SharedLock } from '../../../plugins/lock/memory.ts'
import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import { measureInTurn, times } from '../../measure/loops.ts'
import type { Rounds, Samples } from '../../measure/loops.ts'
import { makeRegion } from '../../measure/region.ts'

export interface LockSamples extends Samples {
  compareExchange: number[]
  'trylock, unlock': number[]
  'await lock, unlock': number[]
  'await lock, unlock, no deadlock detection': number[]
}

export interface LockOptions extends Rounds {
  folder: string
  operations: number
}

/** A lock that nobody else wants, and one compare-and-swap on a word of the same memory. */
export async function measureLock ({ folder, operations, ...rounds }: LockOptions): Promise<LockSamples> {
  const { launcher: { memory } } = makeRegion(folder, 2 ** 22)
  const { i32: words } = memory.region
  const index = memory.open({ type: 'bench', name: 'word', definition: '', bytes: 64 }) / 4
  const lock = new SharedLock(memory, 'watched')
  const unwatched = new SharedLock(memory, 'unwatched', { deadlockTimeout: false })
  const loops = {
    compareExchange: times(operations, '(Atomics.compareExchange(words, index, 0, 0) === 0 ? 1 : 0)', { words, index }),
    'trylock, unlock': times(operations, 'handle.fencingToken', { lock }, 'const handle = lock.trylock(); handle.unlock();'),
    'await lock, unlock': times(operations, 'handle.fencingToken', { lock }, 'const handle = await lock.lock(); handle.unlock();'),
    'await lock, unlock, no deadlock detection': times(operations, 'handle.fencingToken', { lock: unwatched }, 'const handle = await lock.lock(); handle.unlock();')
  }
  return await measureInTurn(Object.entries(loops).map(([name, loop]) => ({ name, loop, passes: 1 })), rounds) as LockSamples
}

export interface HandOvers {
  /** When the first and the last hand-over that count took place, on the clock of `process.hrtime`; each is seen by one worker. */
  startedAtNs?: number
  endedAtNs?: number
  /** How often this worker got the lock in between. */
  acquisitions: number
}

/** Words of what the lock protects. */
export const HandOverWord = { HOLDER: 0, CHANGES: 1 } as const

export function handOverWords (memory: SharedMemory): Int32Array {
  const offset = memory.open({ type: 'bench', name: 'hand-over', definition: '', bytes: 64 })
  return memory.region.i32.subarray(offset / 4, offset / 4 + 16)
}

/** Both workers are surely there after so many. */
export const UNCOUNTED_HAND_OVERS = 200

/**
 * `released`: gives the lock back and asks for it again, so the other worker is in line unless it had no processor meanwhile.
 * `in line`: asks again before it gives the lock back, so the other worker is in line, whatever the scheduler does.
 */
export type AskAgain = 'released' | 'in line'

/** Takes the lock and gives it back until it has changed hands so many times; another worker does the same. */
export async function measureHandOver (memory: SharedMemory, handOvers: number, askAgain: AskAgain): Promise<HandOvers> {
  const lock = new SharedLock(memory, 'hand-over')
  const words = handOverWords(memory)
  const result: HandOvers = { acquisitions: 0 }
  const end = UNCOUNTED_HAND_OVERS + handOvers
  for (let next = lock.lock(); ;) {
    const handle = await next
    let changes = Atomics.load(words, HandOverWord.CHANGES)
    if (changes >= UNCOUNTED_HAND_OVERS && changes < end) result.acquisitions++
    if (Atomics.exchange(words, HandOverWord.HOLDER, memory.slot.tag) !== memory.slot.tag) {
      changes++
      Atomics.store(words, HandOverWord.CHANGES, changes)
      if (changes === UNCOUNTED_HAND_OVERS) result.startedAtNs = Number(process.hrtime.bigint())
      if (changes === end) result.endedAtNs = Number(process.hrtime.bigint())
    }
    if (changes < end && askAgain === 'in line') next = lock.lock()
    handle.unlock()
    if (changes >= end) return result
    if (askAgain === 'released') next = lock.lock()
  }
}
