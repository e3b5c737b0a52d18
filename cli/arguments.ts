import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { AppInvalidError, ConfigUnreadableError } from '../plugins/errors.ts'
import { projectOf } from './launcher/run-directory.ts'

type Flags = Record<string, { type: 'string' | 'boolean', short?: string }>

const COMMON = { config: { type: 'string' }, project: { type: 'string' } } as const
const APP_NAMES = ['app', 'server'].flatMap((name) => ['ts', 'js', 'mts', 'mjs', 'cjs'].map((extension) => `${name}.${extension}`))

/** The values of the flags that a command takes, and its one argument if it takes one. An unknown flag is an error. */
export function readArguments<F extends Flags> (args: string[], flags: F, takesApp = false) {
  try {
    const { values, positionals } = parseArgs({ args, options: { ...COMMON, ...flags }, allowPositionals: true })
    const surplus = positionals[takesApp ? 1 : 0]
    if (surplus !== undefined) throw new Error(`"${surplus}" is one argument too many`)
    return { values: values as { config?: string, project?: string } & { [K in keyof F]?: F[K]['type'] extends 'boolean' ? boolean : string }, app: positionals[0] }
  } catch (error) {
    throw new Error(`${(error as Error).message.replace(/ To specify a positional.*/s, '')} (fastify-swoole --help)`)
  }
}

/** An integer from the command line. */
export function readInteger (flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^-?\d+$/.test(text)) throw new Error(`--${flag} is "${text}", but must be an integer`)
  return Number(text)
}

/** The application's file as an absolute path: the one named, or the one that is found in the folder. */
export function findApplication (named: string | undefined, folder = process.cwd()): string {
  if (named === undefined) {
    const found = APP_NAMES.map((name) => join(folder, name)).find((path) => existsSync(path))
    if (found !== undefined) return found
    throw new AppInvalidError(folder, `no file was named and it has none of ${APP_NAMES.slice(0, 2).join(', ')}, …, ${APP_NAMES.at(-1)}`)
  }
  const path = resolve(named)
  if (!existsSync(path)) throw new AppInvalidError(path, 'there is no such file')
  if (statSync(path).isDirectory()) return findApplication(undefined, path)
  return path
}

/** The project that a command is about. */
export function findProject (named: string | undefined, fallback = process.cwd()): string {
  if (named === undefined) return projectOf(fallback)
  if (!existsSync(named) || !statSync(named).isDirectory()) throw new ConfigUnreadableError(`--project ${named}`, 'there is no such folder')
  return projectOf(named)
}
