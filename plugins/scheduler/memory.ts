import { NameInvalidError, ScheduleFullError } from '../errors.ts'
import { showValue } from '../options/show.ts'
import { Header, hashBytes, isAlive, readSlots } from '../shared-memory/index.ts'
import type { Region, SharedMemory } from '../shared-memory/index.ts'
import { ERROR, HEADER_BYTES, JobDouble, JobWord, KINDS, MOST_ERROR_BYTES, MOST_NAME_BYTES, NAME, RECORD_BYTES, TableWord } from './layout.ts'
import type { Kind } from './ticks.ts'

/** A job's record, in this use of it. */
export interface JobRef {
  readonly index: number
  readonly id: number
}

/** How a job begins. */
export interface Beginning {
  kind: Kind
  /** What its ticks are computed from. */
  definition: string
  anchorMs: number
  nextMs: number
  /** A tick that is to be run at once; 0: none. */
  waitingMs: number
}

/** A job as all workers see it. Times are epoch milliseconds. */
export interface JobState {
  kind: Kind
  /** Whether its ticks are those of `definition`. */
  isOf (definition: string): boolean
  /** Tag of the worker that claims its ticks, 0: none. */
  owner: number
  isRunning: boolean
  /** The generation up to which code does not run it; 0: all code does. */
  stopped: number
  anchorMs: number
  claimedMs: number
  /** Infinity: it has no more ticks. */
  nextMs: number
  /** 0: none. */
  waitingMs: number
}

export interface JobRow extends JobState {
  name: string
  lastRunMs: number
  lastDurationMs: number
  lastError: string | null
  runs: number
  failures: number
  skipped: number
}

/** What a worker makes of a tick that has come. */
export interface Claim {
  /** As NEXT was when the claim was made up: a claim that comes second is refused. */
  nextMs: number
  tickMs: number
  followingMs: number
  /** Ticks before it that nobody ran. */
  skipped: number
  /** False: it comes too late, and is skipped too. */
  isWanted: boolean
  overlap: 'skip' | 'queue'
}

/** A run that a worker is to do now; `run` is its number. */
export interface Start {
  run: number
  scheduledForMs: number
}

/** The jobs of all workers that share a memory. What its methods do is done, for all of them, when they return. */
export class JobTable {
  readonly memory: SharedMemory
  readonly generation: number
  readonly #region: Region
  readonly #payload: number
  readonly #capacity: number
  readonly #tag: number
  readonly #life: number

  /** Throws FST_SWOOLE_MEMORY_FULL. */
  constructor (memory: SharedMemory, capacity: number) {
    const slots = readSlots(memory.region)
    this.memory = memory
    this.#region = memory.region
    this.#capacity = capacity
    this.#tag = memory.slot.tag
    this.generation = slots.find(({ tag }) => tag === this.#tag)?.generation ?? 1
    this.#life = slots.find(({ role }) => role === 'primary')?.tag ?? this.#tag
    // With another capacity it is another table, so that new code may change it.
    this.#payload = memory.open({ type: 'scheduler', name: `${capacity} jobs`, definition: 'jobs', bytes: HEADER_BYTES + capacity * RECORD_BYTES })
  }

  /** Changes with every change and death that a worker has to look at. */
  get changes (): string {
    return `${Atomics.load(this.#region.i32, this.#payload / 4 + TableWord.CHANGES)} ${Atomics.load(this.#region.i32, Header.DEATHS)}`
  }

  /** Has all other workers look at the jobs. */
  notify (): void {
    Atomics.add(this.#region.i32, this.#payload / 4 + TableWord.CHANGES, 1)
    for (const { index, tag, role } of readSlots(this.#region)) {
      if (role !== 'primary' && tag !== this.#tag) this.memory.doorbell.ring(index)
    }
  }

  /**
   * The record of a job that code schedules while it is loaded, which is the same call in each worker: what the
   * application has of that name goes on, and only the first makes it. Throws FST_SWOOLE_NAME_INVALID, _SCHEDULE_FULL.
   */
  join (name: string, beginning: Beginning): JobRef {
    const encoded = encode(name)
    return this.#inside(() => {
      const index = this.#find(encoded) ?? this.#make(name, encoded, beginning)
      if (this.#word(index, JobWord.LIFE) !== this.#life) this.#revive(index, beginning)
      this.#setWord(index, JobWord.GENERATION, Math.max(this.#word(index, JobWord.GENERATION), this.generation))
      return this.#ref(index)
    })
  }

  /**
   * A job that is scheduled later begins anew, in this worker, whatever the application has of that name; workers that may
   * know it are told. Throws as `join` does.
   */
  begin (name: string, beginning: Beginning): JobRef {
    const encoded = encode(name)
    const { ref, isNew } = this.#inside(() => {
      const found = this.#find(encoded)
      const index = found ?? this.#make(name, encoded, beginning)
      this.#begin(index, beginning)
      this.#setWord(index, JobWord.OWNER, this.#tag)
      return { ref: this.#ref(index), isNew: found === undefined }
    })
    if (!isNew) this.notify()
    return ref
  }

  /** Undefined: the record is not of this job any more. */
  state (ref: JobRef): JobState | undefined {
    return this.#inside(() => this.#isOf(ref) ? this.#state(ref.index) : undefined)
  }

  isOwner (state: JobState): boolean {
    return state.owner === this.#tag
  }

  /** Whether code of this worker's generation is not to run it. */
  isStopped ({ stopped }: JobState): boolean {
    return stopped >= this.generation
  }

  /** Whether it has ticks to come. */
  isActive (state: JobState): boolean {
    return hasTicks(state) && !this.isStopped(state)
  }

  /** Makes this worker the owner, if all is as it was in `state`; with `beginning` the job begins anew. False: another was quicker. */
  take (ref: JobRef, { owner, stopped }: JobState, beginning?: Beginning): boolean {
    const { index } = ref
    return this.#inside(() => {
      if (!this.#isOf(ref) || this.#word(index, JobWord.OWNER) !== owner || this.#word(index, JobWord.STOPPED) !== stopped) return false
      if (beginning !== undefined) this.#begin(index, beginning)
      this.#setWord(index, JobWord.OWNER, this.#tag)
      return true
    })
  }

  /** Lets the ticks of the owner begin anew. */
  restart (ref: JobRef, beginning: Beginning): void {
    this.#inside(() => {
      if (this.#isOwn(ref)) this.#begin(ref.index, beginning)
    })
  }

