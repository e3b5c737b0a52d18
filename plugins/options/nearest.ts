import { leaves, objectSchema, schemaAt } from './leaves.ts'

/** The path of the known option that an unknown one most likely means: a neighbour spelled alike, or else one of that name elsewhere. */
export function nearestOption (path: readonly string[]): string[] | undefined {
  const parent = path.slice(0, -1)
  const name = path.at(-1)!

  const neighbour = nearestName(name, Object.keys(objectSchema(schemaAt(parent) ?? {})?.properties ?? {}))
  if (neighbour !== undefined) return [...parent, neighbour]

  const elsewhere = leaves().find(leaf => plain(leaf.path.at(-1)!) === plain(name) || plain(leaf.path.join('')) === plain(name))
  return elsewhere && [...elsewhere.path]
}

/** The name most like the given one, undefined when none is: a third of its letters may differ, or one begins with the other. */
export function nearestName (name: string, names: readonly string[]): string | undefined {
  let nearest: string | undefined
  let least = Math.max(1, Math.floor(name.length / 3)) + 1
  for (const candidate of names) {
    const distance = editDistance(plain(name), plain(candidate))
    if (distance < least) {
      least = distance
      nearest = candidate
    }
  }
  return nearest ?? names.find(candidate => begins(candidate, name) || begins(name, candidate))
}

/** Whether one name is the beginning of the other: `window` of `windowSeconds`. */
function begins (short: string, long: string): boolean {
  return short.length > 3 && plain(long).startsWith(plain(short))
}

function plain (name: string): string {
  return name.replaceAll(/[-_]/g, '').toLowerCase()
}

/** Letters to insert, delete or replace to make one word of the other (Levenshtein 1966), row by row. */
function editDistance (from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const current = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = previous[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      current.push(Math.min(replaced, previous[j]! + 1, current[j - 1]! + 1))
    }
    previous = current
  }
  return previous[to.length]!
}
