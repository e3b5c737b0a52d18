import t from 'tap'
import { int, string } from '../../plugins/table/columns.ts'
import { hashKey } from '../../plugins/shared-memory/keys.ts'
import { SharedTable } from '../../plugins/table/memory.ts'
import { random } from '../shared-memory/random.ts'
import { MEBIBYTE, World } from '../shared-memory/world.ts'

const columns = { n: int(), s: string(64) }

const strange = ['', '\0', '\0\0', 'a\0', '\ud800', '\udc00', '\udc00\ud800', '\ud800\udc00', 'ÿ', 'Ā', 'ā', '\u0100\u0001', '\u0001\u0100', 'é', 'e\u0301', '__proto__', 'constructor', ' ', 'k'.repeat(64), 'k'.repeat(63), 'Ω'.repeat(32), 'ÿ'.repeat(64)]

t.test('any string is a key of its own', async t => {
  const table = new SharedTable(new World().worker(), 'test', { rows: strange.length, columns })
  strange.forEach((key, n) => table.set(key, { n }))
  t.equal(table.count, strange.length)
  strange.forEach((key, n) => t.equal(table.get(key, 'n'), n, JSON.stringify(key)))
  t.strictSame(new Map([...table].map(([key, { n }]) => [key, n])), new Map(strange.map((key, n) => [key, n])))
})

t.test('a key that is too long is refused and never merged with another', async t => {
  const table = new SharedTable(new World().worker(), 'test', { rows: 10, columns })
  const long = ['k'.repeat(65), 'Ω'.repeat(33), 'k'.repeat(64) + '\ud800', 'x'.repeat(2 ** 20), 'Ω'.repeat(2 ** 20)]
  table.set('k'.repeat(64), { n: 1 })
  for (const key of long) {
    t.throws(() => table.set(key, { n: 2 }), { code: 'FST_SWOOLE_KEY_INVALID', message: /at most 64 bytes/ })
    t.throws(() => table.incr(key, 'n'), { code: 'FST_SWOOLE_KEY_INVALID' })
    t.equal(table.get(key), undefined)
    t.equal(table.has(key), false)
    t.equal(table.delete(key), false)
  }
  for (const key of [1, null, undefined, {}, Symbol('x')]) {
    t.throws(() => table.set(key as string, { n: 2 }), { code: 'FST_SWOOLE_KEY_INVALID', message: /must be a string/ })
    t.equal(table.get(key as string), undefined)
    t.equal(table.has(key as string), false)
    t.equal(table.delete(key as string), false)
  }
  t.equal(table.count, 1)
  const wide = new SharedTable(new World().worker(), 'test', { rows: 2, columns, maxKeyBytes: 1024 })
  wide.set('k'.repeat(1024), { n: 1 })
  wide.set('k'.repeat(1023), { n: 2 })
  t.equal(wide.get('k'.repeat(1024), 'n'), 1)
})

const shapes: Array<[string, (n: number) => string]> = [
  ['numbered', (n) => `user_${n}`],
  ['numbered in the middle', (n) => `user:${n}:profile`],
  ['random', (n) => `${Math.imul(n + 1, 0x9e3779b1) >>> 0}-${n}`],
  ['of two bytes a character', (n) => `ключ${n}`]
]

for (const [shape, key] of shapes) {
  t.test(`every row that was asked for can be used, with keys that are ${shape}: Swoole's table is full at half of them`, async t => {
    const rows = 3000
    const table = new SharedTable(new World(2 * MEBIBYTE).worker(), 'test', { rows, columns: { n: int() } })
    for (let n = 0; n < rows; n++) table.set(key(n), { n })
    t.equal(table.count, rows)
    t.throws(() => table.set('one more', { n: 1 }), { code: 'FST_SWOOLE_TABLE_FULL', message: /3000 rows/ })
    t.throws(() => table.incr('one more', 'n'), { code: 'FST_SWOOLE_TABLE_FULL' })
    table.set(key(7), { n: 8 })
    t.equal(table.get(key(7), 'n'), 8, 'a row that is there can be written')
    table.set(key(7), { n: 7 })
    let wrong = 0
    for (let n = 0; n < rows; n++) if (table.get(key(n), 'n') !== n) wrong++
    t.equal(wrong, 0)
    t.equal(table.delete(key(5)), true)
    table.set('one more', { n: 1 })
    t.equal(table.count, rows)
  })
}

