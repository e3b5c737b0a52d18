import { SlotState } from '../shared-memory/layout.ts'
import { Slot, readSlots, slotWord } from '../shared-memory/index.ts'
import type { SlotInfo } from '../shared-memory/index.ts'
import { hasTicks } from './memory.ts'
import type { Beginning, JobRef, JobRow, JobState, JobTable, Start } from './memory.ts'
import type { JobHandler, Runs } from './runs.ts'
import type { Ticks } from './ticks.ts'

/** What a job is in the code of this worker. */
export interface Job {
  readonly name: string
  readonly fn: JobHandler
  readonly ticks: Ticks
  readonly overlap: 'skip' | 'queue'
  readonly missed: 'skip' | 'once'
  /** It was scheduled while the application was loaded, as in every other worker. */
  readonly isLoaded: boolean
}

interface Known extends Job {
  ref: JobRef
  /** When this worker has to look at it, epoch milliseconds; Infinity: only when it looks at all. */
  dueMs: number
  /** Since when it was seen without an owner, on the monotonic clock. */
  ownerlessMs: number | undefined
}

/** The workers at one moment, as this one sees them. */
interface Sight {
  slots: Map<number, SlotInfo>
  /** This worker's code is newer than some that still serves, and not in yet. */
  isAhead: boolean
  hasTaskWorker: boolean
}

/** How often all is looked at without a reason: what nobody rings for is found within that time. */
const LOOK_MS = 500
/** A job of a task worker that has gone is left to the other task workers for so long; not all of them may know it. */
const YIELD_MS = 400
/** An owner that has not claimed a tick for so long is stuck. */
const STUCK_MS = 500
/** A tick that nobody has claimed for so long has been missed. */
const MISSED_MS = 1000

/**
 * Runs the jobs of a table in this worker. Each job has one owner, the worker that claims its ticks and runs them; the others
 * look after it. Owning is for order only: that no tick runs twice is the table's doing.
 */
export class JobRunner {
  readonly table: JobTable
  readonly #runs: Runs
  readonly #failed: (job: Job, error: unknown, scheduledForMs: number) => string
  readonly #jobs = new Map<string, Known>()
  #isRunning = false
  #timer: NodeJS.Timeout | undefined
  #isSoon = false
  #lookedMs = -Infinity
  #changes = ''

  /** `failed` is told what a job has thrown, and returns that in words. */
  constructor (table: JobTable, runs: Runs, failed: (job: Job, error: unknown, scheduledForMs: number) => string) {
    this.table = table
    this.#runs = runs
    this.#failed = failed
  }

