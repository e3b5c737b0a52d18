import { REF_BYTES, isAlive } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import type { Wait } from './circle.ts'
import type { HeldLock } from './handle.ts'
import { EXCLUSIVE } from './layout.ts'

/*
 * Who waits for what while holding what: a table in shared memory with a record for each pair of a wait and a lock that
 * the waiter holds; a wait that holds nothing has one record. Locks are named by their payload.
 *
 *     TAG       0, or the worker of the wait, + WRITING while the rest is written; that of a dead worker is free
 *     SERIAL    of the wait in its worker
 *     LOCK      what it waits for, the byte offset divided by 64
 *     PERMITS   how many permits that lock has
 *     HEAD      ticket << 1 | kind
 *     HELD      what it holds, the same way as LOCK; 0 is nothing
 *     UNIT      which permit of it, or READ
 *     SINCE     when it began to wait, milliseconds since 1970, a double
 *
 * A record goes as soon as its wait ends or its lock is given back. So what is seen in two readings, one begun after
 * the other had ended, was so at the moment between them, all of it at once.
 */
const Record = { TAG: 0, SERIAL: 1, LOCK: 2, PERMITS: 3, HEAD: 4, HELD: 5, UNIT: 6, SINCE: 8 } as const
const RECORD_WORDS = 16
/** They fit a chunk of 64 KiB together with the name of the table. */
const RECORDS = 1000
const WRITING = 2 ** 30

export type WaitFor = Pick<Wait, 'lock' | 'permits' | 'head' | 'since'>

let lastSerial = 0

export class WaitRecords {
  readonly memory: SharedMemory
  #words: Int32Array
  #first: number

  /** Throws FST_SWOOLE_MEMORY_FULL and FST_SWOOLE_DIRECTORY_FULL. */
  constructor (memory: SharedMemory) {
    this.memory = memory
    this.#words = memory.region.i32
    this.#first = memory.open({ type: 'lock-waits', name: 'all', definition: RECORDS, bytes: RECORDS * RECORD_WORDS * 4 }) / 4
  }

  /** The record's first word, 0 when the table is full. */
  add (serial: number, { lock, permits, head, since }: WaitFor, held: { lock: number, unit: number } | undefined): number {
    const { region, slot } = this.memory
    for (let n = 0; n < RECORDS; n++) {
      const record = this.#first + n * RECORD_WORDS
      const found = Atomics.load(this.#words, record)
      if (found !== 0 && isAlive(region, found & (WRITING - 1))) continue
      if (Atomics.compareExchange(this.#words, record, found, slot.tag | WRITING) !== found) continue
      const set = (field: number, value: number) => Atomics.store(this.#words, record + field, value)
      set(Record.SERIAL, serial)
      set(Record.LOCK, lock / REF_BYTES)
      set(Record.PERMITS, permits)
      set(Record.HEAD, head)
      set(Record.HELD, held === undefined ? 0 : held.lock / REF_BYTES)
      set(Record.UNIT, held === undefined ? 0 : held.unit)
      region.f64[(record + Record.SINCE) / 2] = since
      Atomics.store(this.#words, record, slot.tag)
      return record
    }
    return 0
  }

  remove (record: number): void {
    Atomics.store(this.#words, record, 0)
  }

  /** All waits of live workers that were there at one moment. */
  read (): Wait[] {
    const before = this.#readOnce()
    const waits = new Map<string, Wait>()
    for (const key of this.#readOnce().keys()) {
      const row = before.get(key)
      if (row === undefined) continue
      const wait = waits.get(`${row.tag} ${row.serial}`)
      if (wait === undefined) waits.set(`${row.tag} ${row.serial}`, row)
      else wait.held.push(...row.held)
    }
    return [...waits.values()]
  }

  /** By what makes a record the same when it is seen again. */
  #readOnce (): Map<string, Wait> {
    const { region } = this.memory
    const rows = new Map<string, Wait>()
    for (let n = 0; n < RECORDS; n++) {
      const record = this.#first + n * RECORD_WORDS
      const get = (field: number) => Atomics.load(this.#words, record + field)
      const tag = get(Record.TAG)
      if (tag === 0 || (tag & WRITING) !== 0 || !isAlive(region, tag)) continue
      const [serial, lock, permits, head, held, unit] = [get(Record.SERIAL), get(Record.LOCK), get(Record.PERMITS), get(Record.HEAD), get(Record.HELD), get(Record.UNIT)]
      const since = region.f64[(record + Record.SINCE) / 2]!
      if (get(Record.TAG) !== tag) continue
      rows.set([tag, serial, lock, permits, head, held, unit, since].join(' '), {
        tag,
        serial,
        since,
        lock: lock * REF_BYTES,
        permits,
        head,
        isExclusive: (head & 1) === EXCLUSIVE,
        held: held === 0 ? [] : [{ lock: held * REF_BYTES, unit }]
      })
    }
    return rows
  }
}

/** A wait that this worker has told the others of. */
export class PublishedWait {
  readonly serial = ++lastSerial
  #records: WaitRecords
  #waitFor: WaitFor
  #words = new Map<HeldLock | undefined, number>()

  constructor (records: WaitRecords, waitFor: WaitFor) {
    this.#records = records
    this.#waitFor = waitFor
  }

  /** What the waiter holds now; what it has given back was forgotten already. */
  hold (handles: HeldLock[]): void {
    for (const handle of handles) {
      if (this.#add(handle, { lock: handle.owner.payload, unit: handle.unit })) (handle.publishedBy ??= new Set()).add(this)
    }
  }

  holdNothing (): void {
    this.#add(undefined, undefined)
  }

  forget (handle: HeldLock | undefined): void {
    const record = this.#words.get(handle)
    if (record === undefined) return
    this.#words.delete(handle)
    this.#records.remove(record)
  }

  end (): void {
    for (const handle of this.#words.keys()) {
      handle?.publishedBy?.delete(this)
      this.forget(handle)
    }
  }

  #add (handle: HeldLock | undefined, held: { lock: number, unit: number } | undefined): boolean {
    if (this.#words.has(handle)) return false
    const record = this.#records.add(this.serial, this.#waitFor, held)
    if (record === 0) return false
    this.#words.set(handle, record)
    return true
  }
}
