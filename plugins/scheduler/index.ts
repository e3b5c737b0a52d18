import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { launcherRuntime } from '../runtime.ts'
import { memoryFor } from '../shared-memory/index.ts'
import { dataOfError } from '../values/index.ts'
import { JobScheduler } from './scheduler.ts'

export type { JobHandler, JobInfo } from './runs.ts'
export type { JobReport, ScheduleOnceOptions, ScheduleOptions, Scope } from './scheduler.ts'

/** What an application may ask of its scheduler: when it starts and ends is the plugin's to say. */
export type Scheduler = Omit<JobScheduler, 'start' | 'stop' | 'close'>

export interface SchedulerOptions {
  /** Whether jobs run; false lists them only. Default true. */
  enabled?: boolean
  /** How many jobs the application may have at once: 512 bytes of shared memory each, from the first one on. Default 1000. */
  maxJobs?: number
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Jobs at an interval or at times of the day. After the original's `Scheduler`. */
    scheduler: Scheduler
  }
}

/** How long a close waits for jobs: the launcher gives all close hooks of a worker ten seconds. */
const GRACE_MS = 8000

const scheduler: FastifyPluginAsync<SchedulerOptions> = async (fastify, { enabled = true, maxJobs = 1000 }) => {
  const memory = memoryFor(fastify.server)
  const launcher = launcherRuntime()
  const { log } = fastify
  const jobs = new JobScheduler(memory, {
    isEnabled: enabled,
    maxJobs,
    workerId: launcher?.workerId ?? 0,
    failed (job, error, scheduledFor) {
      const { message } = dataOfError(error)
      const tell = (failure: object) => log.error({ ...failure, job, scheduledFor }, 'a job of the scheduler failed')
      try {
        tell({ err: error })
      } catch {
        // A frozen error, say, which the logger cannot take apart.
        tell({ error: message })
      }
      return message
    }
  })

  const stop = async (graceMs: number) => {
    const left = await jobs.stop(graceMs)
    if (left.length > 0) log.warn({ jobs: left }, 'jobs of the scheduler did not end before the worker had to leave')
  }

  fastify.decorate('scheduler', jobs)
  // When all is ready, the application's own onReady hooks included, which come after this one. In a plugin's context ready()
  // is avvio's: its promise cannot be had inside a hook, and an error goes on to others only if the callback declares none.
  fastify.addHook('onReady', async () => {
    fastify.ready((...[error]) => { if (!error) jobs.start() })
  })
  launcher?.onDrain(stop)
  // Jobs may use what other plugins close in onClose.
  fastify.addHook('preClose', async () => {
    await stop(GRACE_MS)
    const lost = jobs.close()
    if (lost.length > 0) log.warn({ jobs: lost }, 'jobs that this worker alone had scheduled end with it')
  })
  fastify.addHook('onClose', async () => memory.close())
}

export default fp(scheduler, { fastify: '5.x', name: 'fastify-swoole-scheduler' })
