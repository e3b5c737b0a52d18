import { relative, resolve, sep } from 'node:path'
import { availableParallelism } from 'node:os'
import { OptionsInvalidError } from '../plugins/errors.ts'
import type { ResolvedOptions, SwooleOptions } from '../plugins/options/index.ts'
import { findApplication, findProject } from './arguments.ts'
import { compileCacheOf } from './compile-cache.ts'
import { Nursery } from './launcher/nursery.ts'
import { openLogFile } from './launcher/log-file.ts'
import type { Primary } from './launcher/primary.ts'
import { terminalReporter } from './launcher/reporter.ts'

export interface LaunchRequest {
  app: string | undefined
  project: string | undefined
  config: string | undefined
  commandLine: SwooleOptions
  /** Workers when neither the command line nor the configuration says how many. */
  defaultWorkers?: number
  defaultTaskWorkers?: number
  reportFiles?: boolean
  /** Leave the start to a process in the background when `performance.daemonize` says so. */
  mayDaemonize?: boolean
}

export interface Launched {
  primary: Primary
  project: string
  app: string
  configFile: string | null
  options: ResolvedOptions
}

/**
 * Reads the configuration and starts the application in this process. What takes long to load is loaded after the first
 * worker processes are on their way.
 */
export function launch (request: LaunchRequest & { mayDaemonize?: false }): Promise<Launched>
export function launch (request: LaunchRequest): Promise<Launched | 'daemonize'>
export async function launch ({ app: named, project: namedProject, config, commandLine, defaultWorkers = availableParallelism(), defaultTaskWorkers, reportFiles = false, mayDaemonize = false }: LaunchRequest): Promise<Launched | 'daemonize'> {
  const app = findApplication(named, namedProject)
  const project = findProject(namedProject, app)
  const compileCache = compileCacheOf(project)
  process.env.NODE_COMPILE_CACHE = compileCache
  const nursery = new Nursery(app)
  // One core is this process's own while it reads the options; a worker too many on the others delays the first answer.
  nursery.prepare(Math.min(commandLine.performance?.workerNum ?? defaultWorkers, Math.max(1, availableParallelism() - 1)))
  try {
    const { loadConfiguration } = await import('../plugins/options/index.ts')
    const { options, given, file } = await loadConfiguration({ project, file: config, env: process.env, commandLine })
    const { log, performance: { cacheFolder, daemonize, workerNum } } = options
    if (daemonize && mayDaemonize) {
      await nursery.discard()
      return 'daemonize'
    }
    requireCacheFolder(project, app, cacheFolder)
    if (log.file !== null) openLogFile(resolve(project, log.file))
    const { startPrimary } = await import('./launcher/primary.ts')
    const primary = await startPrimary({
      app,
      project,
      options,
      given: given as Record<string, unknown>,
      httpWorkers: workerNum ?? defaultWorkers,
      taskWorkers: taskWorkers(options, given, defaultTaskWorkers),
      compileCache,
      nursery,
      reportFiles,
      reporter: terminalReporter()
    })
    return { primary, project, app, configFile: file, options }
  } catch (error) {
    await nursery.discard()
    throw error
  }
}

function taskWorkers ({ task }: ResolvedOptions, given: SwooleOptions, byDefault: number | undefined): number {
  if (task === false) return 0
  const isGiven = given.task !== undefined && given.task !== false && given.task.workerNum !== undefined
  return isGiven ? task.workerNum : byDefault ?? task.workerNum
}

/** A reload empties this folder: it must be one inside the project, and the application must not be in it. */
function requireCacheFolder (project: string, app: string, folder: string | null): void {
  if (folder === null) return
  const path = resolve(project, folder)
  const isInside = path.startsWith(project + sep) && !relative(project, path).split(sep).includes('node_modules')
  if (isInside && !app.startsWith(path + sep)) return
  throw new OptionsInvalidError(`performance.cacheFolder is ${JSON.stringify(folder)}, but must be a folder inside the project that holds nothing but a cache: reload empties it`)
}
