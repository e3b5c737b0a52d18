import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { SharedTaskWorker } from '../../plugins/task-worker/memory.ts'
import { answerParent } from '../shared-memory/answering.ts'

/* A process that leaves tasks, or runs them. */

const MEBIBYTE = 1024 * 1024

/** Tasks of the type 'mark' count how often each of them ran. */
export const marksOf = (memory: SharedMemory, count: number) => {
  const word = memory.open({ type: 'marks', name: 'marks', definition: {}, bytes: count * 4 }) / 4
  return {
    mark: (n: number) => { Atomics.add(memory.region.i32, word + n, 1) },
    get: (n: number) => Atomics.load(memory.region.i32, word + n)
  }
}

export function openTasks (memory: SharedMemory, marks: number): SharedTaskWorker {
  const tasks = new SharedTaskWorker(memory, { role: 'http', maxQueued: 1_000_000, maxPayload: 16 * MEBIBYTE, withStack: false, onError () {}, onEnd () {} })
  const { mark } = marksOf(memory, marks)
  const runs = new Uint32Atomic(memory, 'runs', 0)
  tasks.registerHandler<number>('mark', (n) => { mark(n) }, { attempts: 1_000_000, backoff: 0 })
  tasks.registerHandler<number, number>('answer', (n) => n * 2, { attempts: 1_000_000, backoff: 0, concurrency: 4 })
  tasks.registerHandler('die', () => {
    runs.increment()
    process.kill(process.pid, 'SIGKILL')
  }, { attempts: 3, backoff: 0 })
  tasks.registerHandler('hang', () => {
    runs.increment()
    for (;;);
  }, { attempts: 1, timeout: 50 })
  tasks.registerHandler('who', () => process.pid)
  tasks.registerHandler('long', async () => {
    runs.increment()
    await new Promise(() => {})
  })
  return tasks
}

let memory: SharedMemory
let tasks: SharedTaskWorker

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
  },

  open (marks: number, runs: boolean) {
    tasks = openTasks(memory, marks)
    if (runs) tasks.start()
  },

  async dispatchAll (from: number, to: number) {
    for (let n = from; n < to; n++) await tasks.dispatch('mark', n)
  },

  /** So many calls, some at a time; what was wrong. */
  async callAll (count: number, atOnce: number, timeout: number): Promise<string[]> {
    const wrong: string[] = []
    let next = 0
    await Promise.all(Array.from({ length: atOnce }, async () => {
      while (next < count) {
        const n = next++
        const answer = await tasks.dispatchSync<number>('answer', n, { timeout }).catch(String)
        if (answer !== n * 2) wrong.push(`${n}: ${answer}`)
      }
    }))
    return wrong
  },

  async call (type: string, timeout: number) {
    return await tasks.dispatchSync(type, undefined, { timeout }).then((value) => ({ value }), ({ code, message }) => ({ code, message }))
  },

  async pid () {
    return process.pid
  }
}

export type Jobs = typeof jobs

if (process.send !== undefined) answerParent(jobs)
