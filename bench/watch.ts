/* From saving a file to the new answer, and what clients see meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, get } from './measure/probe.ts'
import { answers, startProgram } from './measure/program.ts'
import type { Program } from './measure/program.ts'
import { alternate, ratio, spread } from './measure/rounds.ts'
import { formatSpread, printTable, report } from './measure/report.ts'
import { fastifyCli, fastifySwoole } from './servers/commands.ts'
import { createProject } from './servers/project.ts'
import type { Project } from './servers/project.ts'

interface Watched {
  name: string
  port: number
  project: Project
  program: Program
}

interface Sample {
  milliseconds: number
  requests: number
  /** Refused, reset, closed without an answer, too late, or not 200. */
  failed: number
}

const ROUNDS = 12
const POLL_MS = 5
/** Requests go on after the first new answer: an old process may still get one. */
const AFTER_MS = 500
const REST_MS = 700
const GIVE_UP_MS = 15_000
const NAMES = { ours: 'fastify-swoole watch', cli: 'fastify start --watch', node: 'node --watch server.js' }

export async function run (): Promise<void> {
  const swoole = fastifySwoole()
  await using ours = await startWatched(NAMES.ours, (port) => [...swoole, 'watch', 'app.js', '--host', '127.0.0.1', '--port', port])
  await using cli = await startWatched(NAMES.cli, (port) => [...fastifyCli, 'start', 'app.js', '--watch', '--options', '--address', '127.0.0.1', '--port', port])
  await using node = await startWatched(NAMES.node, () => [process.execPath, '--watch', 'server.js'])
  const variants = [ours, cli, node]
  for (const variant of variants) await change(variant, 'warm-up')
  const samples = await alternate(variants, ROUNDS, (variant, round) => change(variant, `${round}`))
  const rows = variants.map((variant) => {
    const own = samples.get(variant)!
    const milliseconds = own.map(({ milliseconds }) => milliseconds)
    return {
      name: variant.name,
      milliseconds: spread(milliseconds),
      ratioPerRound: ratio(samples.get(ours)!.map(({ milliseconds }) => milliseconds), milliseconds),
      failedPerChange: spread(own.map(({ failed }) => failed)),
      failed: own.reduce((sum, { failed }) => sum + failed, 0),
      requests: own.reduce((sum, { requests }) => sum + requests, 0),
      rounds: own
    }
  })
  printTable(`From the save to the new answer: ${ROUNDS} changes, a new connection every ${POLL_MS} ms`,
    ['', 'ms', 'ours / this, per round', 'failed per change', 'failed of all'],
    rows.map(({ name, milliseconds, ratioPerRound, failedPerChange, failed, requests }) => [name, formatSpread(milliseconds), formatSpread(ratioPerRound), formatSpread(failedPerChange), `${failed} of ${requests}`]))
  report({
    name: 'watch',
    settings: { rounds: ROUNDS, pollMs: POLL_MS },
    targets: [
      ...rows.slice(1).map(({ name, ratioPerRound }) => ({ what: `fastify-swoole watch / ${name}`, measured: ratioPerRound.median, atMost: 1 })),
      { what: 'requests that fastify-swoole watch failed', measured: rows[0]!.failed, atMost: 0 }
    ],
    results: rows
  })
}

async function startWatched (name: string, command: (port: string) => string[]): Promise<Watched & AsyncDisposable> {
  const project = createProject()
  const port = await freePort()
  writeApp(project, 'first')
  const program = startProgram(command(String(port)), { cwd: project.path, env: { ...project.env, PORT: String(port) } })
  const dispose = async () => {
    await program[Symbol.asyncDispose]()
    project[Symbol.dispose]()
  }
  try {
    await answers(program, port)
  } catch (error) {
    await dispose()
    throw error
  }
  await sleep(REST_MS)
  return { name, port, project, program, [Symbol.asyncDispose]: dispose }
}

/** Saves the application with another constant in it, and asks until that is answered and a little longer. */
async function change ({ name, port, project, program }: Watched, version: string): Promise<Sample> {
  const sample = { milliseconds: NaN, requests: 0, failed: 0 }
  const asked = new Set<Promise<void>>()
  const savedAt = performance.now()
  writeApp(project, version)
  const timer = setInterval(() => {
    sample.requests++
    const request = get(port).then(({ status, body }) => {
      if (status !== 200) sample.failed++
      else if (body.includes(`"${version}"`) && Number.isNaN(sample.milliseconds)) sample.milliseconds = performance.now() - savedAt
    }, () => { sample.failed++ }).finally(() => asked.delete(request))
    asked.add(request)
  }, POLL_MS)
  while (Number.isNaN(sample.milliseconds) && performance.now() - savedAt < GIVE_UP_MS) await sleep(20)
  await sleep(AFTER_MS)
  clearInterval(timer)
  await Promise.all(asked)
  if (Number.isNaN(sample.milliseconds)) throw new Error(`${name} did not take the change\n${program.output()}`)
  await sleep(REST_MS)
  return sample
}

function writeApp (project: Project, version: string): void {
  project.write('app.js', [
    'export const options = { logger: false }',
    '',
    'export default async function app (fastify, _options) {',
    `  fastify.get('/', async () => ({ version: '${version}' }))`,
    '}',
    ''
  ].join('\n'))
}
