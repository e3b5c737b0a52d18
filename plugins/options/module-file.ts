import { execFile } from 'node:child_process'
import { realpath } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { ConfigUnreadableError } from '../errors.ts'

const require = createRequire(import.meta.url)
let reads = 0

/**
 * The options that a TypeScript or JavaScript file exports: an object, or a function (async or not) that returns one.
 * Each call reads the file anew; what the file itself imports stays as it was read first.
 *
 * @throws FST_SWOOLE_CONFIG_UNREADABLE with the line where it is known
 */
export async function readModuleFile (file: string): Promise<unknown> {
  const path = await realpath(file)
  try {
    // a CommonJS file is cached by its path, whatever the query
    delete require.cache[path]
    const module = await import(`${pathToFileURL(path).href}?read=${++reads}`)
    if (!('default' in module)) throw new ConfigUnreadableError(file, 'it has no default export')

    const exported = await module.default
    return typeof exported === 'function' ? await exported() : exported
  } catch (error) {
    if (error instanceof ConfigUnreadableError) throw error
    const line = lineOf(path, stackOf(error)) ?? (error instanceof SyntaxError ? await lineOfSyntaxError(path) : undefined)
    const message = error instanceof Error ? error.message : String(error)
    throw new ConfigUnreadableError(line === undefined ? file : `${file}:${line}`, message.trimStart().split('\n')[0]!)
  }
}

function stackOf (error: unknown): string {
  return error instanceof Error ? error.stack ?? '' : ''
}

function lineOf (path: string, text: string): string | undefined {
  for (const name of [path, pathToFileURL(path).href]) {
    for (const rest of text.split(name).slice(1)) {
      const line = /^(?:\?read=\d+)?:(\d+)/.exec(rest)?.[1]
      if (line !== undefined) return line
    }
  }
}

/** Node prints the place of a syntax error in a module, but does not give it to who imports the module. */
async function lineOfSyntaxError (path: string): Promise<string | undefined> {
  try {
    await promisify(execFile)(process.execPath, ['--check', path], { timeout: 5_000 })
  } catch (error) {
    return lineOf(path, String((error as { stderr?: string }).stderr))
  }
}