  /** True: it was the owner, and is not any more. */
  release (ref: JobRef): boolean {
    return this.#inside(() => {
      if (!this.#isOwn(ref)) return false
      this.#setWord(ref.index, JobWord.OWNER, 0)
      return true
    })
  }

  /** Claims a tick; a Start, when it is to be run now. Undefined: it is skipped or waits, or was not this worker's to claim. */
  claim (ref: JobRef, { nextMs, tickMs, followingMs, skipped, isWanted, overlap }: Claim): Start | undefined {
    const { index } = ref
    return this.#inside(() => {
      if (!this.#isOwn(ref) || this.#double(index, JobDouble.NEXT) !== nextMs) return undefined
      this.#setDouble(index, JobDouble.NEXT, followingMs)
      this.#setDouble(index, JobDouble.CLAIMED, tickMs)
      if (followingMs === Infinity) this.#setWord(index, JobWord.STOPPED, this.generation)
      const isFree = !this.#isRunning(index)
      const mayWait = overlap === 'queue' && this.#double(index, JobDouble.WAITING) === 0
      if (isWanted && !isFree && mayWait) this.#setDouble(index, JobDouble.WAITING, tickMs)
      const isSkipped = !isWanted || !(isFree || mayWait)
      this.#setDouble(index, JobDouble.SKIPPED, this.#double(index, JobDouble.SKIPPED) + skipped + (isSkipped ? 1 : 0))
      return isWanted && isFree ? this.#start(index, tickMs) : undefined
    })
  }

  /** The tick that waits, when it can be run now and here. */
  startWaiting (ref: JobRef): Start | undefined {
    const { index } = ref
    return this.#inside(() => {
      const waitingMs = this.#isOwn(ref) ? this.#double(index, JobDouble.WAITING) : 0
      if (waitingMs === 0 || this.#isRunning(index)) return undefined
      this.#setDouble(index, JobDouble.WAITING, 0)
      return this.#start(index, waitingMs)
    })
  }

  /** A run of this worker has ended; `error`, when it has failed. */
  finish (ref: JobRef, run: number, durationMs: number, error?: string): void {
    const { index } = ref
    this.#inside(() => {
      if (!this.#isOf(ref) || this.#word(index, JobWord.RUNNER) !== this.#tag || this.#word(index, JobWord.RUN) !== run) return
      this.#setDouble(index, JobDouble.LAST_DURATION, durationMs)
      if (error !== undefined) {
        this.#setDouble(index, JobDouble.FAILURES, this.#double(index, JobDouble.FAILURES) + 1)
        this.#writeError(index, error)
      }
      this.#setWord(index, JobWord.RUNNER, 0)
      if (this.#word(index, JobWord.GENERATION) === 0 && !hasTicks(this.#state(index))) this.#setWord(index, JobWord.ID, 0)
    })
  }

  /** Takes a job from all workers; a run that goes on is not touched. False: there was none of that name. */
  stop (name: string): boolean {
    const encoded = encode(name)
    return this.#inside(() => {
      const index = this.#find(encoded)
      if (index === undefined || !this.isActive(this.#state(index))) return false
      this.#setWord(index, JobWord.STOPPED, this.generation)
      this.#setDouble(index, JobDouble.WAITING, 0)
      this.#setWord(index, JobWord.OWNER, 0)
      if (this.#word(index, JobWord.GENERATION) === 0) {
        this.#setDouble(index, JobDouble.NEXT, Infinity)
        if (!this.#isRunning(index)) this.#setWord(index, JobWord.ID, 0)
      }
      return true
    })
  }

  row (ref: JobRef): JobRow | undefined {
    return this.#inside(() => this.#isOf(ref) ? this.#row(ref.index) : undefined)
  }

  /** The jobs that have a live owner. */
  owned (): JobRow[] {
    const rows: JobRow[] = []
    for (let index = 0; index < this.#capacity; index++) {
      if (Atomics.load(this.#region.i32, this.#wordIndex(index, JobWord.ID)) === 0) continue
      const row = this.#inside(() => this.#word(index, JobWord.ID) !== 0 && this.#hasOwner(index) ? this.#row(index) : undefined)
      if (row !== undefined) rows.push(row)
    }
    return rows
  }

  #start (index: number, scheduledForMs: number): Start {
    const run = this.#word(index, JobWord.RUN) + 1 | 0
    this.#setWord(index, JobWord.RUN, run)
    this.#setDouble(index, JobDouble.RUNS, this.#double(index, JobDouble.RUNS) + 1)
    this.#setDouble(index, JobDouble.LAST_RUN, Date.now())
    this.#setWord(index, JobWord.RUNNER, this.#tag)
    return { run, scheduledForMs }
  }

  /** What a file has kept from an earlier start: the grid goes on where nobody has asked for another, what was over is to come again. */
  #revive (index: number, beginning: Beginning): void {
    if (beginning.kind === 'once' || this.#double(index, JobDouble.NEXT) === Infinity) this.#begin(index, beginning)
    this.#setDouble(index, JobDouble.WAITING, beginning.waitingMs)
    this.#setWord(index, JobWord.STOPPED, 0)
    this.#setWord(index, JobWord.GENERATION, 0)
    this.#setWord(index, JobWord.LIFE, this.#life)
  }

  #begin (index: number, { kind, definition, anchorMs, nextMs, waitingMs }: Beginning): void {
    this.#setWord(index, JobWord.KIND, KINDS.indexOf(kind))
    this.#setWord(index, JobWord.DEFINITION, this.#hash(Buffer.from(definition)))
    this.#setDouble(index, JobDouble.ANCHOR, anchorMs)
    this.#setDouble(index, JobDouble.CLAIMED, anchorMs)
    this.#setDouble(index, JobDouble.NEXT, nextMs)
    this.#setDouble(index, JobDouble.WAITING, waitingMs)
    this.#setWord(index, JobWord.STOPPED, 0)
  }

  #make (name: string, encoded: Buffer, beginning: Beginning): number {
    const index = this.#room()
    if (index === undefined) throw new ScheduleFullError(name, this.#capacity)
    this.#setWord(index, JobWord.ID, 0)
    const start = this.#byte(index)
    this.#region.u8.fill(0, start, start + RECORD_BYTES)
    this.#region.u8.set(encoded, start + NAME)
    this.#setWord(index, JobWord.NAME_BYTES, encoded.length)
    this.#setWord(index, JobWord.NAME_HASH, this.#hash(encoded))
    this.#setWord(index, JobWord.LIFE, this.#life)
    this.#setDouble(index, JobDouble.LAST_DURATION, -1)
    this.#begin(index, beginning)
    const ids = this.#payload / 4 + TableWord.IDS
    this.#region.i32[ids] = (this.#region.i32[ids]! + 1 | 0) || 1
    this.#setWord(index, JobWord.ID, this.#region.i32[ids]!)
    return index
  }

  /** A free record, or one of a job that nobody has any more and nobody will ask for. */
  #room (): number | undefined {
    let abandoned: number | undefined
    for (let index = 0; index < this.#capacity; index++) {
      if (this.#word(index, JobWord.ID) === 0) return index
      if (this.#hasOwner(index) || this.#isRunning(index)) continue
      if (this.#word(index, JobWord.LIFE) !== this.#life || this.#word(index, JobWord.GENERATION) < this.generation) abandoned ??= index
    }
    return abandoned
  }

  #find (encoded: Buffer): number | undefined {
    const hash = this.#hash(encoded)
    for (let index = 0; index < this.#capacity; index++) {
      if (this.#word(index, JobWord.NAME_HASH) !== hash || this.#word(index, JobWord.ID) === 0) continue
      const start = this.#byte(index) + NAME
      if (encoded.equals(this.#region.u8.subarray(start, start + this.#word(index, JobWord.NAME_BYTES)))) return index
    }
    return undefined
  }

  #state (index: number): JobState {
    const hash = this.#word(index, JobWord.DEFINITION)
    return {
      kind: KINDS[this.#word(index, JobWord.KIND)]!,
      isOf: (definition) => hash === this.#hash(Buffer.from(definition)),
      owner: this.#word(index, JobWord.OWNER),
      isRunning: this.#isRunning(index),
      stopped: this.#word(index, JobWord.STOPPED),
      anchorMs: this.#double(index, JobDouble.ANCHOR),
      claimedMs: this.#double(index, JobDouble.CLAIMED),
      nextMs: this.#double(index, JobDouble.NEXT),
      waitingMs: this.#double(index, JobDouble.WAITING)
    }
  }

  #row (index: number): JobRow {
    const start = this.#byte(index)
    const text = (from: number, bytes: number) => this.#region.buffer.toString('utf8', start + from, start + from + bytes)
    const errorBytes = this.#word(index, JobWord.ERROR_BYTES)
    return {
      ...this.#state(index),
      name: text(NAME, this.#word(index, JobWord.NAME_BYTES)),
      lastRunMs: this.#double(index, JobDouble.LAST_RUN),
      lastDurationMs: this.#double(index, JobDouble.LAST_DURATION),
      lastError: errorBytes === 0 ? null : text(ERROR, errorBytes),
      runs: this.#double(index, JobDouble.RUNS),
      failures: this.#double(index, JobDouble.FAILURES),
      skipped: this.#double(index, JobDouble.SKIPPED)
    }
  }

  #writeError (index: number, error: string): void {
    this.#setWord(index, JobWord.ERROR_BYTES, 0)
    const bytes = this.#region.buffer.write(error || 'Error', this.#byte(index) + ERROR, MOST_ERROR_BYTES)
    this.#setWord(index, JobWord.ERROR_BYTES, bytes)
  }

  #hasOwner (index: number): boolean {
    return isHeld(this.#region, this.#word(index, JobWord.OWNER))
  }

  #isRunning (index: number): boolean {
    return isHeld(this.#region, this.#word(index, JobWord.RUNNER))
  }

  #isOf ({ index, id }: JobRef): boolean {
    return this.#word(index, JobWord.ID) === id
  }

  #isOwn (ref: JobRef): boolean {
    return this.#isOf(ref) && this.#word(ref.index, JobWord.OWNER) === this.#tag
  }

  #ref (index: number): JobRef {
    return { index, id: this.#word(index, JobWord.ID) }
  }

  #hash (bytes: Uint8Array): number {
    const [seed0, seed1] = this.#region.seed
    return hashBytes(bytes, bytes.length, seed0, seed1) | 0
  }

  #inside<T> (work: () => T): T {
    const word = this.#payload / 4 + TableWord.GUARD
    // What one that died inside has left half done is as good as what it would have left whole; see layout.ts.
    this.memory.guard.enter(word)
    try {
      return work()
    } finally {
      this.memory.guard.leaveSeen(word)
    }
  }

  #byte (index: number): number {
    return this.#payload + HEADER_BYTES + index * RECORD_BYTES
  }

  #wordIndex (index: number, field: number): number {
    return this.#byte(index) / 4 + field
  }

  // Inside the guard plain reads and writes will do.
  #word (index: number, field: number): number {
    return this.#region.i32[this.#wordIndex(index, field)]!
  }

  #setWord (index: number, field: number, value: number): void {
    this.#region.i32[this.#wordIndex(index, field)] = value
  }

  #double (index: number, field: number): number {
    return this.#region.f64[this.#byte(index) / 8 + field]!
  }

  #setDouble (index: number, field: number, value: number): void {
    this.#region.f64[this.#byte(index) / 8 + field] = value
  }
}

export function hasTicks ({ nextMs, waitingMs }: JobState): boolean {
  return nextMs !== Infinity || waitingMs !== 0
}

function isHeld (region: Region, tag: number): boolean {
  return tag !== 0 && isAlive(region, tag)
}

function encode (name: string): Buffer {
  const encoded = typeof name === 'string' && name.isWellFormed() ? Buffer.from(name) : Buffer.alloc(0)
  if (encoded.length > 0 && encoded.length <= MOST_NAME_BYTES) return encoded
  throw new NameInvalidError('a job', typeof name === 'string' ? showValue(name) : `of type ${typeof name}`, MOST_NAME_BYTES)
}
