import { isSoundRecord } from './allocator.ts'
import { CHUNK_RECORDS_OFFSET, CHUNK_RECORD_WORDS, DIRECTORY_ENTRIES, DIRECTORY_ENTRY_BYTES, DIRECTORY_OFFSET, Header, INTENTS, REF_BYTES, SLOTS, Slot, sectionsOf } from './layout.ts'
import { intentWord } from './slots.ts'

/** How many bytes at the start of a region `soundnessFault` looks at: all but the blocks and their states. */
export function inspectedBytes (bytes: number): number {
  return sectionsOf(bytes).blockStates
}

/**
 * Which part of a file's region cannot be what we wrote, or undefined when none is found. What follows an offset or a
 * reference of it would otherwise read or write somewhere else.
 */
export function soundnessFault (words: Int32Array, bytes: number): string | undefined {
  const { chunks, heap } = sectionsOf(bytes)
  const isWord = (word: number) => word >= 0 && word < bytes / 4
  const isRef = (ref: number) => ref === 0 || (ref >= heap / REF_BYTES && ref < bytes / REF_BYTES)

  const used = words[Header.SLOTS_USED]!
  if (used < 0 || used > SLOTS) return 'its slots are damaged'
  for (let index = 0; index < used; index++) {
    for (let n = 0; n < INTENTS; n++) {
      const intent = intentWord(index, n)
      const state = words[intent]!
      if (state !== 0 && (state < CHUNK_RECORDS_OFFSET / 4 || state >= heap / 4)) return `its slot ${index} is damaged`
      if (!isWord(words[intent + 1]!)) return `its slot ${index} is damaged`
    }
    if (words[intentWord(index, 0) - Slot.INTENTS + Slot.LIFE]! < 0) return `its slot ${index} is damaged`
  }
  for (let entry = 0; entry < DIRECTORY_ENTRIES; entry++) {
    if (!isRef(words[(DIRECTORY_OFFSET + entry * DIRECTORY_ENTRY_BYTES) / 4]!)) return 'its directory is damaged'
  }
  for (let chunk = 0; chunk < chunks; chunk++) {
    const record = CHUNK_RECORDS_OFFSET / 4 + chunk * CHUNK_RECORD_WORDS
    if (!isSoundRecord(words.subarray(record, record + CHUNK_RECORD_WORDS), chunks, isWord)) return `the record of its chunk ${chunk} is damaged`
  }
  return undefined
}
