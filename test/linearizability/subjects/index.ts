import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import type { Inputs, Structure } from '../plans.ts'
import type { Subject } from '../subject.ts'

type Open<S extends Structure> = (memory: SharedMemory) => Subject<Inputs[S]>

/** Loaded when it is needed, so that a process has only what it records. */
export const SUBJECTS: { [S in Structure]: () => Promise<Open<S>> } = {
  atomic: async () => (await import('./atomic.ts')).atomic,
  brokenAtomic: async () => (await import('./atomic.ts')).brokenAtomic,
  table: async () => (await import('./table.ts')).table,
  lock: async () => (await import('./lock.ts')).lock,
  spinlock: async () => (await import('./lock.ts')).spinlock,
  semaphore: async () => (await import('./lock.ts')).semaphore,
  rwlock: async () => (await import('./lock.ts')).rwlock,
  queue: async () => (await import('./queue.ts')).queue,
  queueOfBlocks: async () => (await import('./queue.ts')).queueOfBlocks
}
