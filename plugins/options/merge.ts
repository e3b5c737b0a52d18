import type { SwooleOptions } from './schema.ts'

/**
 * Options laid over each other: what a later layer says goes before what an earlier one says. Blocks are merged key by
 * key, lists are replaced, `undefined` says nothing. The layers stay as they are.
 */
export function mergeOptions (...layers: SwooleOptions[]): SwooleOptions {
  return layers.reduce<Record<string, unknown>>((below, above) => merge(below, above as Record<string, unknown>), {})
}

function merge (below: Record<string, unknown>, above: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...below }
  for (const [name, value] of Object.entries(above)) {
    if (value === undefined) continue
    merged[name] = isPlain(value) ? merge(isPlain(below[name]) ? below[name] : {}, value) : value
  }
  return merged
}

function isPlain (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
