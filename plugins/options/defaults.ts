import { parseBytes } from './bytes.ts'
import { parseDuration } from './duration.ts'
import { objectSchema, root } from './leaves.ts'
import type { SchemaNode } from './leaves.ts'
import { parseProtocols } from './protocols.ts'
import type { ResolvedOptions } from './schema.ts'

/** Valid options with every default filled in, durations as milliseconds and sizes as bytes. The input stays as it is. */
export function withDefaults (input: object): ResolvedOptions {
  return resolve(root, input, '') as ResolvedOptions
}

function resolve (node: SchemaNode, given: unknown, name: string): unknown {
  const value = given === undefined ? node.default : given
  const object = objectSchema(node)
  if (object === undefined) return resolveLeaf(node, value, name)
  if (value === false) return false

  const options = (value ?? {}) as Record<string, unknown>
  return Object.fromEntries(Object.entries(object.properties!).map(([key, child]) => {
    return [key, resolve(child, options[key], name === '' ? key : `${name}.${key}`)]
  }))
}

function resolveLeaf (node: SchemaNode, value: unknown, name: string): unknown {
  if (value === null) return null
  if (node.unit === 'duration') return parseDuration(value, name)
  if (node.unit === 'bytes') return parseBytes(value, name)
  if (node.unit === 'protocols') return parseProtocols(value as Parameters<typeof parseProtocols>[0])
  // a list is copied, so that nobody changes the default of everyone
  return Array.isArray(value) ? [...value] : value
}
