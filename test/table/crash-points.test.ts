import t from 'tap'
import { int, long, string } from '../../plugins/table/columns.ts'
import { hashKey } from '../../plugins/shared-memory/keys.ts'
import { SharedTable } from '../../plugins/table/memory.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { diesAtWrite, everyPlace } from '../shared-memory/crashing.ts'
import { World } from '../shared-memory/world.ts'

/*
 * A worker dies at each of its stores in turn, plain ones as well. After that every row is as it was or as the write
 * made it, and the table works: all rows can be found, the count is right, and as many can be inserted as ever.
 */
const ROWS = 6
const columns = { n: int(), l: long(), s: string(40) }
type Table = SharedTable<typeof columns>
type Rows = Map<string, { n: number, l: bigint, s: string }>

const openTable = (memory: SharedMemory, name = 'test'): Table => new SharedTable(memory, name, { rows: ROWS, columns })
const row = (n: number) => ({ l: BigInt(n) << 40n, n, s: 's'.repeat(n) })

/** Keys of one chain. */
function neighbours (world: World, count: number): string[] {
  const keys: string[] = []
  for (let n = 0; keys.length < count; n++) {
    if ((hashKey(`k${n}`, ...world.region.seed) & 15) === 3) keys.push(`k${n}`)
  }
  return keys
}

interface Scenario {
  name: string
  prepare? (table: Table, keys: string[]): void
  act (table: Table, keys: string[]): void
}

const fill = (table: Table, keys: string[]) => keys.forEach((key, n) => table.set(key, row(n + 1)))

const scenarios: Scenario[] = [
  { name: 'inserts into an empty table', act: (table, [a]) => table.set(a!, row(9)) },
  { name: 'inserts into a chain', prepare: (table, [a, b]) => fill(table, [a!, b!]), act: (table, [, , c]) => table.set(c!, row(9)) },
  {
    name: 'inserts into a row that was used before',
    prepare (table, [a, b, c]) {
      fill(table, [a!, b!, c!])
      table.delete(b!)
    },
    act: (table, [, b]) => table.set(b!, row(9))
  },
  { name: 'writes all columns', prepare: fill, act: (table, [a]) => table.set(a!, row(9)) },
  {
    name: 'writes one column after another was written',
    prepare (table, keys) {
      fill(table, keys)
      table.set(keys[0]!, row(20))
      table.set(keys[0]!, { s: 'the other copy does not have this' })
    },
    act: (table, [a]) => table.set(a!, { l: 7n })
  },
  { name: 'adds', prepare: fill, act: (table, [a]) => table.incr(a!, 'n', 5) },
  { name: 'adds to a row that is not there', act: (table, [a]) => table.incr(a!, 'l', 5n) },
  { name: 'deletes the first of a chain', prepare: fill, act: (table, keys) => table.delete(keys.at(-1)!) },
  { name: 'deletes the middle of a chain', prepare: fill, act: (table, [, b]) => table.delete(b!) },
  { name: 'deletes the last of a chain', prepare: fill, act: (table, [a]) => table.delete(a!) },
  { name: 'clears', prepare: fill, act: (table) => table.clear() },
  { name: 'is refused a new row', prepare: (table, [a]) => fill(table, [a!]), act: (table, [, b]) => refused(() => table.set(b!, { n: 1, s: 'ä'.repeat(30) })) },
  { name: 'is refused a write', prepare: fill, act: (table, [a]) => refused(() => table.set(a!, { n: 1, s: 'ä'.repeat(30) })) }
]

function refused (act: () => void): void {
  try {
    act()
  } catch (error) {
    if ((error as { code?: string }).code !== 'FST_SWOOLE_VALUE_TOO_LONG') throw error
  }
}