t.test('keys of one hash, made by somebody who knows the seed, are kept apart', async t => {
  const world = new World()
  const memory = world.worker()
  const bySeed = new Map<number, string>()
  const pairs: string[][] = []
  for (let n = 0; pairs.length < 3; n++) {
    const hash = hashKey(`key ${n}`, ...world.region.seed)
    const other = bySeed.get(hash)
    if (other !== undefined) pairs.push([other, `key ${n}`])
    bySeed.set(hash, `key ${n}`)
  }
  bySeed.clear()
  const table = new SharedTable(memory, 'test', { rows: 10, columns })
  const keys = pairs.flat()
  keys.forEach((key, n) => table.set(key, { n, s: key }))
  t.equal(table.count, keys.length)
  for (const [n, key] of keys.entries()) t.strictSame(table.get(key), { n, s: key })
  table.delete(keys[0]!)
  t.equal(table.get(keys[0]!), undefined)
  t.equal(table.get(keys[1]!, 'n'), 1)
})

t.test('the hash of a key with wide characters depends on all of their bits', async t => {
  const hashes = new Set(['\u0100\u0001', '\u0001\u0100', '\u0101\u0000', '\u0000\u0101', 'ĀĀ', 'āā'].map((key) => hashKey(key, 1, 2)))
  t.equal(hashes.size, 6)
})

for (const seed of [1, 2, 3]) {
  t.test(`any sequence of operations does what a Map would do (seed ${seed})`, async t => {
    const next = random(seed)
    const world = new World()
    const tables = [0, 1].map(() => new SharedTable(world.worker(), 'test', { rows: 60, columns }))
    const model = new Map<string, { n: number, s: string }>()
    const letters = ['a', 'b', 'ÿ', '\0', 'Ω', '\ud800', '\udc00']
    const anyKey = () => next(4) === 0 ? strange[next(strange.length)]! : Array.from({ length: next(4) }, () => letters[next(letters.length)]).join('')
    const isFull = (key: string) => !model.has(key) && model.size === 60
    const faults: string[] = []
    for (let step = 0; step < 20_000 && faults.length === 0; step++) {
      const table = tables[next(2)]!
      const key = anyKey()
      const said = (what: string) => faults.push(`step ${step}: ${what} of ${JSON.stringify(key)}`)
      const row = model.get(key)
      switch (next(7)) {
        case 0:
        case 1: {
          const s = ['', 'short', 'ü'.repeat(next(33)), 'x'.repeat(next(65)), '😀'.repeat(next(17))][next(5)]!
          const values = [{ n: step }, { s }, { n: step, s }][next(3)]!
          try {
            table.set(key, values)
            if (isFull(key)) said('set of a full table')
            model.set(key, { n: 0, s: '', ...row, ...values })
          } catch (error) {
            if ((error as { code: string }).code !== 'FST_SWOOLE_TABLE_FULL' || !isFull(key)) said(`set: ${error}`)
          }
          break
        }
        case 2: {
          if (isFull(key)) break
          const sum = (row?.n ?? 0) + 3
          if (table.incr(key, 'n', 3) !== sum) said('incr')
          model.set(key, { n: sum, s: row?.s ?? '' })
          break
        }
        case 3:
          if (table.delete(key) !== model.delete(key)) said('delete')
          break
        case 4:
          if (table.has(key) !== model.has(key)) said('has')
          break
        case 5:
          if (table.get(key, 's') !== row?.s) said('get of a column')
          break
        default:
          if (JSON.stringify(table.get(key)) !== JSON.stringify(row)) said('get')
      }
      if (table.count !== model.size) said('count')
      if (next(2000) === 0) {
        table.clear()
        model.clear()
      }
    }
    t.strictSame(faults, [])
    t.strictSame(new Map(tables[0]!), model)
  })
}
