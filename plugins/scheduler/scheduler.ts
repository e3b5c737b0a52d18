import { ClosedError, ScheduleInvalidError } from '../errors.ts'
import { requireNames } from '../options/index.ts'
import type { Duration } from '../options/index.ts'
import { showValue } from '../options/show.ts'
import { createLocalMemory, readSlots } from '../shared-memory/index.ts'
import type { SharedMemory } from '../shared-memory/index.ts'
import { RECORD_BYTES } from './layout.ts'
import { JobTable } from './memory.ts'
import type { JobRow } from './memory.ts'
import { JobRunner } from './runner.ts'
import type { Job } from './runner.ts'
import { Runs } from './runs.ts'
import type { JobHandler } from './runs.ts'
import { cronTicks, intervalTicks, onceTicks } from './ticks.ts'
import type { Kind } from './ticks.ts'

/** 'cluster': once per application, in one worker. 'worker': in each worker that schedules it, whatever the others do. */
export type Scope = 'cluster' | 'worker'

/** Either `interval` or `cron`. */
export interface ScheduleOptions {
  /** Whole milliseconds from 1 on, or '5s'. The ticks lie on a grid that begins when the job is first scheduled: they do not drift. */
  interval?: Duration
  /** A cron expression of five fields, six with seconds before, or seven with years behind; or '@daily' and its like. */
  cron?: string
  /** Of the cron expression: a name of the IANA, such as 'Europe/Paris'. Default: that of the process. */
  timezone?: string
  /** Run once more as soon as the application is ready; not again in other workers, nor after a reload. Default false. */
  immediate?: boolean
  /** Default 'cluster'. */
  scope?: Scope
  /** What becomes of a tick that comes while the job still runs, in whichever worker: 'queue' runs it after that, one at most. Default 'skip'. */
  overlap?: 'skip' | 'queue'
  /** Of the ticks that nobody could run in time, 'once' runs the last one late, 'skip' none. Default 'once'. */
  missed?: 'skip' | 'once'
}

export interface ScheduleOnceOptions {
  /** From now on; 0 is as soon as the application is ready. */
  delay: Duration
  /** Default 'cluster'. */
  scope?: Scope
}

/** A job, with what all workers have done of it. */
export interface JobReport {
  name: string
  kind: Kind
  scope: Scope
  nextRun: Date | null
  /** When the last run began. */
  lastRun: Date | null
  /** Of the last run that has ended. */
  lastDurationMs: number | null
  /** The message of the last run that failed, its first 240 bytes. */
  lastError: string | null
  /** Runs that began. */
  runs: number
  failures: number
  /** Ticks that were not run: the one before still ran, or they came too late. */
  skipped: number
  running: boolean
  /** The worker that runs it: its `workerId`. */
  owner: number | null
}

export interface SchedulerSettings {
  isEnabled: boolean
  maxJobs: number
  workerId: number
  /** Told what a job has thrown; returns its message. */
  failed (job: string, error: unknown, scheduledFor: Date): string
}

const SCHEDULE_NAMES = ['interval', 'cron', 'timezone', 'immediate', 'scope', 'overlap', 'missed']
const ONCE_NAMES = ['delay', 'scope']
/** How long jobs that were aborted have to end. */
const ABORT_MS = 1000
/** More than the region itself needs. */
const OVERHEAD_BYTES = 1024 * 1024

/**
 * `fastify.scheduler`: a job runs once per application, whatever the number of workers, unless its scope is 'worker'.
 *
 * What is scheduled while the application is loaded is scheduled by each worker, and is one job: the first makes it, the others
 * join. What is scheduled later, in a request say, replaces what the application has of that name.
 * After the original's `Scheduler`.
 */
export class JobScheduler {
  readonly #memory: SharedMemory
  readonly #settings: SchedulerSettings
  readonly #runs = new Runs()
  readonly #runners = new Map<Scope, JobRunner>()
  /** Of a scheduler that is not enabled. */
  readonly #listed = new Map<string, { kind: Kind, scope: Scope }>()
  #state: 'loading' | 'ready' | 'leaving' | 'closed' = 'loading'

  constructor (memory: SharedMemory, settings: SchedulerSettings) {
    this.#memory = memory
    this.#settings = settings
  }

  /**
   * Runs `fn` at each tick of an interval or a cron expression. A job of that name is replaced.
   * Throws FST_SWOOLE_SCHEDULE_INVALID, _DURATION_INVALID, _OPTIONS_INVALID, _NAME_INVALID, _SCHEDULE_FULL, _MEMORY_FULL, _CLOSED.
   */
  schedule (name: string, fn: JobHandler, options: ScheduleOptions): void {
    requireNames(`The options of the job ${showValue(name)}`, options, SCHEDULE_NAMES)
    const { interval, cron, timezone, immediate = false, scope = 'cluster', overlap = 'skip', missed = 'once' } = options ?? {}
    requireOne(name, 'overlap', overlap, ['skip', 'queue'])
    requireOne(name, 'missed', missed, ['skip', 'once'])
    if (typeof immediate !== 'boolean') throw new ScheduleInvalidError(name, `immediate is ${showValue(immediate)}, but must be true or false`)
    if ((interval === undefined) === (cron === undefined)) throw new ScheduleInvalidError(name, `it has ${cron === undefined ? 'neither interval nor cron' : 'both interval and cron'}, but must have one of them`)
    if (cron === undefined && timezone !== undefined) throw new ScheduleInvalidError(name, 'it has a timezone, which is for cron only')
    const ticks = cron === undefined ? intervalTicks(name, interval!) : cronTicks(name, cron, timezone)
    this.#schedule({ name, fn, ticks, overlap, missed }, scope, immediate)
  }