  /** From now on jobs run. */
  start (): void {
    this.#isRunning = true
    this.table.memory.doorbell.onRing(this.#hear)
    this.#lookSoonAtAll()
  }

  /** No more ticks are run here: other workers take the jobs over. */
  stop (): void {
    if (!this.#isRunning) return
    this.#isRunning = false
    clearTimeout(this.#timer)
    this.table.memory.doorbell.offRing(this.#hear)
    this.#release()
  }

  /** Throws FST_SWOOLE_NAME_INVALID, _SCHEDULE_FULL. */
  schedule (job: Job, isImmediate: boolean): void {
    const nowMs = Date.now()
    const beginning = { ...begin(job, nowMs), waitingMs: isImmediate ? nowMs : 0 }
    const ref = job.isLoaded ? this.table.join(job.name, beginning) : this.table.begin(job.name, beginning)
    this.#jobs.set(job.name, { ...job, ref, dueMs: 0, ownerlessMs: undefined })
    if (this.#isRunning) this.#lookSoon()
  }

  /** Takes a job from all workers. False: there was none of that name. */
  unschedule (name: string): boolean {
    const wasThere = this.table.stop(name)
    if (wasThere) this.table.notify()
    return wasThere
  }

  /** Forgets a job in this worker; others that know it go on with it. */
  forget (name: string): void {
    const job = this.#jobs.get(name)
    if (job === undefined) return
    this.#jobs.delete(name)
    if (this.table.release(job.ref)) this.table.notify()
  }

  /** The jobs that this worker or any other has, also those that run for the last time. */
  rows (): JobRow[] {
    const own = [...this.#jobs.values()].map(({ ref }) => this.table.row(ref)).filter((row) => row !== undefined)
    const rows = new Map([...own, ...this.table.owned()].map((row) => [row.name, row]))
    return [...rows.values()].filter((row) => this.table.isActive(row) || row.isRunning)
  }

  /** Gives up what was scheduled since `stop`. The names of the jobs with ticks to come that only this worker had. */
  close (): string[] {
    const lost = [...this.#jobs.values()].filter(({ isLoaded, ref }) => {
      const state = isLoaded ? undefined : this.table.state(ref)
      return state !== undefined && this.table.isActive(state) && (state.owner === 0 || this.table.isOwner(state))
    })
    this.#release()
    return lost.map(({ name }) => name)
  }

  #hear = (): void => {
    if (this.#isRunning && this.table.changes !== this.#changes) this.#lookSoonAtAll()
  }

  #lookSoonAtAll (): void {
    this.#lookedMs = -Infinity
    this.#lookSoon()
  }

  /** Not at once: who schedules or unschedules a job does not find it running in the midst of that. */
  #lookSoon (): void {
    if (this.#isSoon) return
    this.#isSoon = true
    this.#lookIn(0)
  }

  /** Looks at the jobs that are due, and now and then at all. */
  #look = (): void => {
    this.#isSoon = false
    const isOfAll = performance.now() - this.#lookedMs >= LOOK_MS
    if (isOfAll) {
      this.#changes = this.table.changes
      this.#lookedMs = performance.now()
    }
    if (this.#isLeaving()) this.#release()
    const dueMs = this.#attendToAll(isOfAll ? this.#see() : undefined)
    if (this.#jobs.size === 0) return
    const lookMs = this.#lookedMs + LOOK_MS - performance.now()
    // No timer is longer than a look takes to come, so a tick may be years away and the clock may be set meanwhile.
    this.#lookIn(Math.max(0, Math.ceil(Math.min(dueMs - Date.now(), lookMs))))
  }

  #lookIn (delayMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#look, delayMs).unref()
  }

  /** Without a sight, to those that are due. Returns when the next one is. */
  #attendToAll (sight: Sight | undefined): number {
    const nowMs = Date.now()
    let nextMs = Infinity
    for (const job of this.#jobs.values()) {
      if (sight !== undefined || job.dueMs <= nowMs) job.dueMs = this.#attend(job, sight, nowMs)
      nextMs = Math.min(nextMs, job.dueMs)
    }
    return nextMs
  }

  /** Does what there is to do for a job, and returns when there is more. */
  #attend (job: Known, sight: Sight | undefined, nowMs: number): number {
    const state = this.#stateOf(job)
    if (state === undefined || this.table.isStopped(state) || this.#isOver(job, state)) return Infinity
    const owned = this.table.isOwner(state) ? state : this.#take(job, state, sight, nowMs)
    if (owned === undefined) return Infinity

    const { ticks } = job
    if (owned.claimedMs - nowMs > ticks.patienceMs) {
      this.table.restart(job.ref, { ...begin(job, nowMs), waitingMs: owned.waitingMs })
      return nowMs
    }
    if (owned.waitingMs !== 0) this.#run(job, this.table.startWaiting(job.ref))
    if (owned.nextMs > nowMs) return owned.nextMs
    const { nextMs, anchorMs } = owned
    const tickMs = ticks.latest(nowMs, anchorMs, nextMs)
    const followingMs = ticks.next(tickMs, anchorMs)
    this.#run(job, this.table.claim(job.ref, {
      nextMs,
      tickMs,
      followingMs,
      skipped: ticks.count(nextMs, tickMs, anchorMs),
      isWanted: job.missed === 'once' || nowMs - tickMs <= MISSED_MS,
      overlap: job.overlap
    }))
    return followingMs
  }

