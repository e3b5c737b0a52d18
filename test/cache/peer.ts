import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { SharedCache } from '../../plugins/cache/memory.ts'
import { CacheStore } from '../../plugins/cache/store.ts'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { answerParent } from '../shared-memory/answering.ts'
import { random } from '../shared-memory/random.ts'
import { eventually } from '../support/processes.ts'

/* A worker process that uses a cache. */

export const SIZE = 1024 * 1024

const silent = { warn () {} } as unknown as FastifyBaseLogger

export function openCache (memory: SharedMemory, size = SIZE, computeTimeoutMs = 10_000, log = silent) {
  const store = new CacheStore(memory, { size, clearOnReload: false }, log)
  return { store, cache: new SharedCache(store, { ttlMs: 60_000, computeTimeoutMs }) }
}

export const runsOf = (memory: SharedMemory) => new Uint32Atomic(memory, 'runs', 0)

/** How many processes have asked. */
const askedOf = (memory: SharedMemory) => new Uint32Atomic(memory, 'asked', 0)

const haveAsked = (processes: number) => eventually(`${processes} have asked`, () => askedOf(memory).get() >= processes)

/** A value that can be told to be of this key and whole. */
export function valueOf (key: string, seed: number) {
  return { key, seed, text: `${seed} `.repeat(seed % 700), at: new Date(seed) }
}

export function isWhole (key: string, value: ReturnType<typeof valueOf>): boolean {
  return value.key === key && value.at.getTime() === value.seed && value.text === `${value.seed} `.repeat(value.seed % 700)
}

let memory: SharedMemory
let cache: SharedCache

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
    cache = openCache(memory).cache
  },

  /** So many ask for the key at once; computing takes `ms`. How many got the same as the first, and that. */
  async getTogether (key: string, times: number, ms: number, computeTimeoutMs?: number) {
    const runs = runsOf(memory)
    if (computeTimeoutMs !== undefined) cache = openCache(memory, SIZE, computeTimeoutMs).cache
    const values = await Promise.all(Array.from({ length: times }, () => cache.get(key, async () => {
      runs.increment()
      await cache.set(`computing ${key}`, memory.slot.index)
      await sleep(ms)
      return { by: memory.slot.index, at: new Date() }
    })))
    const [first] = values
    return { same: values.filter((value) => value !== undefined && value.by === first!.by && value.at.getTime() === first!.at.getTime()).length, by: first!.by }
  },

  /** The same for a computation that fails, when so many processes have asked: what each of those who asked was told. */
  async failTogether (key: string, times: number, processes: number) {
    const runs = runsOf(memory)
    const answers = Promise.allSettled(Array.from({ length: times }, () => cache.get(key, async () => {
      runs.increment()
      await haveAsked(processes)
      throw Object.assign(new RangeError(`run ${runs.get()} failed`), { code: 'E_TEST', statusCode: 418 })
    })))
    askedOf(memory).increment()
    return (await answers).map((outcome) => {
      if (outcome.status === 'fulfilled') return 'fulfilled'
      const { name, message, code, statusCode } = outcome.reason
      return [name, message, code, statusCode].join()
    })
  },

  /** The same for one that is not to be kept. */
  async passTogether (key: string, times: number, processes: number) {
    const runs = runsOf(memory)
    const answers = Promise.all(Array.from({ length: times }, () => cache.get(key, async (item) => {
      item.expiresAfter(0)
      await haveAsked(processes)
      return runs.increment()
    })))
    askedOf(memory).increment()
    return await answers
  },

  async get (key: string) {
    return await cache.get(key)
  },

  async invalidate (tag: string) {
    return await cache.invalidateTags(tag)
  },

  /** Everything at once, until it is killed or the time is over; returns what was wrong. */
  async useForEver (seed: number, ms: number): Promise<{ wrong: string[], done: number }> {
    const next = random(seed)
    const wrong: string[] = []
    let done = 0
    const look = (key: string, value: unknown) => {
      done++
      if (value !== undefined && !isWhole(key, value as ReturnType<typeof valueOf>)) wrong.push(`${key}: ${JSON.stringify(value).slice(0, 100)}`)
    }
    for (const until = Date.now() + ms; Date.now() < until;) {
      const key = `key ${Math.floor(next(40) * next(40))}`
      switch (next(12)) {
        case 0: await cache.set(key, valueOf(key, next(10_000)), { ttl: 1 + next(50), tags: [`tag ${next(5)}`] }); break
        case 1: await cache.delete(key); break
        case 2: if (next(20) === 0) await cache.invalidateTags(`tag ${next(5)}`); break
        case 3: case 4: look(key, await cache.get(key)); break
        default: look(key, await cache.get(key, async () => {
          if (next(4) === 0) await sleep(next(5))
          return valueOf(key, next(10_000))
        }, { ttl: 20, tags: [`tag ${next(5)}`], staleWhileRevalidate: next(30), beta: next(2) }))
      }
    }
    return { wrong, done }
  }
}

export type Jobs = typeof jobs

if (process.send !== undefined) answerParent(jobs)
