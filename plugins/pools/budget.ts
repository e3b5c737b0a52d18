import { Header, SLOTS, isAlive, slotsUsed } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'

/** What a pool of one worker may have of what all workers of the machine may have together. */
export interface Share {
  /** Connections of all workers together. */
  readonly most: number
  /** Takes one more, when that leaves enough for those that have less than their part. */
  tryTake (): boolean
  give (): void
  /** Says how many more the pool would like to have. */
  want (more: number): void
  /** Whether the pool, which has so many, is to close one that it does not use: it has more than its part, and another worker lacks some of its own. */
  isToYield (current: number): boolean
  /** `listener` is called when there may be room, or somebody may lack some. */
  onChange (listener: () => void): void
}

/*
 * A budget of connections in shared memory, as a named object:
 *
 *     payload:  guard | for each slot: TAG, HELD, WANTED, POKED
 *
 * A worker writes the words of its own slot alone, but for POKED, by which others say that it has something to look at. What
 * carries the tag of a dead worker counts as nothing, so there is nothing to repair after a death.
 *
 * The part of a worker is the budget divided by the workers that live, old and new ones of a reload alike. Who has less than
 * that goes before who has more; what nobody lacks, anybody may have.
 */
const FIRST_ENTRY = 16
const ENTRY_WORDS = 4
const Entry = { TAG: 0, HELD: 1, WANTED: 2, POKED: 3 } as const

export class Budget implements Share {
  readonly most: number
  readonly #memory: SharedMemory
  readonly #words: Int32Array
  readonly #guard: number
  readonly #own: number
  #wanted = 0
  #deaths: number

  /** Throws FST_SWOOLE_MEMORY_FULL. */
  constructor (memory: SharedMemory, name: string, most: number) {
    this.most = most
    this.#memory = memory
    this.#words = memory.region.i32
    const bytes = (FIRST_ENTRY + SLOTS * ENTRY_WORDS) * 4
    this.#guard = memory.open({ type: 'pool budget', name, definition: {}, bytes }) / 4
    this.#own = this.#entry(memory.slot.index)
    this.#deaths = Atomics.load(this.#words, Header.DEATHS)
    if (Atomics.load(this.#words, this.#own + Entry.TAG) !== memory.slot.tag) {
      for (const word of [Entry.HELD, Entry.WANTED, Entry.POKED]) Atomics.store(this.#words, this.#own + word, 0)
      Atomics.store(this.#words, this.#own + Entry.TAG, memory.slot.tag)
    }
  }

  tryTake (): boolean {
    const { guard } = this.#memory
    guard.enter(this.#guard)
    try {
      const live = this.#live()
      const part = this.#part(live)
      const others = live.filter((entry) => entry !== this.#own)
      const lacked = this.#isLacking(this.#own, part) ? 0 : others.filter((entry) => this.#isLacking(entry, part)).length
      if (live.reduce((sum, entry) => sum + this.#load(entry, Entry.HELD), 0) + lacked >= this.most) return false
      Atomics.add(this.#words, this.#own + Entry.HELD, 1)
      return true
    } finally {
      guard.leave(this.#guard)
    }
  }

  give (): void {
    Atomics.sub(this.#words, this.#own + Entry.HELD, 1)
    for (const entry of this.#live()) {
      if (entry !== this.#own && this.#load(entry, Entry.WANTED) > 0) this.#poke(entry)
    }
  }

  want (more: number): void {
    if (more === this.#wanted) return
    this.#wanted = more
    Atomics.store(this.#words, this.#own + Entry.WANTED, more)
    const live = this.#live()
    const part = this.#part(live)
    if (!this.#isLacking(this.#own, part)) return
    for (const entry of live) {
      if (entry !== this.#own && this.#load(entry, Entry.HELD) > part) this.#poke(entry)
    }
  }

  isToYield (current: number): boolean {
    if (current === 0) return false
    const live = this.#live()
    const part = this.#part(live)
    if (this.#load(this.#own, Entry.HELD) <= part) return false
    return live.some((entry) => entry !== this.#own && this.#isLacking(entry, part)) && this.#free(live) <= 0
  }

  onChange (listener: () => void): void {
    const look = () => {
      const deaths = Atomics.load(this.#words, Header.DEATHS)
      const isPoked = Atomics.exchange(this.#words, this.#own + Entry.POKED, 0) !== 0
      if (!isPoked && deaths === this.#deaths) return
      this.#deaths = deaths
      listener()
    }
    this.#memory.doorbell.onRing(look)
    this.#memory.onClose(() => this.#memory.doorbell.offRing(look))
  }

  #free (live: number[]): number {
    return this.most - live.reduce((sum, entry) => sum + this.#load(entry, Entry.HELD), 0)
  }

  #part (live: number[]): number {
    return Math.floor(this.most / live.length)
  }

  /** With fewer connections than workers, one is each worker's part. */
  #isLacking (entry: number, part: number): boolean {
    return this.#load(entry, Entry.WANTED) > 0 && this.#load(entry, Entry.HELD) < Math.max(part, 1)
  }

  #poke (entry: number): void {
    Atomics.store(this.#words, entry + Entry.POKED, 1)
    this.#memory.doorbell.ring((entry - this.#guard - FIRST_ENTRY) / ENTRY_WORDS)
  }

  #live (): number[] {
    const live: number[] = []
    for (let slot = 0; slot < slotsUsed(this.#memory.region); slot++) {
      const entry = this.#entry(slot)
      const tag = this.#load(entry, Entry.TAG)
      if (tag !== 0 && isAlive(this.#memory.region, tag)) live.push(entry)
    }
    return live
  }

  #entry (slot: number): number {
    return this.#guard + FIRST_ENTRY + slot * ENTRY_WORDS
  }

  #load (entry: number, word: number): number {
    return Atomics.load(this.#words, entry + word)
  }
}