  #stateOf (job: Known): JobState | undefined {
    const state = this.table.state(job.ref)
    if (state !== undefined) return state
    // It is over, or its record went to another job when there was no other room.
    if (job.isLoaded) {
      try {
        job.ref = this.table.join(job.name, begin(job, Date.now()))
        return this.table.state(job.ref)
      } catch (error) {
        this.#failed(job, error, Date.now())
      }
    }
    this.#jobs.delete(job.name)
    return undefined
  }

  /** One that was to run once has, under whatever delay; anything else that is over may have other ticks in newer code. */
  #isOver ({ ticks }: Job, state: JobState): boolean {
    if (hasTicks(state)) return false
    return state.isOf(ticks.definition) || (state.kind === 'once' && ticks.kind === 'once')
  }

  #take (job: Known, state: JobState, sight: Sight | undefined, nowMs: number): JobState | undefined {
    if (sight === undefined || !this.#mayTake(job, state, sight, nowMs)) return undefined
    job.ownerlessMs = undefined
    // Other ticks than before, or those of a job that older code has unscheduled.
    const isAnew = !state.isOf(job.ticks.definition) || state.stopped !== 0
    if (!this.table.take(job.ref, state, isAnew ? begin(job, nowMs) : undefined)) return undefined
    return this.table.state(job.ref)
  }

  /**
   * New code waits until the old is told to go. A task worker goes before an HTTP worker, so that jobs hold up no requests.
   * An owner that is stuck is replaced by one of its own kind, or by a task worker.
   */
  #mayTake (job: Known, state: JobState, { slots, isAhead, hasTaskWorker }: Sight, nowMs: number): boolean {
    const { slot } = this.table.memory
    const own = slots.get(slot.tag)!
    const owner = slots.get(state.owner)
    if (isAhead || own.state === 'draining') return false
    if (owner === undefined || owner.state === 'draining') {
      job.ownerlessMs ??= performance.now()
      return own.role === 'task' || !hasTaskWorker || performance.now() - job.ownerlessMs >= YIELD_MS
    }
    job.ownerlessMs = undefined
    if (!state.isOf(job.ticks.definition)) return false
    if (own.role === 'task' && owner.role === 'http' && own.generation === owner.generation) return true
    return (own.role === 'task' || owner.role !== 'task') && nowMs - state.nextMs >= STUCK_MS
  }

  #run (job: Known, start: Start | undefined): void {
    if (start === undefined) return
    const { ref } = job
    this.#runs.start(job.name, job.fn, start, (durationMs, failure) => {
      const error = failure && this.#failed(job, failure.error, start.scheduledForMs)
      this.table.finish(ref, start.run, durationMs, error)
      const after = this.table.state(ref)
      if (after === undefined || after.waitingMs === 0) return
      job.dueMs = 0
      if (this.table.isOwner(after) && this.#isRunning) this.#lookSoon()
      else this.table.notify()
    })
  }

  #see (): Sight {
    const slots = readSlots(this.table.memory.region)
    return {
      slots: new Map(slots.map((slot) => [slot.tag, slot])),
      isAhead: slots.some(({ role, state, generation }) => role !== 'primary' && state === 'ready' && generation < this.table.generation),
      hasTaskWorker: slots.some(({ role, state }) => role === 'task' && state === 'ready')
    }
  }

  /** The launcher has told this worker to drain, and the worker itself may not have heard yet. */
  #isLeaving (): boolean {
    const { region, slot } = this.table.memory
    return (Atomics.load(region.i32, slotWord(slot.index, Slot.LIFE)) & 3) === SlotState.DRAINING
  }

  #release (): void {
    const released = [...this.#jobs.values()].map(({ ref }) => this.table.release(ref))
    if (released.includes(true)) this.table.notify()
    for (const job of this.#jobs.values()) job.dueMs = Infinity
  }
}

function begin ({ ticks }: Job, nowMs: number): Beginning {
  return { kind: ticks.kind, definition: ticks.definition, anchorMs: nowMs, nextMs: ticks.first(nowMs), waitingMs: 0 }
}
