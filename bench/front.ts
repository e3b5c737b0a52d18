/* What is it worth that the front reads plain HTTP/1.1 itself? The same application with it and with node:http alone. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { answers, startProgram } from './measure/program.ts'
import { cpuMicroseconds, memoryOf, processTree } from './measure/process-tree.ts'
import { freePort } from './measure/probe.ts'
import { formatSpread, printTable, report } from './measure/report.ts'
import type { Target } from './measure/report.ts'
import { alternate, ratio, spread } from './measure/rounds.ts'
import { APART, load, requireWrk } from './measure/wrk.ts'
import type { Load, LoadResult } from './measure/wrk.ts'
import { fastifySwoole } from './servers/commands.ts'
import { createProject } from './servers/project.ts'

interface Server extends AsyncDisposable {
  readonly front: 'fast' | 'node'
  readonly port: number
  readonly pid: number
}

type Sample = LoadResult & { cpuMicrosecondsPerRequest: number }

const SETTINGS = { workers: [1, 2], connections: 64, rounds: 8, seconds: 2, idleConnections: 10_000 }
/** In p99 and in memory, of which a run has its own. */
const NOT_BEHIND = 0.9
const SERIES: Array<{ name: string, load: Partial<Load>, atLeast: number }> = [
  { name: 'GET, 17 bytes', load: {}, atLeast: 1.6 },
  { name: 'POST of 1 kB', load: { script: join(import.meta.dirname, 'front', 'post.lua') }, atLeast: 1.4 },
  { name: 'GET, 100 kB', load: { path: '/large' }, atLeast: NOT_BEHIND },
  { name: 'GET, a stream of 4 kB', load: { path: '/stream' }, atLeast: NOT_BEHIND },
  { name: 'GET, a connection per request', load: { headers: ['Connection: close'] }, atLeast: NOT_BEHIND }
]

export async function run (): Promise<void> {
  const wrk = requireWrk()
  const targets: Target[] = []
  const results: Record<string, object> = {}
  for (const workers of SETTINGS.workers) {
    await using both = await startBoth(workers)
    const { servers } = both
    for (const { name, load, atLeast } of SERIES) await compare(`${name}, workers: ${workers}`, servers, load, atLeast)
  }
  await compareIdle()
  report({ name: 'front', settings: { wrk, ...SETTINGS }, targets, results })

  async function compare (name: string, servers: Server[], what: Partial<Load>, atLeast: number): Promise<void> {
    for (const server of servers) await measure(server, what, 1)
    const samples = await alternate(servers, SETTINGS.rounds, (server) => measure(server, what, SETTINGS.seconds))
    const figures = (front: string, figure: keyof Sample) => samples.get(servers.find((server) => server.front === front)!)!.map((sample) => sample[figure])
    const perSecond = ratio(figures('fast', 'requestsPerSecond'), figures('node', 'requestsPerSecond'))
    const p99 = ratio(figures('node', 'p99Ms'), figures('fast', 'p99Ms'))
    printTable(`${name}: ${SETTINGS.connections} connections, ${SETTINGS.rounds} rounds of ${SETTINGS.seconds} s`, ['', 'req/s', '/ node:http', 'p99 ms', 'CPU µs/req'],
      ['node', 'fast'].map((front) => [front, ...[
        spread(figures(front, 'requestsPerSecond')), ratio(figures(front, 'requestsPerSecond'), figures('node', 'requestsPerSecond')),
        spread(figures(front, 'p99Ms')), spread(figures(front, 'cpuMicrosecondsPerRequest'))
      ].map(formatSpread)]))
    targets.push({ what: `${name}: requests per second / node:http`, measured: perSecond.median, atLeast }, { what: `${name}: p99 of node:http / its own`, measured: p99.median, atLeast: NOT_BEHIND })
    results[name] = Object.fromEntries(servers.map((server) => [server.front, samples.get(server)!]))
  }

  /** With so many connections that have asked once and wait, what does it take and serve? */
  async function compareIdle (): Promise<void> {
    const { idleConnections } = SETTINGS
    const memory: Record<string, { beforeMb: number, afterMb: number }> = {}
    // Of others the garbage would be collected meanwhile.
    await using both = await startBoth(1)
    const { servers } = both
    await using stack = new AsyncDisposableStack()
    for (const server of servers) {
      const { front, port, pid } = server
      await measure(server, {}, 1)
      const beforeMb = privateMb(pid)
      stack.use(await holdOpen(port, idleConnections))
      memory[front] = { beforeMb, afterMb: privateMb(pid) }
    }
    const bytes = (front: string) => (memory[front]!.afterMb - memory[front]!.beforeMb) * 1024 * 1024 / idleConnections
    printTable(`memory of ${idleConnections} idle connections`, ['', 'MB before', 'MB after', 'bytes each'], Object.entries(memory).map(([front, { beforeMb, afterMb }]) => [front, beforeMb.toFixed(1), afterMb.toFixed(1), bytes(front).toFixed(0)]))
    targets.push({ what: `memory of ${idleConnections} idle connections / node:http`, measured: bytes('fast') / bytes('node'), atMost: 1 / NOT_BEHIND })
    results.memory = memory
    await compare(`GET, 17 bytes beside ${idleConnections} idle connections`, servers, {}, NOT_BEHIND)
  }
}

async function startBoth (workers: number): Promise<AsyncDisposable & { servers: Server[] }> {
  await using stack = new AsyncDisposableStack()
  const servers: Server[] = []
  for (const front of ['node', 'fast'] as const) servers.push(stack.use(await start(front, workers)))
  const started = stack.move()
  return { servers, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

async function start (front: 'fast' | 'node', workers: number): Promise<Server> {
  const project = createProject(join(import.meta.dirname, 'front', 'project'), ['fastify', '@fastify', 'fastify-swoole'])
  const port = await freePort()
  const program = startProgram(
    [...APART.application, ...fastifySwoole(), 'start', 'app.js', '--host', '127.0.0.1', '--port', String(port), '--workers', String(workers), '--task-workers', '0'],
    { cwd: project.path, env: { ...project.env, FASTIFY_SWOOLE_PERFORMANCE_FRONT: front, FASTIFY_SWOOLE_PERFORMANCE_MAX_CONNECTION: String(SETTINGS.idleConnections * 2), FASTIFY_SWOOLE_PERFORMANCE_HEARTBEAT_IDLE_TIME: '10m' } })
  await answers(program, port)
  return {
    front,
    port,
    pid: program.pid,
    async [Symbol.asyncDispose] () {
      await program[Symbol.asyncDispose]()
      project[Symbol.dispose]()
    }
  }
}

async function measure ({ front, port, pid }: Server, what: Partial<Load>, seconds: number): Promise<Sample> {
  const before = cpuMicroseconds(pid)
  const result = await load({ port, seconds, connections: SETTINGS.connections, prefix: APART.load, ...what })
  // wrk counts the end of each connection that it did not make itself.
  if (result.errors > 0 && what.headers === undefined) throw new Error(`${front}: ${result.errors} of ${result.requests} requests failed`)
  return { ...result, cpuMicrosecondsPerRequest: (cpuMicroseconds(pid) - before) / result.requests }
}

async function holdOpen (port: number, count: number): Promise<AsyncDisposable> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'front', 'idle-clients.ts'), String(port), String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return {
    async [Symbol.asyncDispose] () {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    }
  }
}

const privateMb = (pid: number): number => processTree(pid).reduce((sum, { pid }) => sum + memoryOf(pid).privateMb, 0)
