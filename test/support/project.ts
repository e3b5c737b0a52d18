import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { ask } from '../../cli/control-client.ts'

const root = resolve(import.meta.dirname, '../..')
const main = join(root, 'cli/main.ts')

/** The plugin's file, for the import in a test's application. */
export const swoole = join(root, 'plugins/swoole.ts')

interface Test {
  teardown (end: () => unknown): void
}

/** A project folder of its own with these files, which sees this package's dependencies. */
export function makeProject (t: Test, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'swoole-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  writeFiles(folder, { 'package.json': '{ "type": "module" }', ...files })
  return folder
}

export function writeFiles (folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
}

const LINE_MS = 30_000

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

// What one test has compiled the others need not: most of their time is the start of processes.
const environment = (env: NodeJS.ProcessEnv = {}) => ({ ...process.env, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, 'node_modules', '.cache', 'tests'), ...env })

/** Runs a command to its end. */
export function run (folder: string, args: string[], env?: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], { cwd: folder, env: environment(env) }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr })
    })
  })
}

export interface Running {
  url: string
  port: number
  child: ChildProcess
  output: { stdout: string, stderr: string }
  /** Settles with the first line of stdout or stderr, from now on, that fits. */
  line (pattern: RegExp): Promise<string>
  stop (): Promise<void>
}

/** Starts an application and waits until it listens; ends it with the test. */
export async function start (t: Test, folder: string, args: string[] = [], { command = 'start', host = '127.0.0.1', env }: { command?: string, host?: string, env?: NodeJS.ProcessEnv } = {}): Promise<Running> {
  const child = spawn(process.execPath, [main, command, ...args, '--port', '0', '--host', host], { cwd: folder, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  const listeners = new Set<(line: string) => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    createInterface({ input: child[name] }).on('line', (line) => {
      output[name] += `${line}\n`
      for (const listener of listeners) listener(line)
    })
  }
  const ended = once(child, 'exit')
  const line = (pattern: RegExp) => new Promise<string>((resolve, reject) => {
    const listener = (line: string) => {
      if (!pattern.test(line)) return
      listeners.delete(listener)
      resolve(line)
    }
    listeners.add(listener)
    setTimeout(() => reject(new Error(`did not say ${pattern} within ${LINE_MS} ms:\n${output.stdout}${output.stderr}`)), LINE_MS).unref()
    ended.then(() => reject(new Error(`ended before it said ${pattern}:\n${output.stdout}${output.stderr}`)))
  })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
  }
  t.teardown(stop)
  const url = (await line(/listening on/)).match(/http:\S+/)![0]
  return { url, port: Number(new URL(url).port), child, output, line, stop }
}

export interface Status {
  pid: number
  generation: number
  workers: Array<{ id: number, role: string, pid: number, state: string, generation: number, requests: number, inFlight: number, connections: number, rss: number }>
}

/** What `status --json` says, asked without a process of its own. */
export async function status (folder: string): Promise<Status> {
  return await ask(folder, { command: 'status' }, () => {}) as Status
}
