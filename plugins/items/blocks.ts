import { REF_BYTES } from '../shared-memory/index.ts'
import type { Ref, SharedMemory } from '../shared-memory/index.ts'
import { Reason } from './layout.ts'
import { writeText } from '../values/index.ts'
import type { Encoded } from '../values/index.ts'

/** Of an error's message in a dead letter. */
const MOST_ERROR_CHARACTERS = 2048

/** An error's text in a block in hand, 0 for none, and what a dead letter gives as its reason. */
export interface Cause {
  block: Ref
  bytes: number
  reason: number
}

/** A block in hand with the value. Throws FST_SWOOLE_MEMORY_FULL. */
export function valueBlock (memory: SharedMemory, value: Encoded): Ref {
  const block = memory.allocator.allocate(value.bytes)
  value.write(memory.region, block * REF_BYTES)
  return block
}

/** An item whose error finds no room is a dead letter all the same. */
export function causeOf (memory: SharedMemory, message: string): Cause {
  const text = message.slice(0, MOST_ERROR_CHARACTERS).toWellFormed()
  const bytes = Buffer.byteLength(text)
  if (bytes === 0) return { block: 0, bytes, reason: Reason.ERROR }
  try {
    const block = memory.allocator.allocate(bytes)
    writeText(memory.region, block * REF_BYTES, text, bytes)
    return { block, bytes, reason: Reason.ERROR }
  } catch (error) {
    if ((error as { code?: string }).code !== 'FST_SWOOLE_MEMORY_FULL') throw error
    return { block: 0, bytes: 0, reason: Reason.NO_MEMORY }
  }
}
