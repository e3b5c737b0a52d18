import { createRequire } from 'node:module'
import type { Ajv, AnySchemaObject, ErrorObject, ValidateFunction } from 'ajv'
import { OptionsInvalidError } from '../errors.ts'
import { accepted } from './accepted.ts'
import { sizeInBytes } from './bytes.ts'
import { withDefaults } from './defaults.ts'
import { durationInMs } from './duration.ts'
import { mayBeFalse, objectSchema, root, schemaAt } from './leaves.ts'
import type { SchemaNode } from './leaves.ts'
import { nearestOption } from './nearest.ts'
import type { ResolvedOptions } from './schema.ts'
import { showValue } from './show.ts'

/** How a path of the options is spelled where they come from: `performance.workerNum`, `FASTIFY_SWOOLE_PERFORMANCE_WORKER_NUM`. */
export type Spelling = (path: readonly string[]) => string

const require = createRequire(import.meta.url)
const validators = new Map<string, ValidateFunction>()
let ajv: Ajv | undefined

/**
 * Checks options against the schema and returns them with every default filled in, durations as milliseconds and sizes
 * as bytes. The input stays as it is, and what was resolved once may be resolved again.
 *
 * @param source where the options come from, for the message: `/srv/shop/swoole.config.yaml`
 * @throws FST_SWOOLE_OPTIONS_INVALID with one line for each problem
 */
export function resolveOptions (input: unknown, source?: string): ResolvedOptions {
  const problems = findProblems(input, source)
  if (problems.length > 0) throw new OptionsInvalidError(problems.join('\n'))
  return withDefaults(input as object)
}

/** What is wrong with these options, one line each; empty when nothing is. */
export function findProblems (input: unknown, source?: string, spell: Spelling = spellCamelCase): string[] {
  const where = source === undefined ? '' : ` (in ${source})`
  return problemsOf(input, spell).map(problem => problem + where)
}

/** A path as the camelCase options spell it: `hotReload.watch[1]`. */
export function spellCamelCase (path: readonly string[]): string {
  return path.map((segment, index) => /^\d+$/.test(segment) ? `[${segment}]` : index === 0 ? segment : `.${segment}`).join('')
}

function problemsOf (input: unknown, spell: Spelling): string[] {
  if (!isObject(input)) return [`The options are ${showValue(input)}, but must be an object`]

  return Object.entries(input).flatMap(([name, value]) => {
    if (value === undefined) return []
    const block = Object.hasOwn(root.properties!, name) ? root.properties![name]! : undefined
    if (block === undefined) return [unknownOption([name], spell)]
    if (value === false && mayBeFalse(block)) return []
    if (objectSchema(block) !== undefined && !isObject(value)) return [unacceptable([name], value, spell)]
    return problemsOfBlock(name, block, value, spell)
  })
}

function problemsOfBlock (name: string, block: SchemaNode, value: unknown, spell: Spelling): string[] {
  const validate = validatorOf(name, block)
  if (validate(value)) return []

  // a value breaks several keywords at once (its type, its range), but is wrong only once
  const problems = new Map<string, string>()
  for (const error of validate.errors!) {
    const path = [name, ...pathOf(error)]
    const key = path.join('/')
    if (problems.has(key)) continue
    problems.set(key, error.keyword === 'additionalProperties'
      ? unknownOption(path, spell)
      : unacceptable(path, valueAt(value, path.slice(1)), spell))
  }
  return [...problems.values()]
}

function pathOf (error: ErrorObject): string[] {
  const path = error.instancePath.split('/').slice(1).map(segment => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
  return error.keyword === 'additionalProperties' ? [...path, error.params.additionalProperty] : path
}

function valueAt (value: any, path: readonly string[]): unknown {
  return path.reduce((parent, segment) => parent?.[segment], value)
}

function unacceptable (path: readonly string[], value: unknown, spell: Spelling): string {
  return `${spell(path)} is ${showValue(value, path)}, but must be ${accepted(schemaAt(path)!)}`
}

function unknownOption (path: readonly string[], spell: Spelling): string {
  const nearest = nearestOption(path)
  const question = nearest === undefined ? '' : `: did you mean ${spell(nearest)}?`
  const parent = path.slice(0, -1)
  const known = Object.keys(objectSchema(schemaAt(parent)!)!.properties!).map(name => spell([...parent, name]).split('.').at(-1))
  const list = known.length === 0 ? 'no keys' : known.join(', ')
  return `${spell(path)} is not an option${question || ':'} ${parent.length === 0 ? 'The options are' : `${spell(parent)} has`} ${list}`
}

/** Compiled when a block is first given, because loading ajv costs more than all else here and most blocks are never given. */
function validatorOf (name: string, block: SchemaNode): ValidateFunction {
  let validate = validators.get(name)
  if (validate === undefined) {
    ajv ??= createAjv()
    validate = ajv.compile(objectSchema(block) ?? block)
    validators.set(name, validate)
  }
  return validate
}

function createAjv (): Ajv {
  // import() of a CommonJS package is not quicker, and would make every plugin's registration wait a turn
  const { Ajv } = require('ajv') as typeof import('ajv')
  const instance = new Ajv({ allErrors: true, strict: false, meta: false, validateSchema: false, code: { optimize: false } })
  return instance.addKeyword({ keyword: 'unit', type: 'string', validate: inRange, errors: false })
}

/** The range of a duration or a size that is given as a string; JSON Schema's own keywords see to numbers only. */
function inRange (unit: string, text: string, schema?: AnySchemaObject): boolean {
  const { minimum = 0, maximum = Infinity } = schema as SchemaNode
  const value = unit === 'duration' ? durationInMs(text) : unit === 'bytes' ? sizeInBytes(text) : minimum
  // what is no duration at all is the pattern's to refuse
  return value === undefined || (value >= minimum && value <= maximum && Number.isFinite(value))
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
