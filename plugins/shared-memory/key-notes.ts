const MOST = 65536
/** There is room for so many at first. */
const FIRST = 1024
/** One in so many keys that were not known is noted: those that are used often come soon enough, and others cost little. */
const EVERY = 8
/** Look-ups without notes, then. */
const REST = 16 * EVERY * MOST
/** V8 makes a substring of this length or more a view that keeps the whole string alive: say, of a request. */
const VIEW_LENGTH = 13
/** Longer keys are not noted: others could make a worker keep so many of any length. */
const LONGEST_KEY = 256

/**
 * Some numbers that a worker knows of a key, such as its hash, or where it was found last: saves hashing the key (bench/memory).
 * Bounded. They stand in words of an array, not in objects: with ten thousand keys that is the difference between one
 * cache miss and two.
 */
export class KeyNotes {
  /** The numbers of a note, from the word on that `find` and `add` give. */
  words: Int32Array
  readonly #places = new Map<string, number>()
  readonly #perKey: number
  readonly #most: number
  #known = 0
  #unknown = 0
  #rest = 0

  /** `keys`: as many as are used at once, about; `perKey`: how many numbers. */
  constructor (keys: number, perKey: number) {
    this.#perKey = perKey
    this.#most = Math.min(MOST, keys * 2)
    this.words = new Int32Array(Math.min(FIRST, this.#most) * perKey)
  }

  /** -1: nothing is known of the key. */
  find (key: string): number {
    if (this.#rest > 0) return -1
    this.#known++
    return this.#places.get(key) ?? -1
  }

  /** For a key that `find` did not know, or of which it knew what is true no more. -1: it is not worth a note. */
  add (key: string): number {
    if (this.#rest > 0) {
      this.#rest--
      return -1
    }
    this.#known--
    const known = this.#places.get(key)
    if (known !== undefined) return known
    if (this.#unknown++ % EVERY !== 0 || key.length > LONGEST_KEY) return -1
    if (this.#places.size === this.#most) this.#forget()
    const place = this.#places.size * this.#perKey
    if (place === this.words.length) this.#grow()
    this.#places.set(key.length < VIEW_LENGTH ? key : Buffer.from(key, 'utf16le').toString('utf16le'), place)
    return place
  }

  #grow (): void {
    const words = new Int32Array(Math.min(this.#most * this.#perKey, this.words.length * 2))
    words.set(this.words)
    this.words = words
  }

  #forget (): void {
    // More keys are in use than can be noted, so that notes cost more than they save: go without for a while.
    if (this.#known < this.#unknown) this.#rest = REST
    this.#places.clear()
    this.#known = 0
    this.#unknown = 0
  }
}
