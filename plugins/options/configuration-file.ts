import { readdir } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { ConfigUnreadableError } from '../errors.ts'
import { readDocumentFile } from './document-file.ts'
import { objectSchema, root } from './leaves.ts'
import type { SchemaNode } from './leaves.ts'
import { readModuleFile } from './module-file.ts'
import { fromOriginal, spellOriginal } from './original.ts'
import { spellCamelCase } from './validate.ts'
import type { Spelling } from './validate.ts'

const NAMES = ['ts', 'js', 'mjs', 'json', 'yaml', 'yml'].map(extension => `swoole.config.${extension}`)
const MODULES = new Set(['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'])
const DOCUMENTS = new Set(['.json', '.yaml', '.yml'])

/** What a configuration file says, in our spelling, and how the file itself spells the paths. */
export interface FileOptions { options: unknown, spell: Spelling }

type Contents = Record<string, unknown>

/**
 * The configuration file of a project, as an absolute path; null when it has none.
 *
 * @throws FST_SWOOLE_CONFIG_UNREADABLE when it has more than one
 */
export async function findConfigurationFile (project: string): Promise<string | null> {
  const entries = await readdir(project).catch(error => {
    throw new ConfigUnreadableError(`of ${project}`, reasonOf(error))
  })
  const found = NAMES.filter(name => entries.includes(name))
  if (found.length > 1) {
    throw new ConfigUnreadableError(`of ${project}`, `there are ${found.join(' and ')}: keep one, or name the one to use`)
  }
  return found.length === 0 ? null : resolve(project, found[0]!)
}

/**
 * The options in a configuration file, not validated yet.
 *
 * @throws FST_SWOOLE_CONFIG_UNREADABLE when it cannot be read, or holds no object
 */
export async function readConfigurationFile (file: string, project: string): Promise<FileOptions> {
  const extension = extname(file)
  try {
    if (MODULES.has(extension)) return { options: objectIn(await readModuleFile(file), file), spell: spellCamelCase }
    if (DOCUMENTS.has(extension)) return fromDocument(objectIn(await readDocumentFile(file) ?? {}, file), file, project)
  } catch (error) {
    if (error instanceof ConfigUnreadableError) throw error
    throw new ConfigUnreadableError(file, reasonOf(error as NodeJS.ErrnoException))
  }
  throw new ConfigUnreadableError(file, `its name ends in none of ${[...MODULES, ...DOCUMENTS].join(', ')}`)
}

function fromDocument (document: Contents, file: string, project: string): FileOptions {
  if (!Object.hasOwn(document, 'swoole')) return { options: withoutEmptySections(root, document), spell: spellCamelCase }

  const others = Object.keys(document).filter(name => name !== 'swoole')
  if (others.length > 0) throw new ConfigUnreadableError(file, `beside "swoole" it has ${others.join(', ')}, which nothing reads`)
  const options = objectIn(fromOriginal(document.swoole ?? {}, project), file)
  return { options: withoutEmptySections(root, options), spell: spellOriginal }
}

/** A section of YAML whose keys are all commented out is null, and means its defaults. */
function withoutEmptySections (node: SchemaNode, options: Contents): Contents {
  return Object.fromEntries(Object.entries(options).flatMap(([name, value]) => {
    const child = objectSchema(node)!.properties![name]
    if (child === undefined || objectSchema(child) === undefined) return [[name, value]]
    if (value === null) return []
    return [[name, isObject(value) ? withoutEmptySections(child, value) : value]]
  }))
}

function objectIn (value: unknown, file: string): Contents {
  if (isObject(value)) return value
  const kind = Array.isArray(value) ? 'a list' : value === null || value === undefined ? String(value) : `a ${typeof value}`
  throw new ConfigUnreadableError(file, `it gives ${kind}, but must give an object with options`)
}

function isObject (value: unknown): value is Contents {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function reasonOf (error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'it does not exist'
  if (error.code === 'EACCES' || error.code === 'EPERM') return 'this user may not read it'
  if (error.code === 'EISDIR') return 'it is a folder'
  return error.message
}
