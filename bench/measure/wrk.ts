import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { runProgram } from './program.ts'

export interface LoadResult {
  requests: number
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
  /** Connections refused, reset or timed out, and answers that were not 2xx or 3xx. */
  errors: number
}

export interface Load {
  port: number
  seconds: number
  connections: number
  headers?: string[]
  /** '/' by default. */
  path?: string
  /** A file in Lua that says what is sent. */
  script?: string
  /** What wrk is started by: see `APART`. */
  prefix?: string[]
}

/** Throws with the way to install wrk when there is none. */
export function requireWrk (): string {
  const { error, stdout } = spawnSync('wrk', ['--version'], { encoding: 'utf8' })
  if (error) {
    throw new Error('This benchmark needs the load generator wrk: "apt-get install wrk" on Debian and Ubuntu, "brew install wrk" on macOS, else https://github.com/wg/wrk')
  }
  return stdout.match(/wrk (\S+)/)?.[1] ?? 'unknown'
}

/** Starts a program on some of the cores only: `'0-2'`. */
const onCores = (cores: string): string[] => ['taskset', '-c', cores]

/** wrk has a core for itself, and the application the others: without that, half of the requests per second are wrk's own. */
const CORES = availableParallelism()
export const LOAD_CORE = String(CORES - 1)
export const APART = { application: onCores(`0-${Math.max(0, CORES - 2)}`), load: onCores(LOAD_CORE) }

/** Loads `GET /`, or what else is said, with one wrk thread. */
export async function load ({ port, seconds, connections, headers = [], path = '/', script, prefix = [] }: Load): Promise<LoadResult> {
  const output = await runProgram([
    ...prefix, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency',
    ...headers.flatMap((header) => ['-H', header]),
    ...(script === undefined ? [] : ['-s', script]),
    `http://127.0.0.1:${port}${path}`
  ], { cwd: process.cwd() })
  const number = (pattern: RegExp) => Number(output.match(pattern)?.[1] ?? 0)
  if (number(/(\d+) requests in/) === 0) throw new Error(`wrk had no answer from port ${port}: ${output}`)
  const sockets = output.match(/Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/)?.slice(1).map(Number) ?? []
  return {
    requests: number(/(\d+) requests in/),
    requestsPerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(output, '50%'),
    p99Ms: milliseconds(output, '99%'),
    errors: sockets.reduce((sum, count) => sum + count, 0) + number(/Non-2xx or 3xx responses: (\d+)/)
  }
}

const UNITS: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000 }

function milliseconds (output: string, part: string): number {
  const [, value, unit] = output.match(new RegExp(`${part}\\s+([\\d.]+)(us|ms|s|m)`)) ?? []
  return Number(value) * UNITS[unit!]!
}
