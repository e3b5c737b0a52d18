import { SharedLock } from '../../../plugins/lock/memory.ts'
import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import { NONE, lockAnswer } from '../models.ts'
import type { LockInput } from '../models.ts'
import type { Subject } from '../subject.ts'

type Options = ConstructorParameters<typeof SharedLock>[2]
type Handle = NonNullable<ReturnType<SharedLock['trylock']>>

const answer = (handle: Handle) => lockAnswer(handle.fencingToken, handle.abandoned)

function subject (memory: SharedMemory, name: string, options: Options, permits: number): Subject<LockInput> {
  const lock = new SharedLock(memory, name, options)
  let held: Handle | undefined
  const holding = (handle: Handle) => {
    held = handle
    return answer(handle)
  }
  const tried = (handle: Handle | undefined) => handle === undefined ? NONE : holding(handle)
  return {
    /** Takes all that a dead process left, so that nobody else is told. */
    reset () {
      for (const handle of Array.from({ length: permits }, () => lock.trylock())) handle!.unlock()
    },
    isDue: ({ kind }) => (kind === 'unlock') === (held !== undefined),
    perform ({ kind }) {
      switch (kind) {
        case 'lock': return lock.lock().then(holding)
        case 'lockRead': return lock.lockRead().then(holding)
        case 'trylock': return tried(lock.trylock())
        case 'trylockRead': return tried(lock.trylockRead())
        case 'unlock': held!.unlock()
      }
      held = undefined
      return NONE
    }
  }
}

export const lock = (memory: SharedMemory) => subject(memory, 'mutex', { type: 'mutex' }, 1)
export const spinlock = (memory: SharedMemory) => subject(memory, 'spinlock', { type: 'spinlock' }, 1)
export const semaphore = (memory: SharedMemory) => subject(memory, 'semaphore', { type: 'semaphore', permits: 2 }, 2)
export const rwlock = (memory: SharedMemory) => subject(memory, 'rwlock', { type: 'rwlock' }, 1)