function start (scenario: Scenario) {
  const world = new World().trace()
  const [worker, other] = [world.worker(), world.worker()]
  const keys = neighbours(world, 4)
  const table = openTable(worker)
  const others = openTable(other)
  scenario.prepare?.(table, keys)
  // Each has hints of all keys.
  for (let n = 0; n < 10; n++) for (const key of keys) [table, others].forEach((one) => one.get(key))
  // The same to its end: the hashes of another region would be others.
  const model = openTable(worker, 'model')
  scenario.prepare?.(model, keys)
  scenario.act(model, keys)
  return { worker, other, world, keys, table, others, before: new Map(table) as Rows, after: new Map(model) as Rows }
}

const same = (one: unknown, other: unknown) => JSON.stringify(one, big) === JSON.stringify(other, big)
const big = (_: string, value: unknown) => typeof value === 'bigint' ? `${value}n` : value

const count = (table: Table): number => table.count

/** What is wrong, for somebody who comes after the death. */
function faultOf (table: Table, keys: string[], before: Rows, after: Rows): string | undefined {
  const rows = new Map(table) as Rows
  for (const key of keys) {
    const found = table.get(key)
    if (!same(found, rows.get(key))) return `get and entries differ for ${key}`
    if (table.has(key) !== rows.has(key)) return `has and entries differ for ${key}`
    if (!same(found, before.get(key)) && !same(found, after.get(key))) return `${key} is neither old nor new: ${JSON.stringify(found, big)}`
  }
  if (rows.size > keys.length) return 'there are rows that nobody inserted'
  if (count(table) !== rows.size) return `the count is ${count(table)}, the rows are ${rows.size}`
  for (const key of rows.keys()) {
    const found = table.get(key)
    table.set(key, {})
    for (const column of ['l', 'n'] as const) table.incr(key, column, 0)
    if (!same(table.get(key), found)) return `a write of other columns has changed ${key}`
  }
  for (const key of keys) {
    table.set(key, row(30))
    table.incr(key, 'n')
    if (!same(table.get(key), { ...row(30), n: 31 })) return `${key} cannot be written`
  }
  for (let n = keys.length; n < ROWS; n++) table.set(`new ${n}`, row(n))
  if (count(table) !== ROWS || [...table].length !== ROWS) return 'not all rows can be used'
  try {
    table.set('one more', row(1))
    return 'there are too many rows'
  } catch {}
  for (const key of [...table].map(([key]) => key)) if (!table.delete(key)) return `${key} cannot be deleted`
  if (count(table) !== 0 || [...table].length !== 0) return 'rows are left'
  return undefined
}

for (const scenario of scenarios) {
  t.test(`a worker that dies while it ${scenario.name} leaves the old row or the new one`, async t => {
    const faults: string[] = []
    const places = everyPlace((n) => {
      const { worker, other, keys, table, others, before, after } = start(scenario)
      const isDead = diesAtWrite(n, () => scenario.act(table, keys))
      if (isDead) other.recover(worker.slot)
      const fault = faultOf(others, keys, before, after)
      if (fault !== undefined) faults.push(`store ${n}: ${fault}`)
      return isDead
    })
    t.strictSame(faults, [])
    t.ok(places > 3)
  })

  t.test(`a worker that dies while it mends what one left that died while it ${scenario.name}`, async t => {
    const faults: string[] = []
    everyPlace((n) => {
      let isDead = false
      everyPlace((m) => {
        const { world, worker, other, keys, table, others, before, after } = start(scenario)
        isDead = diesAtWrite(n, () => scenario.act(table, keys))
        if (!isDead) return false
        other.recover(worker.slot)
        const third = world.worker()
        const last = openTable(third)
        const isDeadToo = diesAtWrite(m, () => {
          for (const key of keys) if (others.has(key)) others.incr(key, 'n', 0)
          others.delete('no such key')
        })
        if (isDeadToo) third.recover(other.slot)
        const fault = faultOf(last, keys, before, after)
        if (fault !== undefined) faults.push(`store ${n}, then ${m}: ${fault}`)
        return isDeadToo
      })
      return isDead
    })
    t.strictSame(faults, [])
  })
}
