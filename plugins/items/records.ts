import { REF_BYTES } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { PAGE_BYTES, QueueWord, RECORDS_PER_PAGE, RECORD_WORDS } from './layout.ts'

/** Where the records of a queue are. */
export class Records {
  #memory: SharedMemory
  #firstPage: number
  /** First words of pages, as far as this worker has met them; a page never goes away. */
  #pages: number[] = []

  /** `queue`: the first word of the queue's payload. */
  constructor (memory: SharedMemory, queue: number) {
    this.#memory = memory
    this.#firstPage = queue + QueueWord.PAGES
  }

  /** The first word of a record, whose page must exist. */
  at (n: number): number {
    const page = this.#pages[n >>> 8] ?? this.#find(n >>> 8)
    return page + (n & (RECORDS_PER_PAGE - 1)) * RECORD_WORDS
  }

  has (n: number): boolean {
    return this.#pages[n >>> 8] !== undefined || Atomics.load(this.#memory.region.i32, this.#holder(n >>> 8)) !== 0
  }

  /** Makes the page of a record, unless another has. Not inside the guard. Throws FST_SWOOLE_MEMORY_FULL. */
  make (n: number): void {
    const { allocator } = this.#memory
    const ref = allocator.allocate(PAGE_BYTES)
    if (!allocator.publish(ref, this.#holder(n >>> 8))) allocator.free(ref)
  }

  /** Pages are made one after the other, so those before it exist as well. */
  #find (page: number): number {
    for (let next = this.#pages.length; next <= page; next++) {
      const ref = Atomics.load(this.#memory.region.i32, this.#holder(next))
      if (ref === 0) throw new RangeError(`the queue has no page ${next}`)
      this.#pages.push(ref * REF_BYTES / 4)
    }
    return this.#pages[page]!
  }

  #holder (page: number): number {
    return this.#firstPage + page * 2
  }
}
