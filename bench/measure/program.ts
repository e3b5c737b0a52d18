import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { atExit } from './clean-up.ts'
import { firstAnswer } from './probe.ts'
import { isAlive, killAll, processTree } from './process-tree.ts'

export interface ProgramOptions {
  cwd: string
  env?: Record<string, string>
}

export interface Program extends AsyncDisposable {
  readonly pid: number
  /** What it printed, both streams. */
  output (): string
  /** Settles when it has ended. */
  readonly ended: Promise<void>
}

const END_MS = 8000
const PRINTED_MS = 1000

/** Starts a program that runs until it is disposed: SIGTERM, and SIGKILL for all of its tree that does not go. */
export function startProgram ([file, ...args]: string[], { cwd, env }: ProgramOptions): Program {
  const child = spawn(file!, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const pid = child.pid!
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const forget = atExit(() => killAll(processTree(pid)))
  return {
    pid,
    output: () => output,
    ended,
    async [Symbol.asyncDispose] () {
      await endTree(pid, () => child.kill('SIGTERM'))
      forget()
    }
  }
}

/** Settles when the program answers on the port. Rejects with what it printed when it ends before that, or does not. */
export async function answers ({ pid, ended, output }: Program, port: number): Promise<void> {
  const failed = ended.then(() => { throw new Error('it ended before it answered') })
  failed.catch(() => {})
  await Promise.race([firstAnswer(port), failed]).catch((error) => {
    throw new Error(`process ${pid}: ${error.message}\n${output()}`)
  })
}

/** Asks a tree of processes to end and waits until all of it has. */
export async function endTree (root: number, ask: () => unknown): Promise<void> {
  const tree = processTree(root)
  await ask()
  for (const deadline = Date.now() + END_MS; tree.some(isAlive) && Date.now() < deadline;) await sleep(10)
  killAll(tree)
}

/** Runs a program to its end and returns what it printed. Rejects with the output when its exit code is not 0. */
export function runProgram ([file, ...args]: string[], { cwd, env }: ProgramOptions): Promise<string> {
  const child = spawn(file!, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const forget = atExit(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', async (code) => {
      forget()
      // What it printed last may not have been read yet; but a daemon that the program leaves behind may keep the streams open.
      await Promise.race([once(child, 'close'), sleep(PRINTED_MS, undefined, { ref: false })])
      if (code === 0) resolve(output)
      else reject(new Error(`${[file, ...args].join(' ')} ended with exit code ${code}\n${output}`))
    })
  })
}
