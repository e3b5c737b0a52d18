/* A process that runs tasks, of ours or of BullMQ, or sends back what it is sent; and one that leaves tasks and measures. */
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { SharedTaskWorker } from '../../plugins/task-worker/memory.ts'
import { answerJobs } from '../measure/workers.ts'
import { makeCaller } from './callers.ts'
import type { Caller, CallerOptions, Peer } from './callers.ts'
import { TASK, measure } from './loops.ts'
import type { Load } from './loops.ts'

let memory: SharedMemory
const callers = new Map<Peer, Caller>()

function openTasks (): SharedTaskWorker {
  const fail = (_type: string, error: unknown) => { throw error }
  const tasks = new SharedTaskWorker(memory, { role: 'http', maxQueued: 100_000, maxPayload: 2 ** 24, withStack: false, onError: fail, onEnd () {} })
  tasks.registerHandler(TASK, (data) => data)
  return tasks
}

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
  },

  /** Runs our tasks from now on. */
  runTasks () {
    openTasks().start()
  },

  /** Runs BullMQ's jobs from now on. */
  async runJobs (queue: string, prefix: string) {
    const { Worker } = await import('bullmq')
    const worker = new Worker(queue, async ({ data }) => data, { connection: { host: '127.0.0.1', maxRetriesPerRequest: null }, prefix, concurrency: 32 })
    await worker.waitUntilReady()
  },

  /** Opens the way that tasks are left by. */
  async open (peer: Peer, options: CallerOptions) {
    callers.set(peer, await makeCaller(peer, options, () => openTasks()))
  },

  async measure (peer: Peer, load: Load) {
    return await measure(callers.get(peer)!.call, load)
  },

  async close () {
    for (const caller of callers.values()) await caller.close()
  }
}

export type Jobs = typeof jobs

answerJobs(jobs)
