import { SharedQueue } from '../../../plugins/queue/memory.ts'
import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import { NONE, TORN } from '../models.ts'
import type { QueueInput } from '../models.ts'
import { CAPACITY } from '../plans.ts'
import { always, said } from '../subject.ts'
import type { Subject } from '../subject.ts'

/** Items of every kind, small ones and such as need a block of their own. */
function itemOf (value: number): unknown {
  switch (value % 4) {
    case 0: return value
    case 1: return `${value}:`.padEnd(value % 300, 'x')
    case 2: return Buffer.alloc(8 + value % 900, `${value}:`)
    default: return { value, text: 'ä'.repeat(value % 50) }
  }
}

function valueOf (item: unknown): number {
  if (item === undefined) return NONE
  const value = typeof item === 'number' ? item : typeof item === 'string' ? Number.parseInt(item) : Buffer.isBuffer(item) ? Number.parseInt(item.toString('latin1')) : (item as { value: number }).value
  const expected = itemOf(value)
  const isWhole = Buffer.isBuffer(item) ? Buffer.isBuffer(expected) && item.equals(expected) : JSON.stringify(item) === JSON.stringify(expected)
  return isWhole ? value : TORN
}

function subject (memory: SharedMemory, kind: string, itemOf: (value: number) => unknown, valueOf: (item: unknown) => number): Subject<QueueInput> {
  const queues = [1, 2].map((n) => new SharedQueue<unknown>(memory, `${kind} ${n}`, { capacity: CAPACITY, maxAttempts: 1000 }))
  return {
    reset: () => Promise.all(queues.map((queue) => queue.clear())),
    isDue: always,
    perform ({ kind, object, value }) {
      const queue = queues[object]!
      switch (kind) {
        case 'push': return queue.push(itemOf(value)).then(said)
        case 'pop': return queue.pop().then(valueOf)
        case 'peek': return queue.peek().then(valueOf)
        default: return queue.getSize()
      }
    }
  }
}

export const queue = (memory: SharedMemory) => subject(memory, 'numbers', (value) => value, (item) => item === undefined ? NONE : item as number)
export const queueOfBlocks = (memory: SharedMemory) => subject(memory, 'blocks', itemOf, valueOf)
