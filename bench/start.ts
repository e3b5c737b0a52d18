/* How long from the command to the first answer, and how much memory a worker takes when nothing happens. */
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryOf, processTree } from './measure/process-tree.ts'
import type { Memory } from './measure/process-tree.ts'
import { freePort } from './measure/probe.ts'
import { answers, startProgram } from './measure/program.ts'
import { alternate, ratio, spread } from './measure/rounds.ts'
import { format, formatSpread, printTable, report } from './measure/report.ts'
import type { Target } from './measure/report.ts'
import { fastifyCli, fastifySwoole, fastifySwooleSource } from './servers/commands.ts'
import { createProject } from './servers/project.ts'
import type { Project } from './servers/project.ts'

interface Variant {
  name: string
  command (port: number): string[]
}

const ROUNDS = 12
const MEMORY_ROUNDS = 4
const IDLE_MS = 2000
const OURS_AT_MOST = 1.5
const MEMORY_MB_AT_MOST = 10

const startOf = (command: string[]) => (port: number) => [...command, 'start', 'app.js', '--host', '127.0.0.1', '--port', String(port), '--workers', '2', '--task-workers', '0']
const bare: Variant = { name: 'node server.js', command: () => [process.execPath, 'server.js'] }
const cli: Variant = { name: 'fastify start', command: (port) => [...fastifyCli, 'start', 'app.js', '--options', '--address', '127.0.0.1', '--port', String(port)] }

export async function run (): Promise<void> {
  const ours: Variant = { name: 'fastify-swoole', command: startOf(fastifySwoole()) }
  const source: Variant = { name: 'fastify-swoole, from source', command: startOf(fastifySwooleSource) }
  using project = createProject()
  const targets: Target[] = []
  const results: Record<string, object> = {}
  for (const cache of ['warm', 'cold']) {
    const variants = [cli, ours, source, bare]
    for (const variant of variants) await timeToAnswer(project, variant)
    const samples = await alternate(variants, ROUNDS, async (variant) => {
      if (cache === 'cold') project.clearCompileCache()
      return timeToAnswer(project, variant)
    })
    const rows = variants.map((variant) => ({
      name: variant.name,
      milliseconds: spread(samples.get(variant)!),
      ratioPerRound: ratio(samples.get(variant)!, samples.get(cli)!),
      rounds: samples.get(variant)!
    }))
    printTable(`From the command to the first 200, compile cache ${cache}: ${ROUNDS} rounds (fastify-swoole: 2 workers, the others: one process)`,
      ['', 'ms', 'ratio per round'],
      rows.map(({ name, milliseconds, ratioPerRound }) => [name, formatSpread(milliseconds), formatSpread(ratioPerRound)]))
    targets.push({ what: `fastify-swoole / fastify start, compile cache ${cache}`, measured: rows[1]!.ratioPerRound.median, atMost: OURS_AT_MOST })
    results[cache] = rows
  }
  const memory = await measureMemory(project, ours)
  targets.push({ what: 'PSS of a worker more than of node server.js, MB', measured: memory.extraPerWorkerMb.median, atMost: MEMORY_MB_AT_MOST })
  report({ name: 'start', settings: { rounds: ROUNDS, memoryRounds: MEMORY_ROUNDS, idleMs: IDLE_MS }, targets, results: { ...results, memory } })
}

async function timeToAnswer (project: Project, { command }: Variant): Promise<number> {
  const port = await freePort()
  const startedAt = performance.now()
  await using program = startProgram(command(port), { cwd: project.path, env: { ...project.env, PORT: String(port) } })
  await answers(program, port)
  return performance.now() - startedAt
}

/**
 * All processes are up at the same time: a page of Node's own program counts in the PSS of each process by the number
 * of those that share it, so figures taken one after another would not compare.
 */
async function measureMemory (project: Project, ours: Variant) {
  const samples: Array<Record<'primary' | 'worker' | 'bare', Memory>> = []
  for (let round = 0; round < MEMORY_ROUNDS; round++) {
    const [port, barePort] = [await freePort(), await freePort()]
    await using launcher = startProgram(ours.command(port), { cwd: project.path, env: project.env })
    await using single = startProgram(bare.command(barePort), { cwd: project.path, env: { ...project.env, PORT: String(barePort) } })
    await Promise.all([answers(launcher, port), answers(single, barePort)])
    await sleep(IDLE_MS)
    const [primary, ...workers] = processTree(launcher.pid).map(({ pid }) => memoryOf(pid))
    samples.push({ primary: primary!, worker: mean(workers), bare: memoryOf(single.pid) })
  }
  const names = { primary: 'fastify-swoole, primary', worker: 'fastify-swoole, each worker', bare: bare.name } as const
  const rows = (Object.keys(names) as Array<keyof typeof names>).map((key) => ({
    name: names[key],
    pssMb: spread(samples.map((sample) => sample[key].pssMb)),
    privateMb: spread(samples.map((sample) => sample[key].privateMb))
  }))
  const extraPerWorkerMb = spread(samples.map(({ worker, bare }) => worker.pssMb - bare.pssMb))
  printTable(`Memory ${IDLE_MS / 1000} s after the start, nothing asked: ${MEMORY_ROUNDS} rounds`,
    ['', 'PSS MB', 'private MB'],
    rows.map(({ name, pssMb, privateMb }) => [name, formatSpread(pssMb), formatSpread(privateMb)]))
  process.stdout.write(`a worker takes ${format(extraPerWorkerMb.median)} MB more than ${bare.name}\n\n`)
  return { rows, extraPerWorkerMb, rounds: samples }
}

function mean (all: Memory[]): Memory {
  const sum = (field: keyof Memory) => all.reduce((total, memory) => total + memory[field], 0) / all.length
  return { pssMb: sum('pssMb'), privateMb: sum('privateMb') }
}
