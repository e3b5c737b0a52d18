import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import { fillLmdb, lmdbLoop, openLmdb } from '../lmdb.ts'
import type { Lmdb } from '../lmdb.ts'
import { nanosecondsPerOperation } from '../../measure/loops.ts'
import type { Loop } from '../../measure/loops.ts'
import { fillTables, makeKeys, makeMaps, openTables, tableLoop } from '../rows.ts'
import type { Tables } from '../rows.ts'

export const SHARED_STORES = ['table', 'lmdb'] as const
export const TOGETHER_OPERATIONS = ['get a row', 'get a number', 'incr, keys of its own', 'incr, one key'] as const
export type TogetherOperation = `${typeof SHARED_STORES[number]}, ${typeof TOGETHER_OPERATIONS[number]}`

export interface TogetherOptions {
  keys: number
  fill: number
  lmdbFolder: string
  lmdbKeys: number
}

/** The sum of all numbers of a store, and how often this worker has added 1 to one of them. */
export type Sums = Record<typeof SHARED_STORES[number], { sum: number, added: number }>

export interface PreparedOperations {
  /** Nanoseconds per operation. */
  measure (operation: TogetherOperation, passes: number): Promise<number>
  sums (): Sums
}

/** What one of two workers does on tables and an LMDB that both have; worker 0 comes first and fills them. */
export function prepareTogether (memory: SharedMemory, id: number, { keys: count, fill, lmdbFolder, lmdbKeys }: TogetherOptions): PreparedOperations {
  const keys = makeKeys(count)
  const tables = openTables(memory, count, fill)
  const lmdb = openLmdb(lmdbFolder)
  if (id === 0) {
    fillTables(tables, makeMaps(keys))
    fillLmdb(lmdb, makeMaps(keys.slice(0, lmdbKeys)))
  }
  const loops = { ...tableLoops(tables, keys, id), ...lmdbLoops(lmdb, keys.slice(0, lmdbKeys), id) }
  const added = { table: 0, lmdb: 0 }
  return {
    measure (operation, passes) {
      const loop = loops[operation]
      if (operation.includes('incr')) added[operation.startsWith('table') ? 'table' : 'lmdb'] += loop.operations * passes
      return nanosecondsPerOperation({ loop, passes })
    },
    sums () {
      lmdb.numbers.resetReadTxn()
      return {
        table: { sum: [...tables.numbers].reduce((sum, [, { n }]) => sum + n, 0), added: added.table },
        lmdb: { sum: [...lmdb.numbers.getRange()].reduce((sum, { value }) => sum + value, 0), added: added.lmdb }
      }
    }
  }
}

const ownOf = (keys: string[], id: number) => keys.filter((_, n) => n % 2 === id)
const oneOf = (keys: string[]) => keys.map(() => keys[0]!)

function tableLoops (tables: Tables, keys: string[], id: number): Record<Extract<TogetherOperation, `table${string}`>, Loop> {
  return {
    'table, get a row': tableLoop('get a row', tables, keys),
    'table, get a number': tableLoop('get a number', tables, keys),
    'table, incr, keys of its own': tableLoop('incr', tables, ownOf(keys, id)),
    'table, incr, one key': tableLoop('incr', tables, oneOf(keys))
  }
}

function lmdbLoops (lmdb: Lmdb, keys: string[], id: number): Record<Extract<TogetherOperation, `lmdb${string}`>, Loop> {
  return {
    'lmdb, get a row': lmdbLoop('get a row', lmdb, keys, ''),
    'lmdb, get a number': lmdbLoop('get a number', lmdb, keys, ''),
    'lmdb, incr, keys of its own': lmdbLoop('incr', lmdb, ownOf(keys, id), ''),
    'lmdb, incr, one key': lmdbLoop('incr', lmdb, oneOf(keys), '')
  }
}
