/* A process that measures what its parent tells it to, on the memory that it is given, and sends the figures back. */
import { Int64Atomic, Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { attachMemory, createLocalMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { OPERATIONS, bareLoop, nanosecondsPerOperation, ourLoop } from './loops.ts'
import type { Loop, Operation } from './loops.ts'

/** `alone`: all operations in turn. `together`: one operation at the same time as another process. */
export type Order =
  | { type: 'alone', memory: Attachment | 'local', rounds: number, count: number }
  | { type: 'prepare', memory: Attachment, warmUp: number }
  | { type: 'together', variant: 'ours' | 'bare', count: number }

/** Nanoseconds per operation, one figure a round. */
export type Figures = Record<Operation, { ours: number[], sameMemory: number[], sharedArrayBuffer: number[] }>

const WARM_UPS = 5

let together: Record<'ours' | 'bare', Loop>

process.on('message', (order: Order) => process.send!(obey(order)))

function obey (order: Order): unknown {
  switch (order.type) {
    case 'alone':
      return measureAlone(order.memory === 'local' ? createLocalMemory(2 ** 22) : attachMemory(order.memory), order.rounds, order.count)
    case 'prepare':
      together = prepare(attachMemory(order.memory))
      for (const loop of Object.values(together)) for (let n = 0; n < WARM_UPS; n++) loop(order.warmUp)
      return 'prepared'
    case 'together':
      together[order.variant](order.count)
      return 'done'
  }
}

function measureAlone (memory: SharedMemory, rounds: number, count: number): Figures {
  const { region: { i32: words, i64: values } } = memory
  const shared = { words: new Int32Array(new SharedArrayBuffer(4096)), values: new BigInt64Array(new SharedArrayBuffer(4096)) }
  const measured = OPERATIONS.map((operation) => {
    const isLong = operation === 'long.add(1n)'
    const initial = operation === 'compareAndSwap' ? 5 : 1
    const atomic = isLong ? new Int64Atomic(memory, operation, 1n) : new Uint32Atomic(memory, operation, initial)
    const index = memory.open({ type: 'bare', name: operation, definition: '', bytes: 64 }) / (isLong ? 8 : 4)
    if (isLong) values[index] = 1n
    else words[index] = shared.words[OPERATIONS.indexOf(operation) * 16] = initial
    return {
      operation,
      ours: ourLoop(operation, atomic),
      sameMemory: bareLoop(operation, { words, values }, index),
      sharedArrayBuffer: bareLoop(operation, shared, OPERATIONS.indexOf(operation) * (isLong ? 8 : 16))
    }
  })
  const figures = Object.fromEntries(OPERATIONS.map((operation) => [operation, { ours: [], sameMemory: [], sharedArrayBuffer: [] }])) as unknown as Figures
  for (let round = -WARM_UPS; round < rounds; round++) {
    for (const { operation, ours, sameMemory, sharedArrayBuffer } of measured) {
      const loops = { ours, sameMemory, sharedArrayBuffer }
      for (const kind of ['sharedArrayBuffer', 'ours', 'sameMemory'] as const) {
        const nanoseconds = nanosecondsPerOperation(loops[kind], count)
        if (round >= 0) figures[operation][kind].push(nanoseconds)
      }
    }
  }
  return figures
}

function prepare (memory: SharedMemory): Record<'ours' | 'bare', Loop> {
  const { region: { i32: words, i64: values } } = memory
  const index = memory.open({ type: 'bare', name: 'together', definition: '', bytes: 64 }) / 4
  return { ours: ourLoop('add(1)', new Uint32Atomic(memory, 'together', 1)), bare: bareLoop('add(1)', { words, values }, index) }
}
