import { makeRegion } from '../../measure/region.ts'
import { measureInTurn } from '../../measure/loops.ts'
import type { Rounds, Samples, Variant } from '../../measure/loops.ts'
import { OPERATIONS, fillTables, makeKeys, makeMaps, mapLoop, openTables, regionBytesFor, shuffled, tableLoop } from '../rows.ts'
import type { Operation } from '../rows.ts'

export const ORDERS = ['insertion', 'shuffled'] as const
export type Order = typeof ORDERS[number]

export interface Configuration {
  keys: number
  /** How full the tables are, 0 to 1. */
  fill: number
}

export interface TablesOptions extends Rounds {
  folder: string
  configurations: Configuration[]
  /** Of one sample, at least; all keys have their turn in any case. */
  operations: number
}

/** The name of a variant among the samples. */
export function variantName (keys: number, fill: number | 'Map', order: Order, operation: Operation): string {
  return `${keys} keys, ${fill === 'Map' ? fill : `${fill * 100} % full`}, ${order}, ${operation}`
}

/** Every operation on every table and on the Maps of the same keys, in both orders, in the same rounds. */
export function measureTables ({ folder, configurations, operations, ...rounds }: TablesOptions): Promise<Samples> {
  const bytes = configurations.reduce((sum, { keys, fill }) => sum + regionBytesFor(keys, fill), 0)
  const { launcher: { memory } } = makeRegion(folder, bytes)
  const variants: Variant[] = []
  for (const count of new Set(configurations.map(({ keys }) => keys))) {
    const keys = makeKeys(count)
    const maps = makeMaps(keys)
    const orders = { insertion: keys, shuffled: shuffled(keys) }
    const passes = Math.ceil(operations / count)
    const add = (fill: number | 'Map', operation: Operation, loopOf: (keys: string[]) => Variant['loop']) => {
      for (const order of ORDERS) variants.push({ name: variantName(count, fill, order, operation), loop: loopOf(orders[order]), passes })
    }
    for (const operation of ['get a row', 'get a number'] as const) add('Map', operation, (keys) => mapLoop(operation, maps, keys))
    for (const { keys, fill } of configurations) {
      if (keys !== count) continue
      const tables = openTables(memory, count, fill)
      fillTables(tables, maps)
      for (const operation of OPERATIONS) add(fill, operation, (keys) => tableLoop(operation, tables, keys))
    }
  }
  return measureInTurn(variants, rounds)
}
