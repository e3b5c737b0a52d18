import { loadAcquire } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { Entry, EXCLUSIVE, Field, FREE, GRANT, INHERITED, LEFT, NOTHING, READ, WAS_LEFT, isFree, isGrant, isOfDead, tagOf, wasLeft } from './layout.ts'
import type { Entries } from './entries.ts'
import type { Kind, LockDefinition, Taken, Unit } from './layout.ts'

/** A writer and a reader met, and this one has stepped back: it should ask again, under the guard. */
export const STEPPED_BACK = -2

/*
 * Who may go in. Writers and readers of an rwlock exclude each other without a guard: a writer takes the permit and then
 * looks at all readers, a reader counts itself and then looks at the permit; one of them sees the other and steps back.
 * Under the guard nothing is taken back that a grant has told, so there the permit is reserved first.
 */
export class Permits {
  #memory: SharedMemory
  #words: Int32Array
  #tag: number
  #abandoned: number
  #first: number
  #count: number
  #entries: Entries
  #hasReaders: boolean
  /** Where the next permit may be free: workers begin at different ones. */
  #hint: number

  constructor (memory: SharedMemory, payload: number, { type, permits }: LockDefinition, entries: Entries) {
    this.#memory = memory
    this.#words = memory.region.i32
    this.#tag = memory.slot.tag
    this.#abandoned = payload / 4 + Field.ABANDONED
    this.#first = payload / 4 + Field.PERMITS
    this.#count = permits
    this.#entries = entries
    this.#hasReaders = type === 'rwlock'
    this.#hint = memory.slot.index % permits
  }

