/* Tables of one worker beside a Map of the same rows: how full they are, how many keys, in which order. */
import { formatSpread, printTable } from '../../measure/report.ts'
import type { Target } from '../../measure/report.ts'
import { ratio, spread } from '../../measure/rounds.ts'
import type { Spread } from '../../measure/rounds.ts'
import { ORDERS, variantName } from '../jobs/tables.ts'
import type { Order, TablesOptions } from '../jobs/tables.ts'
import { joined } from '../../measure/loops.ts'
import type { Samples } from '../../measure/loops.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { BASELINES, OPERATIONS } from '../rows.ts'
import type { Operation } from '../rows.ts'
import { startWorker } from '../workers.ts'

const FEW = 10_000
const MANY = 1_000_000

// A million rows of which 10 % are used would be 6 GB of memory; there the question is asked of ten thousand only.
const FILLS = {
  processes: 4,
  configurations: [{ keys: FEW, fill: 0.1 }, { keys: FEW, fill: 0.5 }, { keys: FEW, fill: 0.95 }],
  operations: 200_000,
  warmUps: 4,
  rounds: 6
}
const SIZES = {
  processes: 2,
  configurations: [{ keys: FEW, fill: 0.5 }, { keys: MANY, fill: 0.5 }, { keys: MANY, fill: 0.95 }],
  operations: 200_000,
  warmUps: 1,
  rounds: 3
}

const OF_MAP_AT_MOST: Record<Operation, number> = { 'get a row': 10, 'get a number': 5, has: 5, 'set a row': 10, incr: 5 }
const GROWTH_AT_MOST = 2

export async function compareTables (folders: Folders): Promise<Part> {
  const fills = await measure(folders, FILLS)
  const sizes = await measure(folders, SIZES)
  for (const order of ORDERS) printFills(fills, order)
  for (const order of ORDERS) printSizes(sizes, order)
  return {
    settings: { fills: FILLS, sizes: SIZES },
    targets: [...mapTargets(fills), fullTarget(fills, FEW), fullTarget(sizes, MANY), ...growthTargets(sizes)],
    results: { fills: summarised(fills), sizes: summarised(sizes) }
  }
}

/** Several processes: what V8 decides to compile, and how, differs from one to the next. */
async function measure ({ folder }: Folders, { processes, ...options }: Omit<TablesOptions, 'folder'> & { processes: number }): Promise<Samples> {
  const all: Samples[] = []
  for (let n = 0; n < processes; n++) {
    await using worker = startWorker()
    all.push(await worker.call('tables', { folder, ...options }))
  }
  return joined(all)
}

/** A figure of `operation`; of a Map it is that of the `Map.get` which the operation is held against. */
function figureOf (samples: Samples, keys: number, fill: number | 'Map', order: Order, operation: Operation): number[] {
  return samples[variantName(keys, fill, order, fill === 'Map' ? BASELINES[operation] : operation)]!
}

function printFills (samples: Samples, order: Order): void {
  const rows = OPERATIONS.map((operation) => {
    const [map, tenth, half, full] = (['Map', 0.1, 0.5, 0.95] as const).map((fill) => figureOf(samples, FEW, fill, order, operation))
    return [operation, ...[spread(map!), spread(tenth!), spread(half!), spread(full!), ratio(half!, map!), ratio(full!, half!)].map(formatSpread)]
  })
  printTable(`ns per operation, one worker, ${FEW} keys, ${ORDER_TEXTS[order]}: ${FILLS.processes} processes × ${FILLS.rounds} rounds`,
    ['', 'Map.get', 'table 10 % full', '50 % full', '95 % full', '50 % / Map.get', '95 % / 50 %'], rows)
}

function printSizes (samples: Samples, order: Order): void {
  const rows = OPERATIONS.map((operation) => {
    const map = figureOf(samples, MANY, 'Map', order, operation)
    const table = figureOf(samples, MANY, 0.5, order, operation)
    const { ours, ofMap } = growth(samples, order, operation)
    const full = figureOf(samples, MANY, 0.95, order, operation)
    return [operation, ...[spread(map), spread(table), spread(full), ratio(table, map), ours, ofMap].map(formatSpread)]
  })
  printTable(`ns per operation, one worker, ${MANY} keys, ${ORDER_TEXTS[order]}: ${SIZES.processes} processes × ${SIZES.rounds} rounds`,
    ['', 'Map.get', 'table 50 % full', '95 % full', '50 % / Map.get', `50 %: / ${FEW} keys`, `Map: / ${FEW} keys`], rows)
}

const ORDER_TEXTS: Record<Order, string> = { insertion: 'in the order of insertion', shuffled: 'shuffled' }

/** What an operation takes with many keys, divided by what it takes with few. */
function growth (samples: Samples, order: Order, operation: Operation): { ours: Spread, ofMap: Spread } {
  const of = (fill: number | 'Map') => ratio(figureOf(samples, MANY, fill, order, operation), figureOf(samples, FEW, fill, order, operation))
  return { ours: of(0.5), ofMap: of('Map') }
}

function mapTargets (samples: Samples): Target[] {
  return OPERATIONS.map((operation) => ({
    what: `${operation} / Map.get`,
    measured: ratio(figureOf(samples, FEW, 0.5, 'insertion', operation), figureOf(samples, FEW, 'Map', 'insertion', operation)).median,
    atMost: OF_MAP_AT_MOST[operation]
  }))
}

function fullTarget (samples: Samples, keys: number): Target {
  const medians = ORDERS.flatMap((order) => OPERATIONS.map((operation) =>
    ratio(figureOf(samples, keys, 0.95, order, operation), figureOf(samples, keys, 0.5, order, operation)).median))
  return { what: `95 % full / 50 % full, ${keys} keys, the worst of all operations`, measured: Math.max(...medians), atMost: GROWTH_AT_MOST }
}

function growthTargets (samples: Samples): Target[] {
  return ORDERS.flatMap((order) => (['get a row', 'get a number'] as const).map((operation) => {
    const { ours, ofMap } = growth(samples, order, operation)
    return { what: `${operation}, ${ORDER_TEXTS[order]}: ${MANY} keys / ${FEW} keys (a Map: ${ofMap.median.toFixed(2)})`, measured: ours.median, atMost: GROWTH_AT_MOST }
  }))
}
