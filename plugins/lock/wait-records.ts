import { REF_BYTES, isAlive, slotOf } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import type { Wait } from './circle.ts'
import { PUBLISHED } from './handle.ts'
import type { HeldLock } from './handle.ts'
import { EXCLUSIVE } from './layout.ts'
import { SLOTS } from '../shared-memory/layout.ts'

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
 * A record goes as soon as its wait ends or its lock is given back. So what is read, and is there still after all of it
 * was read, was so at the moment between, all of it at once.
 */
const Record = { TAG: 0, SERIAL: 1, LOCK: 2, PERMITS: 3, HEAD: 4, HELD: 5, UNIT: 6, SINCE: 8 } as const
const RECORD_WORDS = 16
/** They fit a chunk of 64 KiB together with the name of the table. */
const RECORDS = 1000
const WRITING = 2 ** 30

export type WaitFor = Pick<Wait, 'lock' | 'permits' | 'head' | 'since'>

/** A wait and its records, one for each lock that it holds, in the same order. */
export interface RecordedWait extends Wait {
  records: number[]
}

let lastSerial = 0

export class WaitRecords {
  readonly memory: SharedMemory
  #words: Int32Array
  #first: number
  /** Behind the record that was written last: where the next one may be free. */
  #next = 0

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
      const record = this.#first + (this.#next + n) % RECORDS * RECORD_WORDS
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
      this.#next = (this.#next + n + 1) % RECORDS
      return record
    }
    return 0
  }

  remove (record: number): void {
    Atomics.store(this.#words, record, 0)
  }

  /** All waits of live workers. */
  read (): RecordedWait[] {
    const waits = new Map<number, RecordedWait>()
    for (let n = 0; n < RECORDS; n++) {
      const record = this.#first + n * RECORD_WORDS
      const read = this.#read(record)
      if (read === undefined) continue
      const key = read.serial * SLOTS + slotOf(read.tag)
      const wait = waits.get(key)
      if (wait === undefined) {
        waits.set(key, { ...read, records: [record] })
      } else {
        wait.held.push(...read.held)
        wait.records.push(record)
      }
    }
    return [...waits.values()]
  }

  /** Whether a wait is recorded as it was read. */
  isSame (wait: RecordedWait): boolean {
    return wait.records.every((record, n) => {
      const read = this.#read(record)
      return read !== undefined && read.tag === wait.tag && read.serial === wait.serial && read.lock === wait.lock && read.head === wait.head &&
        read.held[0]?.lock === wait.held[n]?.lock && read.held[0]?.unit === wait.held[n]?.unit
    })
  }

  /** Undefined: nothing is there, or it is being written. */
  #read (record: number): Wait | undefined {
    const { region } = this.memory
    const get = (field: number) => Atomics.load(this.#words, record + field)
    const tag = get(Record.TAG)
    if (tag === 0 || (tag & WRITING) !== 0 || !isAlive(region, tag)) return undefined
    const [lock, held, head] = [get(Record.LOCK), get(Record.HELD), get(Record.HEAD)]
    const wait = {
      tag,
      serial: get(Record.SERIAL),
      since: region.f64[(record + Record.SINCE) / 2]!,
      lock: lock * REF_BYTES,
      permits: get(Record.PERMITS),
      head,
      isExclusive: (head & 1) === EXCLUSIVE,
      held: held === 0 ? [] : [{ lock: held * REF_BYTES, unit: get(Record.UNIT) }]
    }
    return get(Record.TAG) === tag ? wait : undefined
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

  /** What the waiter holds now; what it has given back was forgotten already. False: the table is full. */
  hold (handles: HeldLock[]): boolean {
    this.forget(undefined)
    return handles.every((handle) => {
      if (!this.#add(handle, { lock: handle.owner.payload, unit: handle.unit })) return false
      const { published } = handle.owner
      handle.state = PUBLISHED
      published.set(handle, (published.get(handle) ?? new Set()).add(this))
      return true
    })
  }

  /** False: the table is full. */
  holdNothing (): boolean {
    return this.#add(undefined, undefined)
  }

  forget (handle: HeldLock | undefined): void {
    const record = this.#words.get(handle)
    if (record === undefined) return
    this.#words.delete(handle)
    this.#records.remove(record)
  }

  end (): void {
    for (const handle of this.#words.keys()) {
      this.forget(handle)
      const waits = handle?.owner.published.get(handle)
      if (waits?.delete(this) && waits.size === 0) handle!.owner.published.delete(handle!)
    }
  }

  #add (handle: HeldLock | undefined, held: { lock: number, unit: number } | undefined): boolean {
    if (this.#words.has(handle)) return true
    const record = this.#records.add(this.serial, this.#waitFor, held)
    if (record === 0) return false
    this.#words.set(handle, record)
    return true
  }
}
