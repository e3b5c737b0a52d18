import { CHUNK_BYTES, DIRECTORY_ENTRIES, DIRECTORY_ENTRY_BYTES, DIRECTORY_OFFSET, REF_BYTES } from '../../plugins/shared-memory/layout.ts'
import { noWire } from '../../plugins/shared-memory/doorbell.ts'
import { Region, formatRegion } from '../../plugins/shared-memory/region.ts'
import { withDoorbell } from '../../plugins/shared-memory/shared-memory.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { claimSlot } from '../../plugins/shared-memory/slots.ts'
import { traced } from './crashing.ts'

export const MEBIBYTE = 1024 * 1024

/** A small region and workers of it, all in this thread, so that each step of one can be put between two of another. */
export class World {
  readonly region: Region
  readonly chunks: number

  /** Not a SharedArrayBuffer by default: V8 does not hurry to collect those, and a test makes thousands. */
  constructor (bytes = MEBIBYTE, buffer: ArrayBufferLike = new ArrayBuffer(bytes)) {
    this.region = new Region(buffer)
    formatRegion(this.region)
    this.chunks = this.region.sections.chunks
  }

  get heapBytes (): number {
    return this.chunks * CHUNK_BYTES
  }

  /** Makes plain loads and stores visible to `diesAtWrite` and its like; before the first worker is made. */
  trace (): this {
    const { i32, i64, f64, u8, buffer } = this.region
    Object.assign(this.region, { i32: traced(i32), i64: traced(i64), f64: traced(f64), u8: traced(u8), buffer: traced(buffer) })
    return this
  }

  worker (): SharedMemory {
    return withDoorbell(this.region, claimSlot(this.region, 'http', 0, 1), noWire)
  }

  /** Makes every free byte one that shows when it is not zeroed. */
  soil (memory: SharedMemory): void {
    const ref = memory.allocator.allocate(this.heapBytes)
    this.region.u8.fill(0xaa, ref * REF_BYTES, ref * REF_BYTES + this.heapBytes)
    memory.allocator.free(ref)
  }
}

/** A word that can refer to a block: the `n`th of the directory, so that `references` finds it. */
export function holder (n: number): number {
  return (DIRECTORY_OFFSET + n * DIRECTORY_ENTRY_BYTES) / 4
}

const HOLDERS = Array.from({ length: DIRECTORY_ENTRIES }, (_, n) => holder(n))

/** All words of the directory, and the `others`, that refer to a block. */
export function references ({ i32 }: Region, others: number[] = []): Array<{ holder: number, ref: number }> {
  return [...others, ...HOLDERS].filter((holder) => i32[holder] !== 0).map((holder) => ({ holder, ref: i32[holder]! }))
}

/**
 * What is wrong with the memory when nobody has anything in hand: every block in use has to be referred to, and every
 * block that is referred to has to be in use, by one alone. Undefined: nothing.
 */
export function faultOf (memory: SharedMemory, others: number[] = []): string | undefined {
  const { region, allocator } = memory
  const blocks = references(region, others)
    .map(({ holder, ref }) => ({ holder, ref, start: ref * REF_BYTES, end: ref * REF_BYTES + allocator.sizeOf(ref) }))
    .sort((a, b) => a.start - b.start)
  for (const [n, { start, end }] of blocks.entries()) {
    if (n > 0 && start < blocks[n - 1]!.end) return `the blocks at ${blocks[n - 1]!.start} and ${start} overlap`
    if (end > region.bytes) return `the block at ${start} goes over the end`
  }
  const referred = blocks.reduce((sum, { start, end }) => sum + end - start, 0)
  const usage = allocator.usage()
  if (usage.used !== referred) return `${usage.used} bytes are in use, ${referred} are referred to`
  if (usage.blocks !== blocks.length) return `${usage.blocks} blocks are in use, ${blocks.length} are referred to`
  for (const { holder, ref } of blocks) {
    if (!allocator.retract(ref, holder)) return `the block at ${ref * REF_BYTES} cannot be retracted from the word that refers to it`
    allocator.free(ref)
  }
  try {
    allocator.free(allocator.allocate(region.sections.chunks * CHUNK_BYTES))
  } catch (error) {
    return `with all blocks freed, the memory is not one free run: ${(error as Error).message}`
  }
  return undefined
}
