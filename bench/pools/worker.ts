/* A process that asks a server by one way, for its figures. */
import { answerJobs } from '../measure/workers.ts'
import { openCaller } from './callers.ts'
import type { Caller, Face } from './callers.ts'
import type { Server } from './servers.ts'

export interface Load {
  what: keyof Caller
  calls: number
  /** Callers that wait for an answer each before they ask again. */
  atOnce: number
}

export interface Sample {
  perSecond: number
  /** Microseconds of a call. */
  p50: number
  p99: number
  /** Microseconds of the processor that this process took for one. */
  cpu: number
}

let caller: Caller

const jobs = {
  async open (server: Server, face: Face) {
    caller = await openCaller(server, face)
  },

  async measure ({ what, calls, atOnce }: Load): Promise<Sample> {
    const call = caller[what]!
    // Connections that were idle are looked at first, by either.
    await Promise.all(Array.from({ length: atOnce * 2 }, call))
    const times = new Float64Array(calls)
    let next = 0
    const cpuBefore = process.cpuUsage()
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: atOnce }, async () => {
      while (next < calls) {
        const n = next++
        const before = performance.now()
        await call()
        times[n] = performance.now() - before
      }
    }))
    const seconds = (performance.now() - startedAt) / 1000
    const { user, system } = process.cpuUsage(cpuBefore)
    times.sort()
    const at = (part: number) => times[Math.floor(calls * part)]! * 1000
    return { perSecond: calls / seconds, p50: at(0.5), p99: at(0.99), cpu: (user + system) / calls }
  }
}

export type Jobs = typeof jobs

answerJobs(jobs)
