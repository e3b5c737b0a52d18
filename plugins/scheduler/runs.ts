import { setTimeout as sleep } from 'node:timers/promises'
import type { Start } from './memory.ts'

/** What a job does. An error that it throws, or rejects with, is logged and counted, and the schedule goes on. */
export type JobHandler = (info: JobInfo) => unknown

export interface JobInfo {
  name: string
  /** The time of the tick that is run. */
  scheduledFor: Date
  /** Aborts when the application closes and the job does not end in time. */
  signal: AbortSignal
}

interface Run {
  name: string
  controller: AbortController
  ended: Promise<void>
}

/** The jobs that run in this worker now. */
export class Runs {
  readonly #runs = new Set<Run>()

  /** Begins in a moment; `ended` hears how long it took and whether it failed. */
  start (name: string, fn: JobHandler, { scheduledForMs }: Start, ended: (durationMs: number, failure?: { error: unknown }) => void): void {
    const controller = new AbortController()
    const run: Run = { name, controller, ended: work() }
    this.#runs.add(run)
    run.ended.finally(() => this.#runs.delete(run))

    async function work (): Promise<void> {
      // Not within the look that found it due: others may be due with it, and a handler may take its time before it first waits.
      await null
      const startedMs = performance.now()
      const took = () => performance.now() - startedMs
      try {
        await fn({ name, scheduledFor: new Date(scheduledForMs), signal: controller.signal })
      } catch (error) {
        ended(took(), { error })
        return
      }
      ended(took())
    }
  }

  /** Waits for all to end; aborts those that have not after `graceMs`, and gives up `abortMs` later. The names of those that run on. */
  async drain (graceMs: number, abortMs: number): Promise<string[]> {
    await this.#settle(graceMs)
    for (const { name, controller } of this.#runs) controller.abort(new DOMException(`The application closes, and the job "${name}" has not ended in time`, 'AbortError'))
    await this.#settle(abortMs)
    return [...this.#runs].map(({ name }) => name)
  }

  async #settle (withinMs: number): Promise<void> {
    if (this.#runs.size === 0) return
    const timer = new AbortController()
    const all = Promise.all([...this.#runs].map(({ ended }) => ended))
    await Promise.race([all, sleep(withinMs, undefined, { signal: timer.signal }).catch(() => {})])
    timer.abort()
  }
}
