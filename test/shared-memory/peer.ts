import { Int64Atomic, Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { CHUNK_BYTES, REF_BYTES } from '../../plugins/shared-memory/layout.ts'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { random } from './random.ts'
import { holder } from './world.ts'
import { answerParent } from './answering.ts'

/* A worker process of a test: it attaches to the memory and does the jobs that its parent asks for. */

let memory: SharedMemory
const opened = new Map<string, Uint32Atomic>()

function atomic (name: string): Uint32Atomic {
  let object = opened.get(name)
  if (object === undefined) {
    object = new Uint32Atomic(memory, name, 0)
    opened.set(name, object)
  }
  return object
}

const parent = process.ppid
const hasParent = () => process.ppid === parent

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
  },

  /** Allocates, publishes, retracts and frees at random. Each block is filled with its own mark; returns the faults. */
  hammer (seed: number, rounds: number): string[] {
    const next = random(seed)
    const { allocator, region } = memory
    const faults: string[] = []
    const blocks: Array<{ ref: number, bytes: number, mark: number, at: number }> = []
    const words = ({ ref, bytes }: { ref: number, bytes: number }) => region.i32.subarray(ref * REF_BYTES / 4, ref * REF_BYTES / 4 + Math.ceil(bytes / 4))
    for (let round = 0; round < rounds; round++) {
      if (blocks.length < 40 && next(2) === 0) {
        const bytes = next(20) === 0 ? 1 + next(3 * CHUNK_BYTES) : 1 + next(next(8) === 0 ? 33_000 : 700)
        let ref: number
        try {
          ref = allocator.allocate(bytes)
        } catch (error) {
          if ((error as { code?: string }).code !== 'FST_SWOOLE_MEMORY_FULL') throw error
          continue
        }
        const block = { ref, bytes, mark: memory.slot.tag * 64 + next(64) | 0, at: 0 }
        if (words(block).some((word) => word !== 0)) faults.push(`a block of ${bytes} bytes is not zeroed`)
        words(block).fill(block.mark)
        do block.at = holder(memory.slot.index * 64 + next(64))
        while (blocks.some(({ at }) => at === block.at))
        if (!allocator.publish(ref, block.at)) faults.push('a word of its own was taken')
        blocks.push(block)
      } else if (blocks.length > 0) {
        const [block] = blocks.splice(next(blocks.length), 1)
        if (words(block!).some((word) => word !== block!.mark)) faults.push(`a block of ${block!.bytes} bytes was given twice`)
        if (!allocator.retract(block!.ref, block!.at)) faults.push('a block of its own was taken away')
        else allocator.free(block!.ref)
      }
    }
    for (const { ref, at } of blocks) {
      if (allocator.retract(ref, at)) allocator.free(ref)
    }
    return faults
  },

  /** Ends by a kill only, or with its parent. */
  hammerForever (seed: number) {
    while (hasParent() && jobs.hammer(seed++, 1000).length === 0);
    throw new Error('a block was given twice')
  },

  /** Opens names that others open, too; returns the payloads and how many of them it created. */
  openNames (count: number): { payloads: number[], created: number } {
    let created = 0
    const payloads = Array.from({ length: count }, (_, n) => memory.open({
      type: 'test',
      name: `name ${n}`,
      definition: n,
      bytes: 8,
      initialise (payload) { memory.region.i32[payload / 4] = memory.slot.tag }
    }))
    for (const payload of payloads) {
      if (memory.region.i32[payload / 4] === memory.slot.tag) created++
    }
    return { payloads, created }
  },

  increment (name: string, times: number) {
    for (let n = 0; n < times; n++) atomic(name).increment()
  },

  incrementLong (name: string, times: number) {
    const counter = new Int64Atomic(memory, name, 0n)
    for (let n = 0; n < times; n++) counter.increment()
  },

  /** Ends by a kill only, or with its parent. What is counted is acknowledged right behind it, so one at most is not. */
  incrementForever (name: string, acknowledged: string) {
    while (hasParent()) {
      for (let n = 0; n < 10_000; n++) {
        atomic(name).increment()
        atomic(acknowledged).increment()
      }
    }
  },

  set (name: string, value: number) {
    atomic(name).set(value)
  },

  add (name: string, by: number) {
    return atomic(name).add(by)
  },

  compareAndSwap (name: string, expected: number, next: number) {
    return atomic(name).compareAndSwap(expected, next)
  },

  get (name: string) {
    return atomic(name).get()
  },

  wakeup (name: string, count: number) {
    return atomic(name).wakeup(count)
  },

  /** How many of `count` waiters were woken; those with a time-out have one of up to `mostMs`. `entered` counts them in. */
  async waitMany (name: string, entered: string, count: number, mostMs?: number, seed = 1): Promise<number> {
    const next = random(seed)
    const waits = Array.from({ length: count }, () => atomic(name).wait(mostMs === undefined ? undefined : 1 + next(mostMs)))
    atomic(entered).add(count)
    return (await Promise.all(waits)).filter(Boolean).length
  },

  /** Makes the value not zero, and dies before it comes to wake anybody. */
  setAndDie (name: string) {
    atomic(name).get()
    memory.region.i32[memory.open({ type: 'atomic', name, definition: 'uint32', bytes: 16 }) / 4] = 1
    process.kill(process.pid, 'SIGKILL')
  },

  /** Rings the other whenever the counter is of its own parity, until it is `end`. One lost ring, and it never ends. */
  async handBackAndForth (counter: string, parity: number, otherSlot: number, end: number) {
    const { promise, resolve } = Promise.withResolvers<void>()
    const turn = () => {
      const value = atomic(counter).get()
      if (value < end && value % 2 === parity) atomic(counter).increment()
      if (value < end && value % 2 !== parity) return
      memory.doorbell.ring(otherSlot)
      if (value >= end) resolve()
    }
    memory.doorbell.onRing(turn)
    turn()
    await promise
    memory.doorbell.offRing(turn)
  },

  countRings (name: string) {
    const counter = atomic(name)
    memory.doorbell.onRing(() => { counter.increment() })
  },

  /** Does not come back to its event loop before the value is not zero. */
  block (name: string, entered: string) {
    const counter = atomic(name)
    atomic(entered).set(1)
    while (hasParent() && counter.get() === 0);
  },

  ring (slotIndex: number, times: number) {
    for (let n = 0; n < times; n++) memory.doorbell.ring(slotIndex)
  },

  close () {
    memory.close()
  }
}

export type Jobs = typeof jobs

answerParent(jobs)
