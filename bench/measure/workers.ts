/* Processes that do what the benchmark asks for, alone or on one region. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Attachment, LauncherMemory } from '../../plugins/shared-memory/index.ts'
import { atExit } from './clean-up.ts'

/** What a worker can be asked for, by name. */
export type Jobs = Record<string, (...given: any[]) => unknown>
type WithAttach = Jobs & { attach (attachment: Attachment, id: number): unknown }

const MEMORY_FD = 4

/** A worker that loses a wake-up or a process that hangs must not hang the benchmark. */
const LONGEST_MS = 300_000

export interface Worker<J> extends AsyncDisposable {
  readonly pid: number
  call<Name extends keyof J> (job: Name, ...given: Parameters<Extract<J[Name], Jobs[string]>>): Promise<Awaited<ReturnType<Extract<J[Name], Jobs[string]>>>>
  /** Sends a number with `process.send`, and settles when the worker has sent it back. */
  echo (value: number): Promise<unknown>
}

/** A process of `file`, which calls `answerJobs`. */
export function startWorker<J extends Jobs> (file: string, fd?: number): Worker<J> {
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc', ...fd === undefined ? [] : [fd]] as const
  const child: ChildProcess = fork(file, { stdio: [...stdio] })
  const forget = atExit(() => child.kill('SIGKILL'))
  let answer: PromiseWithResolvers<unknown> = Promise.withResolvers()
  child.on('message', (message: number | { result?: unknown, error?: string }) => {
    if (typeof message === 'number') answer.resolve(message)
    else if (message.error === undefined) answer.resolve(message.result)
    else answer.reject(new Error(message.error))
  })
  const ended = once(child, 'exit').then(([code, signal]) => answer.reject(new Error(`a worker ended with ${signal ?? `exit code ${code}`}`)))
  return {
    pid: child.pid!,
    async call (job, ...given) {
      answer = Promise.withResolvers()
      const timer = setTimeout(() => answer.reject(new Error(`"${String(job)}" took longer than ${LONGEST_MS} ms`)), LONGEST_MS)
      child.send({ job, given })
      try {
        return await answer.promise as never
      } finally {
        clearTimeout(timer)
      }
    },
    echo (value) {
      answer = Promise.withResolvers()
      child.send(value)
      return answer.promise
    },
    async [Symbol.asyncDispose] () {
      child.kill('SIGKILL')
      await ended
      forget()
    }
  }
}

/** A worker that has attached to the region, as the launcher's do; `id` is its number. */
export async function startAttached<J extends WithAttach> (file: string, { fd, bytes, claim }: LauncherMemory, bells: string, id: number): Promise<Worker<J>> {
  const worker = startWorker<J>(file, fd)
  const attachment: Attachment = { fd: MEMORY_FD, bytes, slot: claim('http', id, 1), bells }
  await (worker as Worker<WithAttach>).call('attach', attachment, id)
  return worker
}

/** The other side, in the process that was started. */
export function answerJobs (jobs: Jobs): void {
  process.on('disconnect', () => process.exit())
  process.on('message', async (message: number | { job: string, given: unknown[] }) => {
    if (typeof message === 'number') return process.send!(message)
    try {
      process.send!({ result: await jobs[message.job]!(...message.given) })
    } catch (error) {
      process.send!({ error: (error as Error).stack })
    }
  })
}
