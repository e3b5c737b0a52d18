/* The ways to have something done elsewhere: each call is a round trip. */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { SharedTaskWorker } from '../../plugins/task-worker/memory.ts'
import { TASK } from './loops.ts'

export const PEERS = ['fastify-swoole', 'piscina', 'process.send', 'BullMQ'] as const
export type Peer = typeof PEERS[number]

export interface CallerOptions {
  workers: number
  queue: string
  prefix: string
}

export interface Caller {
  call (data: object): Promise<unknown>
  close (): Promise<unknown>
}

export async function makeCaller (peer: Peer, { workers, queue, prefix }: CallerOptions, openTasks: () => SharedTaskWorker): Promise<Caller> {
  switch (peer) {
    case 'fastify-swoole': {
      const tasks = openTasks()
      return { call: (data) => tasks.dispatchSync(TASK, data, { timeout: '60s' }), close: async () => {} }
    }
    case 'piscina': {
      const { Piscina } = await import('piscina')
      const pool = new Piscina({ filename: join(import.meta.dirname, 'echo-thread.js'), minThreads: workers, maxThreads: workers })
      return { call: (data) => pool.run(data), close: () => pool.destroy() }
    }
    case 'process.send': return sendCaller(workers)
    case 'BullMQ': {
      const { Queue, QueueEvents } = await import('bullmq')
      const connection = { host: '127.0.0.1', maxRetriesPerRequest: null }
      const jobs = new Queue(queue, { connection, prefix, defaultJobOptions: { removeOnComplete: 2000 } })
      const events = new QueueEvents(queue, { connection, prefix })
      // Each that waits for its job listens.
      jobs.setMaxListeners(0)
      events.setMaxListeners(0)
      await events.waitUntilReady()
      return {
        call: async (data) => await (await jobs.add('echo', data)).waitUntilFinished(events),
        async close () {
          await jobs.obliterate({ force: true })
          await Promise.all([jobs.close(), events.close()])
        }
      }
    }
  }
}

/** Processes that send back what they are sent, in turn; each message has a number, as a caller would need. */
function sendCaller (workers: number): Caller {
  const children = Array.from({ length: workers }, () => fork(join(import.meta.dirname, 'echo-process.js')))
  const calls = new Map<number, (data: unknown) => void>()
  let sent = 0
  for (const child of children) {
    child.on('message', ({ n, data }: { n: number, data: unknown }) => {
      calls.get(n)!(data)
      calls.delete(n)
    })
  }
  return {
    call: (data) => new Promise((resolve) => {
      const n = sent++
      calls.set(n, resolve)
      children[n % children.length]!.send({ n, data })
    }),
    close: async () => children.forEach((child) => child.kill('SIGKILL'))
  }
}
