import { setTimeout as sleep } from 'node:timers/promises'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { random } from '../shared-memory/random.ts'
import { checksum, openStructures } from './structures.ts'
import type { Structures } from './structures.ts'
import { answerParent } from '../shared-memory/answering.ts'

/* A worker that uses a table, locks and a queue until it is killed, and says what it saw that must not be. */

let memory: SharedMemory
let shared: Structures
let rounds = 0
const faults: string[] = []

const LOCK_MS = 20_000

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
    shared = openStructures(memory)
  },

  /** `run` names this life of the worker. */
  begin (run: number, seed: number) {
    const next = random(seed)
    const loops = [useTable(run, next), useMutex(next), useReadWriteLock(run, next), useSemaphore(next), produce(run, next)]
    for (const loop of loops) loop.catch((error) => faults.push(String(error)))
    consume(run, next)
  },

  report (): { rounds: number, faults: string[] } {
    return { rounds, faults }
  }
}

export type Jobs = typeof jobs

async function useTable (run: number, next: (limit: number) => number): Promise<never> {
  const { rows } = shared
  for (;;) {
    for (let n = 0; n < 20; n++) {
      const key = `row ${next(40)}`
      const row = rows.get(key)
      if (row !== undefined && row.sum !== checksum(row)) faults.push(`a torn row: ${JSON.stringify(row)}`)
      switch (next(8)) {
        case 0:
          rows.delete(key)
          break
        case 1:
          rows.incr(`counter ${next(5)}`, 'a')
          break
        default: {
          const values = { a: next(2 ** 31), b: run + next(1000) / 1024, text: 'x'.repeat(next(200)) }
          rows.set(key, { ...values, sum: checksum(values) })
        }
      }
      rounds++
    }
    await sleep(next(3))
  }
}

/** Only who holds the mutex changes `guarded`, in two steps: only one who died in between leaves them different. */
async function useMutex (next: (limit: number) => number): Promise<never> {
  for (;;) {
    using handle = await shared.mutex.lock({ timeout: LOCK_MS })
    const { a, b } = shared.guarded.get('it') ?? { a: 0, b: 0 }
    if (a !== b && !handle.abandoned) faults.push(`the mutex was given to somebody beside its holder: ${a}, ${b}`)
    if (handle.fencingToken <= (shared.guarded.get('token')?.b ?? 0)) faults.push('a fencing token came twice')
    shared.guarded.set('token', { b: handle.fencingToken })
    shared.guarded.set('it', { a: a + 1 })
    if (next(4) === 0) await sleep(0)
    shared.guarded.set('it', { b: a + 1 })
    rounds++
  }
}

/** While somebody reads, the last writer stays the same. */
async function useReadWriteLock (run: number, next: (limit: number) => number): Promise<never> {
  for (;;) {
    if (next(3) === 0) {
      await shared.readWrite.synchronized(async () => {
        shared.guarded.set('writer', { a: run, b: next(1000) })
        await sleep(0)
      }, { timeout: LOCK_MS })
    } else {
      await shared.readWrite.synchronizedRead(async () => {
        const before = JSON.stringify(shared.guarded.get('writer'))
        await sleep(next(2))
        if (JSON.stringify(shared.guarded.get('writer')) !== before) faults.push('somebody wrote while another read')
      }, { timeout: LOCK_MS })
    }
    rounds++
  }
}

async function useSemaphore (next: (limit: number) => number): Promise<never> {
  for (;;) {
    await shared.semaphore.synchronized(() => sleep(next(2)), { timeout: LOCK_MS })
    rounds++
  }
}

/** Items are numbered; those up to `acknowledged` were acknowledged to this worker. */
async function produce (run: number, next: (limit: number) => number): Promise<never> {
  for (let number = 1; ; number++) {
    // Small values stand in the queue's records, large ones in blocks of their own.
    const item = { run, number, filler: next(4) === 0 ? 'x'.repeat(next(3000)) : '' }
    while (!await shared.queue.push(item, { timeout: LOCK_MS })) faults.push('the queue was full for 20 seconds')
    shared.runs.set(String(run), { acknowledged: number })
    await sleep(next(8))
  }
}

/** One at a time: when the next begins, the one before is acknowledged. */
function consume (run: number, next: (limit: number) => number): void {
  let index = 0
  shared.queue.consume(async ({ run: producer, number }, { attempt }) => {
    shared.runs.set(String(run), { begun: ++index })
    const delivery = `${producer}:${number}:${attempt}`
    if (shared.deliveries.has(delivery)) faults.push(`attempt ${delivery} was made twice`)
    shared.deliveries.set(delivery, { run, index })
    if (next(4) === 0) await sleep(next(8))
  })
}

answerParent(jobs)
