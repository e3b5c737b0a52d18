import { OptionsInvalidError } from '../errors.ts'
import { leaves, mayBeFalse, objectSchema, root, schemaAt, typeNames } from './leaves.ts'
import type { SchemaNode } from './leaves.ts'
import { nearestName } from './nearest.ts'
import type { SwooleOptions } from './schema.ts'
import { findProblems } from './validate.ts'

const PREFIX = 'FASTIFY_SWOOLE_'
const INTERNAL = 'FASTIFY_SWOOLE_INTERNAL_'

/** The variable that sets an option: `['performance', 'workerNum']` is `FASTIFY_SWOOLE_PERFORMANCE_WORKER_NUM`. */
export function environmentName (path: readonly string[]): string {
  return PREFIX + path.map(segment => segment.replaceAll(/(?<=[a-z\d])(?=[A-Z])/g, '_').toUpperCase()).join('_')
}

/**
 * The options that the environment sets, and what is wrong with them. A block that may be left out is set as a whole
 * by true or false. `PORT`, which many platforms set, is `http.port` unless `FASTIFY_SWOOLE_HTTP_PORT` is there.
 */
export function readEnvironment (env: NodeJS.ProcessEnv): { options: SwooleOptions, problems: string[] } {
  const paths = settablePaths()
  const options: Record<string, unknown> = {}
  const names = new Map<string, string>()
  const problems: string[] = []

  const set = (name: string, path: readonly string[], text: string) => {
    names.set(path.join('.'), name)
    put(options, path, parse(schemaAt(path)!, text))
  }

  // shorter names first, so that a block's switch does not undo what is set inside the block
  for (const [name, text] of Object.entries(env).sort(([a], [b]) => a.length - b.length)) {
    if (!name.startsWith(PREFIX) || name.startsWith(INTERNAL) || text === undefined) continue
    const path = paths.get(name)
    if (path === undefined) problems.push(unknownVariable(name, [...paths.keys()]))
    else set(name, path, text)
  }

  const port = environmentName(['http', 'port'])
  if (env.PORT !== undefined && env[port] === undefined) set('PORT', ['http', 'port'], env.PORT)

  const spell = (path: readonly string[]) => names.get(path.join('.')) ?? names.get(path.slice(0, -1).join('.')) ?? environmentName(path)
  return { options, problems: [...problems, ...findProblems(options, 'the environment', spell)] }
}

/**
 * The options that the environment sets where no launcher reads them. `PORT` is not one of them: it is for whoever listens.
 *
 * @throws FST_SWOOLE_OPTIONS_INVALID with one line for each problem
 */
export function requireEnvironment (env: NodeJS.ProcessEnv): SwooleOptions {
  const { options, problems } = readEnvironment({ ...env, PORT: undefined })
  if (problems.length > 0) throw new OptionsInvalidError(problems.join('\n'))
  return options
}

function settablePaths (): Map<string, readonly string[]> {
  const blocks = Object.entries(root.properties!).filter(([, block]) => mayBeFalse(block)).map(([name]) => [name])
  const paths = [...blocks, ...leaves().map(leaf => leaf.path)]
  return new Map(paths.map(path => [environmentName(path), path]))
}

/** A variable's text as the value that its option's type suggests; text that fits no type stays, for the schema to refuse. */
function parse (node: SchemaNode, text: string): unknown {
  const types = typeNames(node)
  if (types.includes('null') && (text === '' || text === 'null')) return null
  if (types.includes('array') && (!types.includes('string') || text.includes(','))) return text.split(',').map(item => item.trim()).filter(item => item !== '')
  if (types.includes('integer') && /^-?\d+$/.test(text)) return Number(text)
  if (types.includes('number') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  if (types.includes('boolean')) return parseSwitch(text, true)
  if (types.includes('object') && node.properties === undefined && text.startsWith('{')) return parseObject(text)
  if (objectSchema(node) !== undefined) return parseSwitch(text, {})
  return text
}

/** Text that is no JSON stays, for the schema to refuse. */
function parseObject (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function parseSwitch (text: string, on: true | object): unknown {
  if (/^(true|1)$/i.test(text)) return on
  return /^(false|0)$/i.test(text) ? false : text
}

function put (options: Record<string, any>, path: readonly string[], value: unknown): void {
  const parents = path.slice(0, -1)
  const parent = parents.reduce((node, segment) => {
    if (typeof node[segment] !== 'object') node[segment] = {}
    return node[segment]
  }, options)
  parent[path.at(-1)!] = value
}

function unknownVariable (name: string, known: readonly string[]): string {
  const rest = (variable: string) => variable.slice(PREFIX.length)
  const nearest = nearestName(rest(name), known.map(rest))
  return `${name} sets no option${nearest === undefined ? '' : `: did you mean ${PREFIX}${nearest}?`} (in the environment)`
}
