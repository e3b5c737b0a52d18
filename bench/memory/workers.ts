/* Processes that do what the benchmark asks for, alone or on one region. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Attachment, LauncherMemory } from '../../plugins/shared-memory/index.ts'
import { atExit } from '../measure/clean-up.ts'
import type { Jobs } from './worker.ts'

type Given<Name extends keyof Jobs> = Parameters<Jobs[Name]>
type Result<Name extends keyof Jobs> = Awaited<ReturnType<Jobs[Name]>>

const MEMORY_FD = 4

/** A worker that loses a wake-up or a process that hangs must not hang the benchmark. */
const LONGEST_MS = 300_000

export interface Worker extends AsyncDisposable {
  call<Name extends keyof Jobs> (job: Name, ...given: Given<Name>): Promise<Result<Name>>
  /** Sends a number with `process.send`, and settles when the worker has sent it back. */
  echo (value: number): Promise<unknown>
}

export function startWorker (fd?: number): Worker {
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc', ...fd === undefined ? [] : [fd]] as const
  const child: ChildProcess = fork(join(import.meta.dirname, 'worker.ts'), { stdio: [...stdio] })
  const forget = atExit(() => child.kill('SIGKILL'))
  let answer: PromiseWithResolvers<unknown> = Promise.withResolvers()
  child.on('message', (message: number | { result?: unknown, error?: string }) => {
    if (typeof message === 'number') answer.resolve(message)
    else if (message.error === undefined) answer.resolve(message.result)
    else answer.reject(new Error(message.error))
  })
  const ended = once(child, 'exit').then(([code, signal]) => answer.reject(new Error(`a worker ended with ${signal ?? `exit code ${code}`}`)))
  return {
    async call (job, ...given) {
      answer = Promise.withResolvers()
      const timer = setTimeout(() => answer.reject(new Error(`"${job}" took longer than ${LONGEST_MS} ms`)), LONGEST_MS)
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
export async function startAttached ({ fd, bytes, claim }: LauncherMemory, bells: string, id: number): Promise<Worker> {
  const worker = startWorker(fd)
  const attachment: Attachment = { fd: MEMORY_FD, bytes, slot: claim('http', id, 1), bells }
  await worker.call('attach', attachment, id)
  return worker
}
