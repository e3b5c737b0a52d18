/*
 * The ground that all shared state stands on. It knows nothing of Fastify: a plugin asks `memoryFor` for the memory of
 * its application and opens its named objects there.
 */
import { createLocalMemory } from './shared-memory.ts'
import type { SharedMemory } from './shared-memory.ts'

export { REF_BYTES, Header, SLOTS, Slot } from './layout.ts'
export { hashBytes } from './hash.ts'
export { MAX_KEY_BYTES, hashKey, isKey, keyShape, otherHalf, readKey, writeKey } from './keys.ts'
export { KeyNotes } from './key-notes.ts'
export { LruRecords, NOTE_WORDS } from './lru-records.ts'
export type { LruOptions, LruStats, Space } from './lru-records.ts'
export { SharedEntries } from './entries/shared-entries.ts'
export type { EntriesStats, EntrySpace, Found, Near, Writable, WriteOptions } from './entries/types.ts'
export { createLauncherMemory } from './launcher-memory.ts'
export type { LauncherMemory } from './launcher-memory.ts'
export { libc } from './libc.ts'
export type { Region } from './region.ts'
export { SharedMemory, attachMemory, attachThreadMemory, createLocalMemory } from './shared-memory.ts'
export type { Attachment } from './shared-memory.ts'
export { fence, loadAcquire, storeRelease } from './ordered.ts'
export { Guard } from './guard.ts'
export { deathOf, isAlive, readSlots, setSlotState, slotDouble, slotOf, slotWord, slotsUsed } from './slots.ts'
export type { Role, SlotIdentity, SlotInfo, State } from './slots.ts'
export { WaitSet } from './wait-set.ts'
export type { Ref } from './allocator.ts'

export const DEFAULT_MEMORY_BYTES = 64 * 1024 * 1024

// The launcher may be another copy of this package than the one that the application imports.
const OF_PROCESS = Symbol.for('fastify-swoole.memory')
const registry = globalThis as { [OF_PROCESS]?: SharedMemory }
const ofApplications = new WeakMap<object, SharedMemory>()

/** Tells that this process is a worker: every application in it shares `memory`, and none of them closes it. */
export function useMemory (memory: SharedMemory): void {
  registry[OF_PROCESS] = memory
}

/**
 * The memory of an application, which `key` stands for: the launcher's where there is one, else one of its own that
 * the first caller makes.
 */
export function memoryFor (key: object, bytes = DEFAULT_MEMORY_BYTES): SharedMemory {
  let memory = ofApplications.get(key)
  if (memory === undefined) {
    memory = registry[OF_PROCESS]?.forApplication() ?? createLocalMemory(bytes)
    ofApplications.set(key, memory)
  }
  return memory
}
