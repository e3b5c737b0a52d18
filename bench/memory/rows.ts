/* The rows that are measured: in a Map as an application would have them, and in tables. */
import { int, string } from '../../plugins/table/columns.ts'
import { layoutOf } from '../../plugins/table/layout.ts'
import { SharedTable } from '../../plugins/table/memory.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { overKeys } from '../measure/loops.ts'
import type { Loop } from '../measure/loops.ts'

export interface Maps {
  rows: Map<string, { n: number, s: string }>
  numbers: Map<string, { n: number }>
}

export interface Tables {
  rows: SharedTable<typeof ROW_COLUMNS>
  numbers: SharedTable<typeof NUMBER_COLUMNS>
}

export const OPERATIONS = ['get a row', 'get a number', 'has', 'set a row', 'incr'] as const
export type Operation = typeof OPERATIONS[number]
export type MapOperation = 'get a row' | 'get a number'

/** The `Map.get` that an operation is held against. */
export const BASELINES: Record<Operation, MapOperation> = {
  'get a row': 'get a row',
  'get a number': 'get a number',
  has: 'get a number',
  'set a row': 'get a row',
  incr: 'get a number'
}

const ROW_COLUMNS = { n: int(), s: string(256) }
const NUMBER_COLUMNS = { n: int() }
const TEXT_CHARACTERS = 200

/** What is written: few enough to be in a cache, as what an application has just received. */
const WRITTEN = Array.from({ length: 64 }, (_, n) => text(n))

export const makeKeys = (count: number): string[] => Array.from({ length: count }, (_, n) => flat(`session:${n}`))

/** The same order for the same number of keys (Fisher and Yates, with a linear congruential generator). */
export function shuffled (keys: string[]): string[] {
  const order = [...keys]
  let state = 1
  for (let n = order.length - 1; n > 0; n--) {
    state = Math.imul(state, 1664525) + 1013904223 | 0
    const other = Math.floor((state >>> 0) / 2 ** 32 * (n + 1))
    ;[order[n], order[other]] = [order[other]!, order[n]!]
  }
  return order
}

export function makeMaps (keys: string[]): Maps {
  return {
    rows: new Map(keys.map((key, n) => [key, { n, s: text(n) }])),
    numbers: new Map(keys.map((key, n) => [key, { n }]))
  }
}

/** Opens tables that hold so many keys when they are filled to `fill` (0 to 1). */
export function openTables (memory: SharedMemory, keys: number, fill: number): Tables {
  const rows = capacity(keys, fill)
  return {
    rows: new SharedTable(memory, `rows ${rows}`, { rows, columns: ROW_COLUMNS }),
    numbers: new SharedTable(memory, `numbers ${rows}`, { rows, columns: NUMBER_COLUMNS })
  }
}

export function fillTables ({ rows, numbers }: Tables, { rows: from }: Maps): void {
  for (const [key, row] of from) {
    rows.set(key, row)
    numbers.set(key, { n: row.n })
  }
}

/** What a region needs for such tables, with what stands beside them. */
export function regionBytesFor (keys: number, fill: number): number {
  const rows = capacity(keys, fill)
  const bytes = [ROW_COLUMNS, NUMBER_COLUMNS].map((columns) => layoutOf('', { rows, columns }).bytes)
  return Math.ceil((bytes[0]! + bytes[1]!) * 1.08) + 4 * 1024 * 1024
}

export function mapLoop (operation: MapOperation, { rows, numbers }: Maps, keys: string[]): Loop {
  switch (operation) {
    case 'get a row': return overKeys(keys, 'row.n + row.s.length', { map: rows }, 'const row = map.get(key);')
    case 'get a number': return overKeys(keys, 'map.get(key).n', { map: numbers })
  }
}

export function tableLoop (operation: Operation, { rows, numbers }: Tables, keys: string[]): Loop {
  switch (operation) {
    case 'get a row': return overKeys(keys, 'row.n + row.s.length', { table: rows }, 'const row = table.get(key);')
    case 'get a number': return overKeys(keys, "table.get(key, 'n')", { table: numbers })
    case 'has': return overKeys(keys, '(table.has(key) ? 1 : 0)', { table: numbers })
    case 'set a row': return overKeys(keys, 'n', { table: rows, texts: WRITTEN }, `table.set(key, { n, s: texts[n % ${WRITTEN.length}] });`)
    case 'incr': return overKeys(keys, "table.incr(key, 'n')", { table: numbers })
  }
}

const capacity = (keys: number, fill: number) => Math.ceil(keys / fill)

export function text (n: number, characters = TEXT_CHARACTERS): string {
  return flat(`${n} `.padEnd(characters, 'the quick brown fox jumps over the lazy dog '))
}

/** V8 joins strings lazily; these are whole, as if they had come from a socket. */
function flat (value: string): string {
  return Buffer.from(value).toString('latin1')
}
