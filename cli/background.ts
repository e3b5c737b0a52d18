import { spawn } from 'node:child_process'
import { closeSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { findApplication, findProject } from './arguments.ts'
import type { LaunchRequest } from './launch.ts'
import { openForLog } from './launcher/log-file.ts'

const IN_BACKGROUND = 'FASTIFY_SWOOLE_INTERNAL_BACKGROUND'
const DEFAULT_LOG = 'swoole.log'

type News = { listening: string, pid: number } | { failed: string }

/** The log file of a process that was started in the background, which is told once. */
export function takeBackgroundLog (): string | undefined {
  const log = process.env[IN_BACKGROUND]
  delete process.env[IN_BACKGROUND]
  return log
}

/** Starts the same command again as a process of its own, with its output in the log file, and waits until it listens. */
export async function startInBackground ({ app, project: named, config, commandLine }: LaunchRequest, args: string[]): Promise<void> {
  const { loadConfiguration } = await import('../plugins/options/index.ts')
  const project = findProject(named, findApplication(app, named))
  const { options } = await loadConfiguration({ project, file: config, env: process.env, commandLine })

  const log = options.log.file ?? DEFAULT_LOG
  const path = resolve(project, log)
  const output = openForLog(path)
  const logged = statSync(path).size
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, 'start', ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: { ...process.env, [IN_BACKGROUND]: log }
  })
  closeSync(output)
  const news = await new Promise<News>((resolve) => {
    child.once('message', (news: News) => resolve(news))
    child.once('exit', () => resolve({ failed: readFileSync(path).subarray(logged).toString().trim().replace(/^error /, '') }))
  })
  if ('failed' in news) throw new Error(news.failed)
  child.disconnect()
  child.unref()
  process.stdout.write(`listening on ${news.listening} (process ${news.pid}, log ${path})\n`)
}

/** Tells the command that started this process in the background, if one did. */
export function tellParent (news: News): void {
  if (!process.connected) return
  process.send!(news, undefined, {}, () => process.disconnect!())
}
