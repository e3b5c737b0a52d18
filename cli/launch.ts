import { extname, join } from 'node:path'
import { availableParallelism } from 'node:os'
import { loadConfiguration } from '../plugins/options/index.ts'
import type { SwooleOptions } from '../plugins/options/index.ts'
import { findApplication, findProject } from './arguments.ts'
import { compileCacheOf } from './compile-cache.ts'
import { openLogFile } from './launcher/log-file.ts'
import { startPrimary } from './launcher/primary.ts'
import type { Primary } from './launcher/primary.ts'
import { terminalReporter } from './launcher/reporter.ts'

export interface LaunchRequest {
  app: string | undefined
  project: string | undefined
  config: string | undefined
  commandLine: SwooleOptions
  /** Workers when neither the command line nor the configuration says how many. */
  defaultWorkers?: number
  reportFiles?: boolean
}

export interface Launched {
  primary: Primary
  project: string
  app: string
  configFile: string | null
  options: Awaited<ReturnType<typeof loadConfiguration>>['options']
}

/** Reads the configuration and starts the application in this process. */
export async function launch ({ app: named, project: namedProject, config, commandLine, defaultWorkers = availableParallelism(), reportFiles = false }: LaunchRequest): Promise<Launched> {
  const app = findApplication(named, namedProject)
  const project = findProject(namedProject, app)
  const { options, given, file } = await loadConfiguration({ project, file: config, env: process.env, commandLine })
  const { log, performance: { workerNum } } = options
  if (log.file !== null) openLogFile(join(project, log.file))
  const compileCache = compileCacheOf(project)
  process.env.NODE_COMPILE_CACHE = compileCache
  const primary = await startPrimary({
    app,
    project,
    options,
    given: given as Record<string, unknown>,
    httpWorkers: workerNum ?? defaultWorkers,
    compileCache,
    workerFile: join(import.meta.dirname, 'worker', `main${extname(import.meta.filename)}`),
    reportFiles,
    reporter: terminalReporter()
  })
  return { primary, project, app, configFile: file, options }
}
