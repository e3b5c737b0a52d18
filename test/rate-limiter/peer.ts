import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { Family } from '../../plugins/rate-limiter/memory.ts'
import type { SharedRateLimiter } from '../../plugins/rate-limiter/memory.ts'
import { LimiterPool } from '../../plugins/rate-limiter/pool.ts'
import { FixedWindowStore } from '../../plugins/rate-limiter/store.ts'
import { answerParent } from '../shared-memory/answering.ts'

/* A worker process that asks a limiter, or counts in windows, as fast as it can. */

export const RATE = { maxRequests: 1000, window: '1m' }
export const WINDOW_MS = 60_000

export function limiters (memory: SharedMemory) {
  const pool = new LimiterPool(memory, 1000)
  return { limiter: new Family(() => pool, true).create('test', RATE), store: new FixedWindowStore(() => pool) }
}

let limiter: SharedRateLimiter
let store: FixedWindowStore

const jobs = {
  attach (attachment: Attachment) {
    ({ limiter, store } = limiters(attachMemory(attachment)))
  },

  /** How many of so many requests were admitted. */
  async ask (id: string, times: number): Promise<number> {
    let admitted = 0
    for (let n = 0; n < times; n++) if (await limiter.isAllowed(id)) admitted++
    return admitted
  },

  /** How many of so many counts are within `max`. */
  count (key: string, times: number, max: number): number {
    let within = 0
    for (let n = 0; n < times; n++) {
      store.incr(key, (error, result) => {
        if (error !== null) throw error
        if (result!.current <= max) within++
      }, WINDOW_MS, max)
    }
    return within
  },

  /** Asks for ever, for different ids; never answers. */
  askForEver () {
    for (let n = 0; ; n++) limiter.take(`id ${n % 3000}`)
  }
}

export type Jobs = typeof jobs

answerParent(jobs)
