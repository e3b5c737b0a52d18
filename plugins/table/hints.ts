const MOST = 65536
/** One in so many keys that were not known is remembered: those that are used often come soon enough, and others cost little. */
const EVERY = 8
/** Look-ups without hints, then. */
const REST = 16 * EVERY * MOST
/** V8 makes a substring of this length or more a view that keeps the whole string alive: say, of a request. */
const VIEW_LENGTH = 13

/**
 * Which row a worker found a key in: saves hashing the key and following its chain (bench/memory). Bounded, and only a
 * guess: who uses it checks that the row is of that generation still. What is known of a key stands in two words of an
 * array, not in an object: with ten thousand keys that is the difference between one cache miss and two.
 */
export class Hints {
  readonly #entries = new Map<string, number>()
  readonly #most: number
  readonly #words: Int32Array
  #known = 0
  #unknown = 0
  #rest = 0

  constructor (rows: number) {
    this.#most = Math.min(MOST, rows * 2)
    this.#words = new Int32Array(this.#most * 2)
  }

  /** To be asked of by `rowOf` and `generationOf`; undefined: nothing is known of the key. */
  find (key: string): number | undefined {
    if (this.#rest > 0) return undefined
    this.#known++
    return this.#entries.get(key)
  }

  rowOf (entry: number): number {
    return this.#words[entry]!
  }

  generationOf (entry: number): number {
    return this.#words[entry + 1]!
  }

  /** The key was found in another way: `find` knew nothing of it, or it was there no more. */
  remember (key: string, row: number, generation: number): void {
    if (this.#rest > 0) {
      this.#rest--
      return
    }
    this.#known--
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      if (this.#unknown++ % EVERY !== 0) return
      if (this.#entries.size === this.#most) this.#forget()
      entry = this.#entries.size * 2
      this.#entries.set(key.length < VIEW_LENGTH ? key : Buffer.from(key, 'utf16le').toString('utf16le'), entry)
    }
    this.#words[entry] = row
    this.#words[entry + 1] = generation
  }

  #forget (): void {
    // More keys are in use than can be remembered, so that hints cost more than they save: go without for a while.
    if (this.#known < this.#unknown) this.#rest = REST
    this.#entries.clear()
    this.#known = 0
    this.#unknown = 0
  }
}
