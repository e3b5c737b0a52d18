/* A process that measures what its parent tells it to and sends the figures back. */
import { answerJobs } from '../measure/workers.ts'
import type { LimiterOptions } from './jobs/limiter.ts'

// Each job is imported when it is asked for: the others are not to load what its peers bring along.
const jobs = {
  async limiter (options: LimiterOptions) {
    const { measureLimiter } = await import('./jobs/limiter.ts')
    return measureLimiter(options)
  }
}

export type Jobs = typeof jobs

answerJobs(jobs)
