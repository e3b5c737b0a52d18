import { Header, loadAcquire, slotOf } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { Entries } from './entries.ts'
import { Entry, EXCLUSIVE, Field, NOTHING, isEarlier } from './layout.ts'
import type { Kind, LockDefinition, Taken, Unit } from './layout.ts'
import { Permits, STEPPED_BACK } from './permits.ts'
import { Waiters } from './waiters.ts'
import type { Waiter } from './waiters.ts'

const LAST_TICKET = 2 ** 31 - 1
/** Grants in one go under the guard: what is inside has to be short. */
const GRANTS_AT_ONCE = 64

/*
 * One worker's place at a lock: how it takes, waits and gives back, for all its applications. Without waiters that is one
 * compare-and-swap each way. Else it is done under the guard, and ends with `serve`, which gives what is free to the
 * first in line, and to nobody before.
 *
 * No wake-up is lost: who waits raises WAITERS before it looks at the permits, who gives back does so before it looks at
 * WAITERS. And there is nothing to repair after a death in here: all that others rely on is a grant, which is one store;
 * every worker that waits hears of a death, looks for what it was granted, and serves.
 */
export class Line {
  readonly payload: number
  #memory: SharedMemory
  #words: Int32Array
  #doubles: Float64Array
  #base: number
  #token: number
  #hasOneHolder: boolean
  #entries: Entries
  #permits: Permits
  /** The waiters of this worker, by ticket. */
  #waiters = new Waiters()
  #granted: Array<{ waiter: Waiter, taken: Taken }> = []
  #toRing: number[] = []
  #deaths = 0

  constructor (memory: SharedMemory, payload: number, definition: LockDefinition) {
    this.payload = payload
    this.#memory = memory
    this.#words = memory.region.i32
    this.#doubles = memory.region.f64
    this.#base = payload / 4
    this.#token = (this.#base + Field.TOKEN) / 2
    this.#hasOneHolder = definition.type === 'mutex' || definition.type === 'spinlock'
    this.#entries = new Entries(memory, payload, definition)
    this.#permits = new Permits(memory, payload, definition, this.#entries)
  }

  get hasWaiters (): boolean {
    // The compare-and-swap before it has been seen by everybody, and a plain read cannot overtake that on x64.
    return loadAcquire(this.#words, this.#base + Field.WAITERS) !== 0
  }

  /** Takes what is free when nobody waits for it. Throws FST_SWOOLE_MEMORY_FULL for a worker's first reader. */
  take (kind: Kind): Taken {
    if (kind !== EXCLUSIVE) this.#entries.open()
    // Plain, for 9 ns less: whoever does not see a waiter that has just come was faster, that is all.
    if (this.#words[this.#base + Field.WAITERS] === 0) {
      const taken = kind === EXCLUSIVE ? this.#permits.take() : this.#permits.takeRead()
      if (taken >= 0) return taken
      if (taken === STEPPED_BACK) return this.#takeGuarded(kind)
    }
    return this.#permits.looksFree(kind) ? this.#takeGuarded(kind) : NOTHING
  }

  /** The number of the acquisition that has just been made. */
  nextToken (): number {
    if (!this.#hasOneHolder) return Number(Atomics.add(this.#memory.region.i64, this.#token, 1n)) + 1
    // Plain, since the holder alone writes it, between the two compare-and-swaps that take and give back.
    const token = this.#doubles[this.#token]! + 1
    this.#doubles[this.#token] = token
    // The same number; as a small integer it needs no object of its own in the handle.
    return (token | 0) === token ? token | 0 : token
  }

  /** False: it was not this worker's to give back. */
  giveBack (unit: Unit): boolean {
    const isFree = this.#permits.giveBack(unit)
    if (isFree && this.hasWaiters) this.#serve()
    return isFree
  }

  /** Gives back what was not finished: who takes it next is told. */
  leaveBehind (unit: Unit): void {
    if (this.#permits.leaveBehind(unit) && this.hasWaiters) this.#serve()
  }

  /** Gives back what nobody has seen: that it was left behind stays to be told. */
  putBack (taken: Taken): void {
    if (this.#permits.putBack(taken) && this.hasWaiters) this.#serve()
  }

  /** Puts a waiter at the end of the line; it may be granted before this returns. Throws FST_SWOOLE_MEMORY_FULL. */
  enter (waiter: Waiter): void {
    this.#entries.open()
    if (this.#waiters.size === 0) {
      this.#deaths = Atomics.load(this.#words, Header.DEATHS)
      this.#memory.doorbell.onRing(this.#look)
    }
    let isUnfinished = false
    this.#guarded(() => {
      waiter.ticket = this.#nextTicket()
      this.#waiters.add(waiter)
      this.#show()
      Atomics.store(this.#words, this.#base + Field.WAITERS, 1)
      isUnfinished = this.#serveSome()
      if (waiter.isInLine) Atomics.add(this.#words, this.#base + Field.CONTENDED, 1)
    })
    if (isUnfinished) this.#serve()
  }

  /** Takes a waiter out of the line. False: it was granted before, and has been told so; or it was never in. */
  remove (waiter: Waiter): boolean {
    let wasWaiting = false
    let isUnfinished = false
    this.#guarded(() => {
      wasWaiting = this.#waiters.delete(waiter)
      if (wasWaiting) this.#show()
      isUnfinished = this.#serveSome()
    })
    if (isUnfinished) this.#serve()
    return wasWaiting
  }

  /** The tags of the workers that hold it, each as often as it does. */
  holders (): number[] {
    return this.#permits.holders()
  }

  stats (): { held: number, waiting: number, acquired: number, contended: number, abandoned: number } {
    const counter = (field: number) => Atomics.load(this.#words, this.#base + field) >>> 0
    return {
      held: this.holders().length,
      waiting: this.#entries.waiting(),
      acquired: this.#hasOneHolder ? this.#doubles[this.#token]! : Number(Atomics.load(this.#memory.region.i64, this.#token)),
      contended: counter(Field.CONTENDED),
      abandoned: counter(Field.ABANDONED)
    }
  }

  #takeGuarded (kind: Kind): Taken {
    let taken = NOTHING
    let isUnfinished = false
    this.#guarded(() => {
      isUnfinished = this.#serveSome()
      taken = this.hasWaiters ? NOTHING : this.#assign(kind, 0)
    })
    if (isUnfinished) this.#serve()
    return taken
  }