  /** Without the guard: only what is plainly free. NOTHING, STEPPED_BACK, or the index of a permit. */
  take (): Taken {
    if (this.#count === 1) {
      // A look before, or a writer that steps back keeps other readers out for a moment.
      if (this.#hasReaders && this.#entries.hasReaders()) return NOTHING
      if (Atomics.compareExchange(this.#words, this.#first, FREE, this.#tag) !== FREE) return NOTHING
      return this.#hasReaders ? this.#unlessReaders() : 0
    }
    let index = this.#hint
    for (let n = 0; n < this.#count; n++) {
      if (loadAcquire(this.#words, this.#first + index) === FREE && Atomics.compareExchange(this.#words, this.#first + index, FREE, this.#tag) === FREE) {
        this.#hint = index
        return index
      }
      if (++index === this.#count) index = 0
    }
    return NOTHING
  }

  /** The same for a reader, whose worker has an entry. */
  takeRead (): Taken {
    this.#entries.addReader(this.#entries.own, false)
    const permit = Atomics.load(this.#words, this.#first)
    if (permit === FREE) return READ
    if (permit === LEFT) return READ + WAS_LEFT
    this.#entries.removeOwnReader()
    return STEPPED_BACK
  }

  /** Whether it is worth to ask under the guard. */
  looksFree (kind: Kind): boolean {
    let lastAlive = FREE
    for (let n = 0; n < this.#count; n++) {
      const permit = loadAcquire(this.#words, this.#first + n)
      if (permit === lastAlive && permit !== FREE) continue
      if (isFree(this.#memory.region, permit)) return kind !== EXCLUSIVE || !this.#hasReaders || !this.#entries.hasReaders()
      lastAlive = permit
    }
    return false
  }

  /** Under the guard: a free permit for the worker of an entry, or for this worker when that is 0. */
  assign (entry: number): Taken {
    const { region } = this.#memory
    let index = this.#hint
    let lastAlive = FREE
    for (let n = 0; n < this.#count; n++, index = index + 1 === this.#count ? 0 : index + 1) {
      const found = Atomics.load(this.#words, this.#first + index)
      if (found === lastAlive && found !== FREE) continue
      if (!isFree(region, found)) {
        lastAlive = found
        continue
      }
      const reserved = this.#reserve(index, found)
      if (reserved === 0) continue
      if (this.#hasReaders && this.#entries.hasReaders()) {
        this.#unreserve(index, found)
        return NOTHING
      }
      if (entry === 0) {
        Atomics.store(this.#words, this.#first + index, this.#tag)
      } else {
        this.#entries.set(entry, Entry.GRANTED, index + 1)
        Atomics.store(this.#words, this.#first + index, this.#entries.get(entry, Entry.TAG) | GRANT | reserved & INHERITED)
      }
      return wasLeft(found) ? index + WAS_LEFT : index
    }
    return NOTHING
  }

  /** Under the guard: a reader of the worker of an entry goes in, or one of this worker when that is 0. */
  assignRead (entry: number): Taken {
    const found = Atomics.load(this.#words, this.#first)
    if (!isFree(this.#memory.region, found) || this.#reserve(0, found) === 0) return NOTHING
    this.#entries.addReader(entry || this.#entries.own, entry !== 0)
    this.#unreserve(0, found)
    return wasLeft(found) ? READ + WAS_LEFT : READ
  }

  /** Under the guard: whether the worker of an entry was granted something that it has not noticed. */
  isGranted (entry: number): boolean {
    if ((this.#entries.get(entry, Entry.READERS) & GRANT) !== 0) return true
    const granted = this.#entries.get(entry, Entry.GRANTED)
    if (granted === 0) return false
    const permit = Atomics.load(this.#words, this.#first + granted - 1)
    return isGrant(permit) && tagOf(permit) === this.#entries.get(entry, Entry.TAG)
  }

  /** Under the guard: takes what this worker was granted. */
  notice (): Taken {
    if (this.#entries.noticeReader()) {
      const permit = Atomics.load(this.#words, this.#first)
      return isFree(this.#memory.region, permit) && wasLeft(permit) ? READ + WAS_LEFT : READ
    }
    const index = this.#entries.get(this.#entries.own, Entry.GRANTED) - 1
    const permit = Atomics.load(this.#words, this.#first + index)
    Atomics.store(this.#words, this.#first + index, this.#tag)
    return permit < 0 ? index + WAS_LEFT : index
  }

  /** False: a reader left, and others of this worker are still in, so nobody else can go in because of it. */
  giveBack (unit: Unit): boolean {
    return this.#giveBackAs(unit, FREE)
  }

  /** Gives back what was not finished; readers have changed nothing. */
  leaveBehind (unit: Unit): boolean {
    if (unit !== READ) Atomics.add(this.#words, this.#abandoned, 1)
    return this.#giveBackAs(unit, LEFT)
  }

  /** Gives back what was not used, as it was found. */
  putBack (taken: Taken): boolean {
    return this.#giveBackAs(taken & ~WAS_LEFT, (taken & WAS_LEFT) === 0 ? FREE : LEFT)
  }

  /** The tags of the live workers that hold a permit or read. */
  holders (): number[] {
    const { region } = this.#memory
    const tags: number[] = []
    for (let index = 0; index < this.#count; index++) {
      const permit = Atomics.load(this.#words, this.#first + index)
      if (!isFree(region, permit)) tags.push(tagOf(permit))
    }
    for (let slot = 0; slot < this.#entries.slots; slot++) {
      const entry = this.#entries.at(slot)
      const readers = entry === 0 ? 0 : this.#entries.get(entry, Entry.READERS) & (GRANT - 1)
      for (let n = 0; n < readers; n++) tags.push(this.#entries.get(entry, Entry.TAG))
    }
    return tags
  }

  #giveBackAs (unit: Unit, state: number): boolean {
    if (unit === READ) return this.#entries.removeOwnReader()
    this.#hint = unit
    return Atomics.compareExchange(this.#words, this.#first + unit, this.#tag, state) === this.#tag
  }

  #unlessReaders (): Taken {
    if (!this.#entries.hasReaders()) return 0
    Atomics.compareExchange(this.#words, this.#first, this.#tag, FREE)
    return STEPPED_BACK
  }

  /**
   * Nobody takes a permit with a live tag. As a grant to this worker itself, its death in here says nothing but what was
   * so before. 0: another was faster.
   */
  #reserve (index: number, found: number): number {
    const reserved = this.#tag | GRANT | (wasLeft(found) ? INHERITED : 0)
    if (Atomics.compareExchange(this.#words, this.#first + index, found, reserved) !== found) return 0
    if (isOfDead(found)) Atomics.add(this.#words, this.#abandoned, 1)
    return reserved
  }

  #unreserve (index: number, found: number): void {
    Atomics.store(this.#words, this.#first + index, wasLeft(found) ? LEFT : FREE)
  }
}
