import { Header, SLOTS, isAlive, slotsUsed } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'

/** What a pool of one worker may have of what all workers of the machine may have together. */
export interface Share {
  /** Connections of all workers together. */
  readonly most: number
  /** Takes one more, when that leaves enough for those whose turn it is before. */
  tryTake (): boolean
  give (): void
  /** Says how many more the pool would like to have. */
  want (more: number): void
  /** Whether the pool, which has so many without those that it is closing, is to close another one: it has more than its part, and others lack some of theirs. */
  isToYield (current: number): boolean
  /** `listener` is called when there may be room, or somebody may lack some. */
  onChange (listener: () => void): void
}

/*
 * A budget of connections in shared memory, as a named object:
 *
 *     payload:  guard, last ticket | for each slot: TAG, HELD, PARTING (of HELD), WANTED, TICKET, POKED
 *
 * A worker writes the words of its own slot alone, but for POKED, by which others say that it has something to look at. What
 * carries the tag of a dead worker counts as nothing, so there is nothing to repair after a death.
 *
 * The part of a worker is the budget divided by the workers that live, old and new ones of a reload alike. Who lacks some of
 * that goes before who has it; those that lack some draw tickets, one for each connection, so that all come to their turn. What
 * nobody lacks, anybody may have.
 */
const LAST_TICKET = 1
const FIRST_ENTRY = 16
const ENTRY_WORDS = 6
const Entry = { TAG: 0, HELD: 1, PARTING: 2, WANTED: 3, TICKET: 4, POKED: 5 } as const

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
    if (this.#load(this.#own, Entry.TAG) !== memory.slot.tag) {
      for (const word of [Entry.HELD, Entry.PARTING, Entry.WANTED, Entry.POKED]) Atomics.store(this.#words, this.#own + word, 0)
      Atomics.store(this.#words, this.#own + Entry.TAG, memory.slot.tag)
    }
  }

  tryTake (): boolean {
    const { guard } = this.#memory
    let free = 0
    guard.enter(this.#guard)
    try {
      const live = this.#live()
      const part = this.#part(live)
      const isLacking = this.#lack(this.#own, part) > 0
      const isBefore = (entry: number) => this.#lack(entry, part) > 0 && (!isLacking || (this.#load(entry, Entry.TICKET) - this.#load(this.#own, Entry.TICKET) | 0) < 0)
      free = this.#free(live)
      if (free <= live.filter((entry) => entry !== this.#own && isBefore(entry)).length) return false
      Atomics.add(this.#words, this.#own + Entry.HELD, 1)
      this.#drawTicket()
    } finally {
      guard.leave(this.#guard)
    }
    if (free > 1) this.#pokeThoseThatWant()
    return true
  }

  give (): void {
    Atomics.sub(this.#words, this.#own + Entry.HELD, 1)
    if (this.#load(this.#own, Entry.PARTING) > 0) Atomics.sub(this.#words, this.#own + Entry.PARTING, 1)
    this.#pokeThoseThatWant()
  }

  want (more: number): void {
    if (more === this.#wanted) return
    if (this.#wanted === 0) this.#drawTicket()
    this.#wanted = more
    Atomics.store(this.#words, this.#own + Entry.WANTED, more)
    // It was perhaps before them.
    if (more === 0) return this.#pokeThoseThatWant()
    const live = this.#live()
    const part = this.#part(live)
    if (this.#lack(this.#own, part) === 0) return
    for (const entry of live) {
      if (entry !== this.#own && this.#load(entry, Entry.HELD) > part) this.#poke(entry)
    }
  }

  isToYield (current: number): boolean {
    const live = this.#live()
    const part = this.#part(live)
    if (current <= part) return false
    const own = this.#load(this.#own, Entry.HELD) - current
    const parting = live.reduce((sum, entry) => sum + (entry === this.#own ? own : this.#load(entry, Entry.PARTING)), 0)
    const lacked = live.reduce((sum, entry) => sum + (entry === this.#own ? 0 : this.#lack(entry, part)), 0)
    if (lacked <= this.#free(live) + parting) return false
    Atomics.store(this.#words, this.#own + Entry.PARTING, own + 1)
    return true
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

  /** How many a worker would like to have of its part. With fewer connections than workers, one is each worker's part. */
  #lack (entry: number, part: number): number {
    return Math.max(0, Math.min(this.#load(entry, Entry.WANTED), Math.max(part, 1) - this.#load(entry, Entry.HELD)))
  }

  #drawTicket (): void {
    Atomics.store(this.#words, this.#own + Entry.TICKET, Atomics.add(this.#words, this.#guard + LAST_TICKET, 1))
  }

  #pokeThoseThatWant (): void {
    for (const entry of this.#live()) {
      if (entry !== this.#own && this.#load(entry, Entry.WANTED) > 0) this.#poke(entry)
    }
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
