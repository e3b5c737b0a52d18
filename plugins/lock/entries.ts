import { REF_BYTES, isAlive, slotsUsed } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { ENTRIES_PER_PAGE, Entry, Field, GRANT, entryWords, pagesAt } from './layout.ts'
import type { LockDefinition } from './layout.ts'

/** The entries of the workers, see `layout.ts`. An entry is named by its first word; 0 is none. */
export class Entries {
  #memory: SharedMemory
  #words: Int32Array
  #guard: number
  #pages: number
  #entryWords: number
  #own = 0

  constructor (memory: SharedMemory, payload: number, { type, permits }: LockDefinition) {
    this.#memory = memory
    this.#words = memory.region.i32
    this.#guard = payload / 4 + Field.GUARD
    this.#pages = payload / 4 + pagesAt(permits)
    this.#entryWords = entryWords(type)
  }

  /** How many slots may have an entry. */
  get slots (): number {
    return slotsUsed(this.#memory.region)
  }

  /** This worker's, 0 before `open`. */
  get own (): number {
    return this.#own
  }

  /**
   * Makes this worker's entry, or takes over the one that the last life of its slot left. Not inside the guard.
   * Throws FST_SWOOLE_MEMORY_FULL.
   */
  open (): number {
    if (this.#own !== 0) return this.#own
    const { slot, guard } = this.#memory
    const entry = this.#place(this.#openPage(slot.index), slot.index)
    // Guarded: a worker that was held up in there may be about to grant something to the last life of this slot.
    guard.enter(this.#guard)
    try {
      for (const field of [Entry.HEAD, Entry.WAITING, Entry.GRANTED, Entry.READERS]) Atomics.store(this.#words, entry + field, 0)
      Atomics.store(this.#words, entry + Entry.TAG, slot.tag)
    } finally {
      guard.leave(this.#guard)
    }
    this.#own = entry
    return entry
  }

  /** The entry of the live worker in this slot, 0 when there is none. */
  at (slotIndex: number): number {
    const page = Atomics.load(this.#words, this.#pageWord(slotIndex))
    if (page === 0) return 0
    const entry = this.#place(page, slotIndex)
    const tag = Atomics.load(this.#words, entry + Entry.TAG)
    return tag !== 0 && isAlive(this.#memory.region, tag) ? entry : 0
  }

  get (entry: number, field: number): number {
    return Atomics.load(this.#words, entry + field)
  }

  set (entry: number, field: number, value: number): void {
    Atomics.store(this.#words, entry + field, value)
  }

  /** How many wait in all workers. */
  waiting (): number {
    let sum = 0
    for (let slot = 0; slot < this.slots; slot++) {
      const entry = this.at(slot)
      if (entry !== 0) sum += this.get(entry, Entry.WAITING)
    }
    return sum
  }

  hasReaders (): boolean {
    const slots = this.slots
    for (let slot = 0; slot < slots; slot++) {
      const entry = this.at(slot)
      if (entry !== 0 && this.get(entry, Entry.READERS) !== 0) return true
    }
    return false
  }

  addReader (entry: number, isGranted: boolean): void {
    Atomics.add(this.#words, entry + Entry.READERS, isGranted ? 1 + GRANT : 1)
  }

  /** True: it was the last reader of this worker. */
  removeOwnReader (): boolean {
    return (Atomics.sub(this.#words, this.#own + Entry.READERS, 1) & (GRANT - 1)) === 1
  }

  /** Under the guard. False: no reader of this worker was granted anything that it has not noticed. */
  noticeReader (): boolean {
    if ((this.get(this.#own, Entry.READERS) & GRANT) === 0) return false
    Atomics.sub(this.#words, this.#own + Entry.READERS, GRANT)
    return true
  }

  #openPage (slotIndex: number): number {
    const { allocator } = this.#memory
    const word = this.#pageWord(slotIndex)
    const page = Atomics.load(this.#words, word)
    if (page !== 0) return page
    const created = allocator.allocate(ENTRIES_PER_PAGE * this.#entryWords * 4)
    if (allocator.publish(created, word)) return created
    allocator.free(created)
    return Atomics.load(this.#words, word)
  }

  #pageWord (slotIndex: number): number {
    return this.#pages + Math.floor(slotIndex / ENTRIES_PER_PAGE) * 2
  }

  #place (page: number, slotIndex: number): number {
    return page * REF_BYTES / 4 + slotIndex % ENTRIES_PER_PAGE * this.#entryWords
  }
}
