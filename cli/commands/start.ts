import type { SwooleOptions } from '../../plugins/options/index.ts'
import { readArguments, readInteger } from '../arguments.ts'
import { startInBackground, takeBackgroundLog, tellParent } from '../background.ts'
import { launch } from '../launch.ts'
import { paint } from '../launcher/reporter.ts'

export const START_FLAGS = {
  host: { type: 'string' },
  port: { type: 'string', short: 'p' },
  workers: { type: 'string', short: 'w' },
  'task-workers': { type: 'string' }
} as const

type StartFlags = { [K in keyof typeof START_FLAGS]?: string }

export async function execute (args: string[]): Promise<number> {
  const { values, app } = readArguments(args, { ...START_FLAGS, daemonize: { type: 'boolean', short: 'd' } } as const, true)
  const commandLine = commandLineOptions(values)
  const log = takeBackgroundLog()
  if (log !== undefined) commandLine.log = { file: log }
  const request = { app, project: values.project, config: values.config, commandLine, mayDaemonize: log === undefined }

  const launched = values.daemonize && log === undefined ? 'daemonize' : await launch(request)
  if (launched === 'daemonize') {
    await startInBackground(request, args)
    return 0
  }
  const { primary } = launched
  process.stdout.write(`${paint('green', 'listening', process.stdout)} on ${primary.url} (${primary.startedInMs} ms, process ${process.pid})\n`)
  tellParent({ listening: primary.url, pid: process.pid })
  return primary.ended
}

/** What the flags of `start` and `watch` say, as options. */
export function commandLineOptions (flags: StartFlags): SwooleOptions {
  const { host } = flags
  const port = readInteger('port', flags.port)
  const workerNum = readInteger('workers', flags.workers)
  const taskWorkers = readInteger('task-workers', flags['task-workers'])
  return {
    ...(host === undefined && port === undefined ? {} : { http: { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) } }),
    ...(workerNum === undefined ? {} : { performance: { workerNum } }),
    ...(taskWorkers === undefined ? {} : { task: { workerNum: taskWorkers } })
  }
}
