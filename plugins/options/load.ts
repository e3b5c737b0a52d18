import { resolve } from 'node:path'
import { OptionsInvalidError } from '../errors.ts'
import { findConfigurationFile, readConfigurationFile } from './configuration-file.ts'
import { withDefaults } from './defaults.ts'
import { readEnvironment } from './environment.ts'
import { mergeOptions } from './merge.ts'
import type { ResolvedOptions, SwooleOptions } from './schema.ts'
import { findProblems } from './validate.ts'

/** Where options may come from. */
export interface ConfigurationSources {
  /** The project's folder; relative paths are taken from it. */
  project: string
  /** The configuration file; without it `swoole.config.{ts,js,mjs,json,yaml,yml}` is looked for in the project. */
  file?: string | undefined
  /** The environment, with `FASTIFY_SWOOLE_*` and `PORT`. */
  env: NodeJS.ProcessEnv
  /** What the command line says, in camelCase. */
  commandLine?: SwooleOptions | undefined
}

/** The options of an application, and where they were found. */
export interface Configuration {
  /** Every option, with defaults, in milliseconds and bytes. */
  options: ResolvedOptions
  /** The configuration file as an absolute path, null without one. */
  file: string | null
  /** What was set by somebody, all sources merged, as they wrote it. */
  given: SwooleOptions
}

/**
 * Reads the options of an application: the command line goes before the environment, that before the configuration
 * file, that before the defaults. Blocks are merged key by key, lists are replaced.
 *
 * @throws FST_SWOOLE_CONFIG_UNREADABLE when the configuration file cannot be read
 * @throws FST_SWOOLE_OPTIONS_INVALID with one line for each problem of each source
 */
export async function loadConfiguration ({ project, file: named, env, commandLine = {} }: ConfigurationSources): Promise<Configuration> {
  const file = named === undefined ? await findConfigurationFile(project) : resolve(project, named)
  const fromFile = file === null ? undefined : await readConfigurationFile(file, project)
  const fromEnvironment = readEnvironment(env)

  const problems = [
    ...findProblems(commandLine, 'the command line'),
    ...fromEnvironment.problems,
    ...(fromFile === undefined ? [] : findProblems(fromFile.options, file!, fromFile.spell))
  ]
  if (problems.length > 0) throw new OptionsInvalidError(problems.join('\n'))

  const given = mergeOptions((fromFile?.options ?? {}) as SwooleOptions, fromEnvironment.options, commandLine)
  return { options: withDefaults(given), file, given }
}
