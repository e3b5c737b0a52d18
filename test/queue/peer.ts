import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import type { QueueOptions } from '../../plugins/queue/memory.ts'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { Marks } from './marks.ts'
import { PRODUCER_SHIFT, STOP, Tally } from './tally.ts'

/* A worker process of a test of queues: it does the jobs that its parent asks for, and ends with its parent. */

const HANDLING_MS = 5

let memory: SharedMemory
const queues = new Map<string, SharedQueue<unknown>>()

function queueOf<T> (name: string, options?: QueueOptions): SharedQueue<T> {
  let queue = queues.get(name)
  if (queue === undefined) {
    queue = new SharedQueue(memory, name, options)
    queues.set(name, queue)
  }
  return queue as SharedQueue<T>
}

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
  },

  push (name: string, item: unknown, timeout = 0) {
    return queueOf(name).push(item, { timeout })
  },

  pop (name: string, timeout = 0) {
    return queueOf(name).pop({ timeout })
  },

  /** Pushes `producer << 32 | n` for each n below `count`. */
  async produce (name: string, producer: number, count: number) {
    const queue = queueOf<number>(name)
    const first = producer * PRODUCER_SHIFT
    for (let n = 0; n < count; n++) {
      if (!await queue.push(first + n) && !await queue.push(first + n, { timeout: '5m' })) throw new Error('no room for 5 minutes')
    }
  },

  /** Pops until it meets STOP. */
  async tally (name: string, producers: number) {
    const queue = queueOf<number>(name)
    const tally = new Tally(producers)
    for (;;) {
      const item = await queue.pop() ?? await queue.pop({ timeout: '5m' })
      if (item === undefined) throw new Error('no item for 5 minutes')
      if (item === STOP) return tally.result()
      tally.add(item)
    }
  },

  /** Marks each item that it is given before it is acknowledged. Ends by a kill only, or with its parent. */
  markForever (name: string, count: number, concurrency: number) {
    const marks = new Marks(memory, count)
    queueOf<{ id: number }>(name).consume(async ({ id }) => {
      marks.add(id)
      // Longer than it takes to be given an item, so that a kill nearly always finds some in hands.
      await new Promise((resolve) => setTimeout(resolve, HANDLING_MS))
    }, { concurrency })
  },

  /** Pushes ids that nobody else pushes and marks them once they are in the queue. Ends by a kill only, or with its parent. */
  async pushForever (name: string, next: string, count: number) {
    const ids = new Uint32Atomic(memory, next, 0)
    const marks = new Marks(memory, count)
    const queue = queueOf<unknown>(name)
    for (let turns = 0; ; turns++) {
      const id = ids.increment() - 1
      if (id >= count) return
      const item = id % 2 === 0 ? id : { id, text: 'x'.repeat(id % 300) }
      if (await queue.push(item, { timeout: '5m' })) marks.add(id)
      if (turns % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  },

  /** Takes an item and never comes back to its event loop. */
  takeAndHang (name: string) {
    queueOf(name).consume(() => {
      new Uint32Atomic(memory, 'hangs', 0).set(1)
      while (process.ppid === parent);
    })
  },

  close () {
    memory.close()
  }
}

const parent = process.ppid

export type Jobs = typeof jobs

process.on('disconnect', () => process.exit())
process.on('message', async ({ id, job, given }: { id: number, job: keyof Jobs, given: unknown[] }) => {
  try {
    process.send!({ id, result: await (jobs[job] as (...given: unknown[]) => unknown)(...given) })
  } catch (error) {
    process.send!({ id, error: `${(error as { code?: string }).code ?? ''} ${(error as Error).message}` })
  }
})
