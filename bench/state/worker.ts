/* A process that measures what its parent tells it to and sends the figures back. */
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { answerJobs } from '../measure/workers.ts'
import type { CacheOptions } from './jobs/cache.ts'
import type { LimiterOptions } from './jobs/limiter.ts'

let memory: SharedMemory

// Each job is imported when it is asked for: the others are not to load what its peers bring along.
const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
  },
  async cache (options: CacheOptions) {
    const { measureCache } = await import('./jobs/cache.ts')
    return measureCache(options)
  },
  async limiter (options: LimiterOptions) {
    const { measureLimiter } = await import('./jobs/limiter.ts')
    return measureLimiter(options)
  },
  async entryBytes (options: { folder: string, bytes: number }) {
    const { measureEntryBytes } = await import('./jobs/memory.ts')
    return measureEntryBytes(options)
  },
  async fillShared (bytes: number) {
    const { fillShared } = await import('./jobs/memory.ts')
    return fillShared(memory, bytes)
  },
  async readShared (bytes: number, entries: number) {
    const { readShared } = await import('./jobs/memory.ts')
    await readShared(memory, bytes, entries)
  },
  async readOwn (bytes: number, entries: number) {
    const { readOwn } = await import('./jobs/memory.ts')
    await readOwn(memory, bytes, entries)
  },
  async memoryAtRest () {
    const { memoryAtRest } = await import('./jobs/memory.ts')
    return memoryAtRest()
  }
}

export type Jobs = typeof jobs

answerJobs(jobs)