  /**
   * Runs `fn` once, after a delay. A job of that name is replaced. Scheduled while the application is loaded it runs once in
   * the application's life, however many workers load it and however often; scheduled later, it runs each time.
   * Throws as `schedule` does.
   */
  scheduleOnce (name: string, fn: JobHandler, options: ScheduleOnceOptions): void {
    requireNames(`The options of the job ${showValue(name)}`, options, ONCE_NAMES)
    const { delay, scope = 'cluster' } = options ?? {}
    this.#schedule({ name, fn, ticks: onceTicks(name, delay), overlap: 'queue', missed: 'once' }, scope, false)
  }

  /**
   * Takes a job from the application, of scope 'worker' from this worker. A run that goes on is not stopped. The code of the
   * next reload has the job again. False: there was none of that name.
   */
  unschedule (name: string): boolean {
    const wasListed = this.#listed.delete(name)
    return [...this.#runners.values()].reduce((wasThere, runner) => runner.unschedule(name) || wasThere, wasListed)
  }

  /** Takes all jobs of the application, and this worker's own. */
  clearAll (): void {
    for (const name of this.getScheduledTasks()) this.unschedule(name)
  }

  /** The names of the jobs that have ticks to come. */
  getScheduledTasks (): string[] {
    const names = [...this.#runners.values()].flatMap((runner) => runner.rows().filter((row) => runner.table.isActive(row)).map(({ name }) => name))
    return [...this.#listed.keys(), ...names]
  }

  /** All jobs of the application and this worker's own, as they are now. */
  async inspect (): Promise<JobReport[]> {
    const listed = [...this.#listed].map(([name, { kind, scope }]) => ({ ...NOTHING_DONE, name, kind, scope }))
    return [...listed, ...[...this.#runners].flatMap(([scope, runner]) => {
      const workers = new Map(readSlots(runner.table.memory.region).map(({ tag, id }) => [tag, scope === 'worker' ? this.#settings.workerId : id]))
      return runner.rows().map((row) => reportOf(row, scope, runner.table.isActive(row), workers.get(row.owner) ?? null))
    })]
  }

  /** The application is loaded: jobs run from now on. */
  start (): void {
    if (this.#state !== 'loading') return
    this.#state = 'ready'
    for (const runner of this.#runners.values()) runner.start()
  }

  /**
   * Runs no more ticks, and waits for the jobs that run, at most `graceMs`; shortly before that it aborts them. The names of
   * those that run on. Others may still be scheduled, for other workers that know them.
   */
  async stop (graceMs: number): Promise<string[]> {
    if (this.#state !== 'closed') this.#state = 'leaving'
    for (const runner of this.#runners.values()) runner.stop()
    return await this.#runs.drain(Math.max(0, graceMs - ABORT_MS), ABORT_MS)
  }

  /** After `stop`. The names of the jobs that end with this worker: only here were they scheduled, after the start. */
  close (): string[] {
    this.#state = 'closed'
    return [...this.#runners.values()].flatMap((runner) => runner.close())
  }

  #schedule (given: Omit<Job, 'isLoaded'>, scope: Scope, isImmediate: boolean): void {
    const { name, fn, ticks } = given
    requireOne(name, 'scope', scope, ['cluster', 'worker'])
    if (typeof fn !== 'function') throw new ScheduleInvalidError(name, `what it is to do is ${showValue(fn)}, but must be a function`)
    if (this.#state === 'closed') throw new ClosedError('The scheduler')
    if (!this.#settings.isEnabled) {
      this.#listed.set(name, { kind: ticks.kind, scope })
      return
    }
    const isLoaded = this.#state === 'loading'
    this.#runnerOf(scope).schedule({ ...given, isLoaded }, isImmediate)
    const other = this.#runners.get(scope === 'cluster' ? 'worker' : 'cluster')
    if (isLoaded) other?.forget(name)
    else other?.unschedule(name)
  }

  #runnerOf (scope: Scope): JobRunner {
    let runner = this.#runners.get(scope)
    if (runner === undefined) {
      const { maxJobs, failed } = this.#settings
      // Jobs of this worker alone are jobs in a memory that nobody shares.
      const memory = scope === 'cluster' ? this.#memory : createLocalMemory(OVERHEAD_BYTES + maxJobs * RECORD_BYTES)
      runner = new JobRunner(new JobTable(memory, maxJobs), this.#runs, ({ name }, error, scheduledForMs) => failed(name, error, new Date(scheduledForMs)))
      this.#runners.set(scope, runner)
      if (this.#state === 'ready') runner.start()
    }
    return runner
  }
}

const NOTHING_DONE = { nextRun: null, lastRun: null, lastDurationMs: null, lastError: null, runs: 0, failures: 0, skipped: 0, running: false, owner: null }

function reportOf (row: JobRow, scope: Scope, isActive: boolean, owner: number | null): JobReport {
  const { name, kind, nextMs, lastRunMs, lastDurationMs, lastError, runs, failures, skipped, isRunning } = row
  return {
    name,
    kind,
    scope,
    nextRun: isActive && nextMs !== Infinity ? new Date(nextMs) : null,
    lastRun: lastRunMs === 0 ? null : new Date(lastRunMs),
    lastDurationMs: lastDurationMs === -1 ? null : lastDurationMs,
    lastError,
    runs,
    failures,
    skipped,
    running: isRunning,
    owner
  }
}

function requireOne (job: string, what: string, value: unknown, accepted: readonly string[]): void {
  if (accepted.includes(value as string)) return
  throw new ScheduleInvalidError(job, `${what} is ${showValue(value)}, but must be ${accepted.map((one) => `'${one}'`).join(' or ')}`)
}
