import type { SharedMemory } from '../../plugins/shared-memory/index.ts'

/** A count for each of some ids, in shared memory, so that it outlives who counts. */
export class Marks {
  #words: Int32Array
  #first: number
  readonly count: number

  constructor (memory: SharedMemory, count: number) {
    this.#words = memory.region.i32
    this.#first = memory.open({ type: 'marks', name: 'marks', definition: count, bytes: count * 4 }) / 4
    this.count = count
  }

  add (id: number): void {
    Atomics.add(this.#words, this.#first + id, 1)
  }

  get (id: number): number {
    return Atomics.load(this.#words, this.#first + id)
  }

  sum (): number {
    let sum = 0
    for (let id = 0; id < this.count; id++) sum += this.get(id)
    return sum
  }
}
