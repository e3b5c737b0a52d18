import { mayBeFalse, objectSchema, typeNames } from './leaves.ts'
import type { SchemaNode } from './leaves.ts'

/** What a schema accepts, in words: `an integer from 1 to 256, or null`. */
export function accepted (node: SchemaNode): string {
  const words = wordsFor(node)
  if (mayBeFalse(node)) return `${words}, or false`
  return typeNames(node).includes('null') ? `${words}, or null` : words
}

function wordsFor (node: SchemaNode): string {
  if (objectSchema(node) !== undefined) return 'an object'
  if (node.accepts !== undefined) return node.accepts + (node.unit === undefined ? '' : range(node).replace(/^ /, ', '))
  if (node.enum !== undefined) return `one of ${node.enum.map(value => JSON.stringify(value)).join(', ')}`

  const types = typeNames(node)
  if (types.includes('integer')) return `an integer${range(node)}`
  if (types.includes('number')) return `a number${range(node)}`
  if (types.includes('boolean')) return 'true or false'
  if (types.includes('array')) return `a list, each item ${accepted(node.items!)}`
  return node.minLength === undefined ? 'a string' : 'a string that is not empty'
}

function range ({ minimum, maximum, unit }: SchemaNode): string {
  const ms = unit === 'duration' ? ' ms' : ''
  // that a duration or a size is not negative goes without saying
  const low = (unit === 'duration' || unit === 'bytes') && minimum === 0 ? undefined : minimum

  if (low === undefined && maximum === undefined) return ''
  if (low === undefined) return `, at most ${maximum}${ms}`
  if (maximum === undefined) return `, at least ${low}${ms}`
  return ` from ${low} to ${maximum}${ms}`
}
