import { schema } from './schema.ts'

/** One node of the options' schema, with the keywords that the blocks use. */
export interface SchemaNode {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly anyOf?: readonly SchemaNode[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly items?: SchemaNode
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly minItems?: number
  readonly pattern?: string
  readonly unit?: 'duration' | 'bytes' | 'protocols'
  readonly accepts?: string
  readonly description?: string
  readonly default?: unknown
}

/** An option that holds a value, not further options: its path and its schema. */
export interface Leaf {
  readonly path: readonly string[]
  readonly schema: SchemaNode
}

/** The schema of all options, by the keywords that may occur. */
export const root: SchemaNode = schema

/** The schema of an object with options in it, whether or not `false` may stand for it; undefined for a leaf. */
export function objectSchema (node: SchemaNode): SchemaNode | undefined {
  if (node.properties !== undefined) return node
  return node.anyOf?.find(choice => choice.properties !== undefined)
}

/** Whether `false` may stand for this block. */
export function mayBeFalse (node: SchemaNode): boolean {
  return node.anyOf?.some(choice => choice.const === false) ?? false
}

/** The names of the types that a value may have. */
export function typeNames (node: SchemaNode): readonly string[] {
  if (node.type === undefined) return []
  return typeof node.type === 'string' ? [node.type] : node.type
}

/** The schema at a path; items of a list are reached by their index. */
export function schemaAt (path: readonly string[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = root
  for (const segment of path) {
    if (node === undefined) return undefined
    const object = objectSchema(node)
    node = object === undefined ? node.items : ownProperty(object, segment)
  }
  return node
}

/** All options that hold a value, in the order of the schema. A block without keys counts as one. */
export function leaves (node: SchemaNode = root, path: readonly string[] = []): Leaf[] {
  const entries = Object.entries(objectSchema(node)?.properties ?? {})
  if (entries.length === 0) return [{ path, schema: node }]
  return entries.flatMap(([name, child]) => leaves(child, [...path, name]))
}

function ownProperty (object: SchemaNode, name: string): SchemaNode | undefined {
  return Object.hasOwn(object.properties!, name) ? object.properties![name] : undefined
}
