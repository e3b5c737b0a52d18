import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { atExit } from '../measure/clean-up.ts'
import { firstAnswer, freePort } from '../measure/probe.ts'
import { killAll, processTree } from '../measure/process-tree.ts'
import { endTree, runProgram, startProgram } from '../measure/program.ts'
import { fastifySwoole, pm2, wattpm } from './commands.ts'
import { createProject } from './project.ts'

/** The small application on several workers, under one of those compared; up when it is returned. */
export interface ClusterServer extends AsyncDisposable {
  readonly name: string
  readonly port: number
  /** The root of its process tree. */
  readonly pid: number
  /** Brings new code in, with the command that the server has for it; settles when the command returns. */
  reload (): Promise<unknown>
}

export const WORKERS = 2

/** The baseline: 2 × `server.js` behind node:cluster's round robin. */
export function startNodeCluster (): Promise<ClusterServer> {
  return start('node:cluster', async (port, { path, env }) => {
    const program = startProgram([process.execPath, 'cluster.js'], { cwd: path, env: { ...env, PORT: String(port), WORKERS: String(WORKERS) } })
    return { pid: program.pid, reload: async () => {}, end: () => program[Symbol.asyncDispose](), output: program.output }
  })
}

export function startFastifySwoole (): Promise<ClusterServer> {
  return start('fastify-swoole', async (port, { path, env }) => {
    const command = fastifySwoole()
    const program = startProgram([...command, 'start', 'app.js', '--host', '127.0.0.1', '--port', String(port), '--workers', String(WORKERS), '--task-workers', '0'], { cwd: path, env })
    return {
      pid: program.pid,
      reload: () => runProgram([...command, 'reload'], { cwd: path, env }),
      end: () => program[Symbol.asyncDispose](),
      output: program.output
    }
  })
}

/** With a home of its own, so that no daemon of the user is touched. */
export function startPm2 (): Promise<ClusterServer> {
  return start('pm2', async (port, { path, env: base }) => {
    const home = join(path, 'pm2')
    const options = { cwd: path, env: { ...base, PM2_HOME: home, PORT: String(port) } }
    const daemon = () => Number(readFileSync(join(home, 'pm2.pid'), 'utf8'))
    const forget = atExit(() => existsSync(home) && killAll(processTree(daemon())))
    await runProgram([...pm2, 'start', 'server.js', '--name', 'bench', '-i', String(WORKERS)], options)
    return {
      pid: daemon(),
      reload: () => runProgram([...pm2, 'reload', 'bench'], options),
      async end () {
        await endTree(daemon(), () => runProgram([...pm2, 'kill'], options))
        forget()
      },
      output: () => ''
    }
  })
}

/** Its workers are threads. `restart` is its rolling one: it replaces worker by worker; `reload` stops the server. */
export function startWatt (): Promise<ClusterServer> {
  return start('wattpm', async (port, { path, env: base }) => {
    const options = { cwd: path, env: { ...base, PORT: String(port), WORKERS: String(WORKERS) } }
    const program = startProgram([...wattpm, 'start'], options)
    return {
      pid: program.pid,
      reload: () => runProgram([...wattpm, 'restart'], options),
      end: () => program[Symbol.asyncDispose](),
      output: program.output
    }
  })
}

interface Started {
  pid: number
  reload (): Promise<unknown>
  end (): PromiseLike<void>
  output (): string
}

async function start (name: string, run: (port: number, project: { path: string, env: Record<string, string> }) => Promise<Started>): Promise<ClusterServer> {
  const project = createProject()
  const port = await freePort()
  const { pid, reload, end, output } = await run(port, project)
  const dispose = async () => {
    await end()
    project[Symbol.dispose]()
  }
  try {
    await firstAnswer(port)
  } catch (error) {
    await dispose()
    throw new Error(`${name}: ${(error as Error).message}\n${output()}`)
  }
  return { name, port, pid, reload, [Symbol.asyncDispose]: dispose }
}

/** All of those compared at once, the baseline first. */
export async function startAll (...starts: Array<() => Promise<ClusterServer>>): Promise<AsyncDisposable & { servers: ClusterServer[] }> {
  const servers: ClusterServer[] = []
  const dispose = async () => {
    for (const server of servers) await server[Symbol.asyncDispose]()
  }
  try {
    for (const start of starts) servers.push(await start())
  } catch (error) {
    await dispose()
    throw error
  }
  return { servers, [Symbol.asyncDispose]: dispose }
}
