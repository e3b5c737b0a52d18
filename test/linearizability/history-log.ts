import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { PENDING } from './checker.ts'
import type { Pending } from './checker.ts'

/*
 * Where the processes of a recording meet, and where each writes what it did and when. It is in the shared memory, so
 * what a process wrote is there when that process has been killed.
 *
 *     word 0  ARRIVED     arrivals at the start of a burst, of all bursts together
 *          1  RELEASED    how many bursts have started
 *          2  MEMBERS     how many processes must arrive
 *          3  ABANDONED   1: no further burst starts
 *          4  START       when the burst starts (64 bits, ns)
 *     byte 64 records, for each process one after another:  call i64 | return i64 (0: not returned) | output f64
 */
const Word = { ARRIVED: 0, RELEASED: 1, MEMBERS: 2, ABANDONED: 3, START: 4 } as const
const RECORDS_OFFSET = 64
const RECORD_BYTES = 24

const SPINS_BEFORE_NAP = 200
/** So that those that slept at the barrier are awake when the burst starts. */
const LEAD_NS = 120_000n

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Gives the processor away, for some 70 µs at least: whoever wakes from this interrupts another in the middle of an operation. */
export function nap (ms = 0.001): void {
  Atomics.wait(sleeper, 0, 0, ms)
}

export interface Shape {
  processes: number
  /** Records of one process. */
  records: number
}

export class HistoryLog {
  #memory: SharedMemory
  #base: number
  #shape: Shape

  constructor (memory: SharedMemory, shape: Shape) {
    this.#memory = memory
    this.#shape = shape
    this.#base = memory.open({ type: 'test', name: 'history', definition: shape, bytes: RECORDS_OFFSET + shape.processes * shape.records * RECORD_BYTES })
  }

  /** Before the processes start: forgets all. */
  clear (members: number): void {
    const { i32, u8 } = this.#memory.region
    u8.fill(0, this.#base, this.#base + RECORDS_OFFSET + this.#shape.processes * this.#shape.records * RECORD_BYTES)
    Atomics.store(i32, this.#word(Word.MEMBERS), members)
  }

  /** The same processes, or fewer, go on behind what is recorded. */
  continue (members: number): void {
    for (const word of [Word.ARRIVED, Word.RELEASED, Word.ABANDONED]) Atomics.store(this.#memory.region.i32, this.#word(word), 0)
    Atomics.store(this.#memory.region.i32, this.#word(Word.MEMBERS), members)
  }

  abandon (): void {
    Atomics.store(this.#memory.region.i32, this.#word(Word.ABANDONED), 1)
  }

  get released (): number {
    return Atomics.load(this.#memory.region.i32, this.#word(Word.RELEASED))
  }

  /** When the last burst started, in ns. */
  get startedAt (): bigint {
    return Atomics.load(this.#memory.region.i64, (this.#base + Word.START * 4) / 8)
  }

  /** Waits for all members; the last one does `reset`, then all start at once. False: the recording was abandoned. */
  async meet (burst: number, reset: () => unknown, hasParent: () => boolean): Promise<boolean> {
    const { i32, i64 } = this.#memory.region
    const arrivals = Atomics.add(i32, this.#word(Word.ARRIVED), 1) + 1
    if (arrivals === Atomics.load(i32, this.#word(Word.MEMBERS)) * (burst + 1)) {
      await reset()
      Atomics.store(i64, (this.#base + Word.START * 4) / 8, process.hrtime.bigint() + LEAD_NS)
      Atomics.store(i32, this.#word(Word.RELEASED), burst + 1)
    }
    for (let spin = 0; this.released <= burst; spin++) {
      if (spin < SPINS_BEFORE_NAP) continue
      if (Atomics.load(i32, this.#word(Word.ABANDONED)) === 1 || !hasParent()) return false
      nap()
    }
    const start = this.startedAt
    while (process.hrtime.bigint() < start);
    return true
  }

  called (process: number, record: number): void {
    Atomics.store(this.#memory.region.i64, this.#record(process, record), globalThis.process.hrtime.bigint())
  }

  returned (process: number, record: number, output: number): void {
    const time = globalThis.process.hrtime.bigint()
    this.#memory.region.f64[this.#record(process, record) + 2] = output
    Atomics.store(this.#memory.region.i64, this.#record(process, record) + 1, time)
  }

  /** Undefined: it was never called. */
  read (process: number, record: number): { call: bigint, return: bigint | undefined, output: number | Pending } | undefined {
    const { i64, f64 } = this.#memory.region
    const at = this.#record(process, record)
    const call = Atomics.load(i64, at)
    const end = Atomics.load(i64, at + 1)
    if (call === 0n) return undefined
    return end === 0n ? { call, return: undefined, output: PENDING } : { call, return: end, output: f64[at + 2]! }
  }

  #word (word: number): number {
    return this.#base / 4 + word
  }

  #record (process: number, record: number): number {
    return (this.#base + RECORDS_OFFSET + (process * this.#shape.records + record) * RECORD_BYTES) / 8
  }
}
