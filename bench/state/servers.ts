import { join } from 'node:path'
import { cpuMicroseconds } from '../measure/process-tree.ts'
import { answers, startProgram } from '../measure/program.ts'
import { freePort } from '../measure/probe.ts'
import { APART, load } from '../measure/wrk.ts'
import type { LoadResult } from '../measure/wrk.ts'
import { fastifySwoole } from '../servers/commands.ts'
import { createProject } from '../servers/project.ts'

/** One of our applications under the launcher, in one of its variants; up when it is returned. */
export interface StateServer extends AsyncDisposable {
  readonly variant: string
  readonly port: number
  /** Of the launcher. */
  readonly pid: number
  /** It and its load have cores of their own. */
  readonly isApart: boolean
}

export type Sample = LoadResult & { cpuMicrosecondsPerRequest: number }

const PACKAGES = ['fastify', '@fastify', 'fastify-session-redis-store', 'fastify-swoole', 'ioredis']

/** `file` is of the folder `project`, and finds the variant's name in the environment. One worker is apart from its load. */
export async function startVariant (file: string, variant: string, workers: number, env: Record<string, string> = {}): Promise<StateServer> {
  const project = createProject(join(import.meta.dirname, 'project'), PACKAGES)
  const port = await freePort()
  const isApart = workers === 1
  const program = startProgram(
    [...(isApart ? APART.application : []), ...fastifySwoole(), 'start', file, '--host', '127.0.0.1', '--port', String(port), '--workers', String(workers), '--task-workers', '0'],
    { cwd: project.path, env: { ...project.env, ...env, VARIANT: variant } })
  const dispose = async () => {
    await program[Symbol.asyncDispose]()
    project[Symbol.dispose]()
  }
  try {
    await answers(program, port)
  } catch (error) {
    await dispose()
    throw new Error(`${file}, ${variant}`, { cause: error })
  }
  return { variant, port, pid: program.pid, isApart, [Symbol.asyncDispose]: dispose }
}

/** All at once: those that are not asked are idle. */
export async function startVariants (file: string, variants: readonly string[], workers: number, env?: Record<string, string>): Promise<AsyncDisposable & { servers: StateServer[] }> {
  await using stack = new AsyncDisposableStack()
  const servers: StateServer[] = []
  for (const variant of variants) servers.push(stack.use(await startVariant(file, variant, workers, env)))
  const started = stack.move()
  return { servers, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

/** Loads `GET /`; throws when an answer is an error, for then nothing was compared. */
export async function measureRequests ({ variant, port, pid, isApart }: StateServer, connections: number, seconds: number, headers: string[] = []): Promise<Sample> {
  const before = cpuMicroseconds(pid)
  const result = await load({ port, seconds, connections, headers, prefix: isApart ? APART.load : [] })
  if (result.errors > 0) throw new Error(`${variant}: ${result.errors} of ${result.requests} requests failed`)
  return { ...result, cpuMicrosecondsPerRequest: (cpuMicroseconds(pid) - before) / result.requests }
}
