import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { swoole } from '../support/project.ts'

/** An application whose jobs append `job, time of the tick, worker, generation, role` to a file when they begin. */
export const app = (jobs: string) => `
  import { appendFileSync } from 'node:fs'
  import swoole from '${swoole}'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole)
    const { swoole: { workerId, generation, role }, scheduler } = fastify
    const note = (name, tick) => appendFileSync(new URL('runs', import.meta.url), [name, tick.getTime(), workerId, generation, role].join(' ') + '\\n')
    const fn = ({ name, scheduledFor }) => note(name, scheduledFor)
    ${jobs}
    fastify.get('/inspect', () => scheduler.inspect())
    fastify.get('/remind', ({ query }) => scheduler.scheduleOnce(query.name, fn, { delay: 50 }) ?? {})
    fastify.get('/unschedule', ({ query }) => ({ was: scheduler.unschedule(query.name) }))
  }`

export interface Ran {
  name: string
  tickMs: number
  worker: number
  generation: number
  role: string
}

export function readRuns (folder: string): Ran[] {
  const file = join(folder, 'runs')
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => {
    const [name, tickMs, worker, generation, role] = line.split(' ')
    return { name: name!, tickMs: Number(tickMs), worker: Number(worker), generation: Number(generation), role: role! }
  })
}

export const runsOf = (folder: string, name: string) => readRuns(folder).filter((run) => run.name === name)
