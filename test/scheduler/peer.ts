import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { JobScheduler } from '../../plugins/scheduler/scheduler.ts'
import type { ScheduleOptions } from '../../plugins/scheduler/index.ts'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { answerParent } from '../shared-memory/answering.ts'

/* A worker process with a scheduler. Its handlers write each run into a file, which a kill cannot undo. */

let memory: SharedMemory
let scheduler: JobScheduler

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
    scheduler = new JobScheduler(memory, { isEnabled: true, maxJobs: 20, workerId: attachment.slot.index, failed: (_job, error) => (error as Error).message })
  },

  /** Each run appends `job, time of the tick, slot` and takes `ms`. */
  schedule (file: string, name: string, options: ScheduleOptions & { delay?: string | number }, ms = 0) {
    const fn = async ({ scheduledFor }: { scheduledFor: Date }) => {
      appendFileSync(file, `${name} ${scheduledFor.getTime()} ${memory.slot.index}\n`)
      if (ms > 0) await sleep(ms)
    }
    const { delay, ...others } = options
    if (delay === undefined) scheduler.schedule(name, fn, others)
    else scheduler.scheduleOnce(name, fn, { delay })
  },

  start () {
    scheduler.start()
  },

  unschedule (name: string) {
    return scheduler.unschedule(name)
  },

  names () {
    return scheduler.getScheduledTasks()
  },

  /** Holds up the event loop. */
  block (ms: number) {
    for (const until = Date.now() + ms; Date.now() < until;);
  }
}

export type Jobs = typeof jobs

answerParent(jobs)