  /** The bell was rung: somebody granted something to this worker, or died, perhaps before it could serve. */
  #look = (): void => {
    const deaths = Atomics.load(this.#words, Header.DEATHS)
    if (deaths === this.#deaths && !this.#permits.isGranted(this.#entries.own)) return
    this.#deaths = deaths
    this.#serve()
  }

  #serve (): void {
    for (let isUnfinished = true; isUnfinished;) this.#guarded(() => { isUnfinished = this.#serveSome() })
  }

  #guarded (act: () => void): void {
    try {
      this.#memory.guard.enter(this.#base + Field.GUARD)
      try {
        if (this.#waiters.size > 0 && this.#permits.isGranted(this.#entries.own)) this.#goIn(this.#permits.notice())
        act()
      } finally {
        this.#memory.guard.leave(this.#base + Field.GUARD)
      }
      this.#tell()
    } catch (error) {
      // Nothing else throws in there: the stack is full, and what is left undone is done on an empty one.
      if (error instanceof RangeError) setImmediate(() => this.#serve())
      throw error
    }
  }

  #tell (): void {
    if (this.#waiters.size === 0) this.#memory.doorbell.offRing(this.#look)
    for (; this.#toRing.length > 0; this.#toRing.pop()) this.#memory.doorbell.ring(this.#toRing.at(-1)!)
    // A waiter that has given up meanwhile gives back at once, and so comes here again.
    for (let next = this.#granted.shift(); next !== undefined; next = this.#granted.shift()) next.waiter.granted(next.taken)
  }

  /** Gives what is free to those whose turn it is. True: there may be more. */
  #serveSome (): boolean {
    for (let n = 0; n < GRANTS_AT_ONCE; n++) {
      const entry = this.#firstInLine()
      if (entry === 0) return false
      const kind = (this.#entries.get(entry, Entry.HEAD) & 1) as Kind
      const isOwn = entry === this.#entries.own
      const taken = this.#assign(kind, isOwn ? 0 : entry)
      if (taken === NOTHING) return false
      if (isOwn) this.#goIn(taken)
      else this.#toRing.push(slotOf(this.#entries.get(entry, Entry.TAG)))
    }
    return true
  }

  /** The entry with the earliest ticket. 0: nobody waits, or behind one only that has yet to notice what it was granted. */
  #firstInLine (): number {
    let first = 0
    let firstHead = 0
    let hasWaiters = false
    for (let slot = 0; slot < this.#entries.slots; slot++) {
      const entry = this.#entries.at(slot)
      const head = entry === 0 ? 0 : this.#entries.get(entry, Entry.HEAD)
      if (head === 0) continue
      const isGranted = this.#permits.isGranted(entry)
      hasWaiters ||= !isGranted || this.#entries.get(entry, Entry.WAITING) > 1
      if (isGranted || (first !== 0 && isEarlier(firstHead, head))) continue
      first = entry
      firstHead = head
    }
    if (!hasWaiters) Atomics.store(this.#words, this.#base + Field.WAITERS, 0)
    return first
  }

  #assign (kind: Kind, entry: number): Taken {
    return kind === EXCLUSIVE ? this.#permits.assign(entry) : this.#permits.assignRead(entry)
  }

  /** This worker's first waiter has what was taken. */
  #goIn (taken: Taken): void {
    const waiter = this.#waiters.first!
    this.#waiters.delete(waiter)
    this.#show()
    this.#granted.push({ waiter, taken })
  }

  #show (): void {
    const { first, size } = this.#waiters
    this.#entries.set(this.#entries.own, Entry.HEAD, first === undefined ? 0 : first.ticket << 1 | first.kind)
    this.#entries.set(this.#entries.own, Entry.WAITING, size)
  }

  #nextTicket (): number {
    const word = this.#base + Field.TICKETS
    const last = Atomics.load(this.#words, word)
    const ticket = last === LAST_TICKET ? 1 : last + 1
    Atomics.store(this.#words, word, ticket)
    return ticket
  }
}

const lines = new WeakMap<object, Map<number, Line>>()

/** The line of this worker at the lock with this payload; its applications share it. */
export function lineOf (memory: SharedMemory, payload: number, definition: LockDefinition): Line {
  let ofWorker = lines.get(memory.doorbell)
  if (ofWorker === undefined) {
    ofWorker = new Map()
    lines.set(memory.doorbell, ofWorker)
  }
  let line = ofWorker.get(payload)
  if (line === undefined) {
    line = new Line(memory, payload, definition)
    ofWorker.set(payload, line)
  }
  return line
}
