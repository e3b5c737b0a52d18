import t from 'tap'
import { bytes, float, int, long, string } from '../../plugins/table/columns.ts'
import { SharedTable } from '../../plugins/table/memory.ts'
import { random } from '../shared-memory/random.ts'
import { World } from '../shared-memory/world.ts'

const allKinds = { n: int(), l: long(), f: float(), s: string(20), b: bytes(8) }
const open = (rows = 10) => new SharedTable(new World().worker(), 'test', { rows, columns: allKinds })
const zero = { n: 0, l: 0n, f: 0, s: '', b: new Uint8Array() }

t.test('a row comes back as it was written, whatever its columns', async t => {
  const table = open()
  const row = { n: -2147483648, l: 2n ** 63n - 1n, f: 1e-300, s: 'größer 😀', b: Uint8Array.of(0, 255, 7) }
  table.set('a', row)
  t.strictSame(table.get('a'), row)
  for (const [name, value] of Object.entries(row)) t.strictSame(table.get('a', name as keyof typeof row), value)
  t.equal(table.get('b'), undefined)
  t.equal(table.get('b', 'n'), undefined)
})

t.test('columns that a write does not name keep their value, and are zero in a new row', async t => {
  const table = open()
  table.set('a', { n: 1 })
  t.strictSame(table.get('a'), { ...zero, n: 1 })
  table.set('a', { s: 'x', l: 5n })
  table.set('a', { s: 'yy' })
  table.set('a', { f: 0.5, s: undefined })
  table.set('a', { b: Uint8Array.of(1) })
  table.set('a', {})
  t.strictSame(table.get('a'), { n: 1, l: 5n, f: 0.5, s: 'yy', b: Uint8Array.of(1) })
})

t.test('bytes that were read are a copy', async t => {
  const table = open()
  table.set('a', { b: Uint8Array.of(1) })
  const read = table.get('a', 'b')!
  table.set('a', { b: Uint8Array.of(2) })
  t.strictSame(read, Uint8Array.of(1))
})

t.test('incr and decr add in one step, make the row, and return the sum', async t => {
  const table = open()
  t.equal(table.incr('a', 'n'), 1)
  t.equal(table.incr('a', 'n', 41), 42)
  t.equal(table.decr('a', 'n', 2), 40)
  t.equal(table.decr('b', 'n', 0), 0)
  t.equal(table.incr('a', 'f', 0.5), 0.5)
  t.equal(table.decr('a', 'l'), -1n)
  t.equal(table.incr('a', 'l', 2n ** 62n), 2n ** 62n - 1n)
  t.strictSame(table.get('a'), { ...zero, n: 40, f: 0.5, l: 2n ** 62n - 1n })
})

t.test('a sum that its column cannot hold is refused and changes nothing: it does not wrap, as Swoole\'s does', async t => {
  const table = open()
  table.set('a', { n: 2147483647, l: -(2n ** 63n) })
  t.throws(() => table.incr('a', 'n'), { code: 'FST_SWOOLE_VALUE_INVALID', message: /2147483648/ })
  t.throws(() => table.decr('a', 'l'), { code: 'FST_SWOOLE_VALUE_INVALID' })
  t.throws(() => table.decr('new', 'n', -2147483648), { code: 'FST_SWOOLE_VALUE_INVALID' })
  t.throws(() => table.incr('a', 's' as 'n'), { code: 'FST_SWOOLE_VALUE_INVALID', message: /holds string/ })
  t.throws(() => table.incr('a', 'n', 0.5), { code: 'FST_SWOOLE_VALUE_INVALID' })
  t.strictSame(table.get('a'), { ...zero, n: 2147483647, l: -(2n ** 63n) })
  t.equal(table.has('new'), false)
  t.equal(table.incr('a', 'n', -1), 2147483646, 'the row is not locked')
})

t.test('has, delete, count and clear', async t => {
  const table = open()
  t.equal(table.delete('a'), false)
  for (const key of ['a', 'b', 'c']) table.set(key, { n: 1 })
  t.equal(table.count, 3)
  t.equal(table.has('b'), true)
  t.equal(table.delete('b'), true)
  t.equal(table.delete('b'), false)
  t.equal(table.has('b'), false)
  t.equal(table.get('b'), undefined)
  t.equal(table.count, 2)
  table.clear()
  t.equal(table.count, 0)
  t.strictSame([...table], [])
  t.match(table.stats(), { rows: 10, count: 0, inserts: 3, deletes: 3 })
  t.ok(table.stats().bytes > 10 * 64)
})

t.test('a row that is deleted and inserted again has nothing of the old one', async t => {
  const table = open(1)
  table.set('a', { n: 1, s: 'old', b: Uint8Array.of(1, 2) })
  table.set('a', { n: 2 })
  table.delete('a')
  table.set('b', { l: 1n })
  t.strictSame(table.get('b'), { ...zero, l: 1n })
  table.set('b', { n: 3 })
  t.strictSame(table.get('b'), { ...zero, l: 1n, n: 3 })
})

t.test('iteration goes on beside deletions and insertions, and meets each row that stays exactly once', async t => {
  const table = open(100)
  for (let n = 0; n < 50; n++) table.set(`stays ${n}`, { n })
  for (let n = 0; n < 50; n++) table.set(`goes ${n}`, { n })
  const met: string[] = []
  let step = 0
  for (const [key, row] of table.entries()) {
    met.push(key)
    t.equal(key.endsWith(` ${row.n}`), true)
    if (!table.delete(`goes ${step}`)) continue
    table.set(`comes ${step}`, { n: step })
    step++
  }
  t.strictSame(met.filter((key) => key.startsWith('stays')).sort(), Array.from({ length: 50 }, (_, n) => `stays ${n}`).sort())
  t.equal(table.count, 100)
})

t.test('the caller\'s row is read once, before anything is locked', async t => {
  const table = open()
  table.set('a', { n: 1 })
  let reads = 0
  table.set('a', {
    s: 'outer',
    get n () {
      reads++
      table.set('a', { s: 'inner', n: 7 })
      return table.get('a', 'n')! + 1
    }
  })
  t.equal(reads, 1)
  t.match(table.get('a'), { n: 8, s: 'outer' })
})

t.test('a value that a column cannot have is refused with what, which and why; the row stays as it was', async t => {
  const table = open()
  table.set('a', { n: 1, s: 'as it was' })
  const refused: Array<[unknown, string, RegExp]> = [
    [{ n: 1.5 }, 'FST_SWOOLE_VALUE_INVALID', /"n" of table "test" is 1.5, but must be an integer from -2147483648/],
    [{ n: 2 ** 31 }, 'FST_SWOOLE_VALUE_INVALID', /2147483648/],
    [{ n: '1' }, 'FST_SWOOLE_VALUE_INVALID', /is "1"/],
    [{ n: null }, 'FST_SWOOLE_VALUE_INVALID', /is null/],
    [{ n: NaN }, 'FST_SWOOLE_VALUE_INVALID', /NaN/],
    [{ l: 1 }, 'FST_SWOOLE_VALUE_INVALID', /a bigint/],
    [{ l: 2n ** 63n }, 'FST_SWOOLE_VALUE_INVALID', /9223372036854775808n/],
    [{ f: 1n }, 'FST_SWOOLE_VALUE_INVALID', /a number/],
    [{ s: 5 }, 'FST_SWOOLE_VALUE_INVALID', /a string/],
    [{ s: 'x'.repeat(21) }, 'FST_SWOOLE_VALUE_TOO_LONG', /has 21 bytes, the most it can have is 20/],
    [{ s: 'ä'.repeat(11) }, 'FST_SWOOLE_VALUE_TOO_LONG', /has 22 bytes/],
    [{ s: 'half \ud800' }, 'FST_SWOOLE_VALUE_INVALID', /well-formed/],
    [{ b: new Uint8Array(9) }, 'FST_SWOOLE_VALUE_TOO_LONG', /has 9 bytes/],
    [{ b: [1] }, 'FST_SWOOLE_VALUE_INVALID', /a Uint8Array/],
    [{ n: 2, other: 3 }, 'FST_SWOOLE_VALUE_INVALID', /"other", but must be one of b, f, l, n, s/],
    [{ other: undefined }, 'FST_SWOOLE_VALUE_INVALID', /"other"/],
    [{ other: 3, n: 2 }, 'FST_SWOOLE_VALUE_INVALID', /"other", but must be one of/],
    [{ b: detached() }, 'FST_SWOOLE_VALUE_INVALID', /a Uint8Array/],
    ['row', 'FST_SWOOLE_VALUE_INVALID', /an object/],
    [null, 'FST_SWOOLE_VALUE_INVALID', /an object/]
  ]
  for (const key of ['a', 'new']) {
    for (const [row, code, message] of refused) t.throws(() => table.set(key, row as object), { code, message }, `${key}: ${message}`)
  }
  t.strictSame(table.get('a'), { ...zero, n: 1, s: 'as it was' })
  t.equal(table.has('new'), false)
  t.equal(table.count, 1)
  t.throws(() => table.get('a', 'other' as 'n'), { code: 'FST_SWOOLE_VALUE_INVALID' })
  table.set('a', { s: 'ä'.repeat(10) })
  t.equal(table.get('a', 's'), 'ä'.repeat(10))
})

function detached (): Uint8Array {
  const bytes = new Uint8Array(4)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

t.test('a string comes back as it is or is refused, however near to the limit its bytes come', async t => {
  const next = random(5)
  const letters = ['a', 'b', 'é', '€', '😀', '\ud800']
  const faults: string[] = []
  for (const maxBytes of [1, 2, 3, 4, 5, 8, 20]) {
    const table = new SharedTable(new World().worker(), 'test', { rows: 1, columns: { s: string(maxBytes) } })
    for (let n = 0; n < 3000; n++) {
      const text = Array.from({ length: next(maxBytes + 2) }, () => letters[next(3) === 0 ? next(6) : 0]).join('')
      const fits = text.isWellFormed() && Buffer.byteLength(text) <= maxBytes
      try {
        table.set('a', { s: text })
        if (!fits || table.get('a', 's') !== text) faults.push(`${JSON.stringify(text)} in ${maxBytes} bytes: ${table.get('a', 's')}`)
      } catch (error) {
        if (fits) faults.push(`${JSON.stringify(text)} in ${maxBytes} bytes: ${error}`)
      }
    }
  }
  t.strictSame(faults.slice(0, 5), [])
})

t.test('an exception inside a write, such as a full stack, leaves the table in order', async t => {
  const table = open()
  table.set('a', { n: 1 })
  let failures = 0
  const dive = (depth: number): void => {
    try {
      dive(depth + 1)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    }
    try {
      table.set('a', { s: 'text' })
      table.set(`b${depth % 3}`, { n: depth })
      table.delete(`b${depth % 3}`)
    } catch {
      failures++
    }
  }
  for (let n = 0; n < 3; n++) dive(0)
  t.ok(failures > 0)
  table.set('a', { s: 'x' })
  t.equal(table.get('a', 's'), 'x')
  table.clear()
  for (let n = 0; n < 10; n++) table.set(`new ${n}`, { n })
  t.equal(table.count, 10)
})

t.test('a definition that cannot be is refused', async t => {
  const memory = new World().worker()
  const refused: Array<[unknown, RegExp]> = [
    [undefined, /rows is undefined/],
    [{ rows: 0, columns: { n: int() } }, /rows is 0/],
    [{ rows: 1.5, columns: { n: int() } }, /rows is 1.5/],
    [{ rows: 1, columns: {} }, /no columns/],
    [{ rows: 1 }, /no columns/],
    [{ rows: 1, columns: { n: 'int' } }, /"n" is "int"/],
    [{ rows: 1, columns: { s: string(0) } }, /maxBytes of the column "s" is 0/],
    [{ rows: 1, columns: { s: string(2 ** 20 + 1) } }, /1048577/],
    [{ rows: 1, columns: { s: (string as () => unknown)() } }, /maxBytes of the column "s"/],
    [{ rows: 1, columns: { ['__proto__']: int() } }, /__proto__/],
    [{ rows: 1, columns: { constructor: int() } }, /"constructor"/],
    [{ rows: 1, columns: { n: int() }, maxKeyBytes: 1025 }, /maxKeyBytes is 1025/],
    [{ rows: 1, columns: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`c${n}`, int()])) }, /33 columns/]
  ]
  for (const [definition, message] of refused) {
    t.throws(() => new SharedTable(memory, 'test', definition as never), { code: 'FST_SWOOLE_TABLE_DEFINITION', message })
  }
  t.throws(() => new SharedTable(memory, 'test', { rows: 1, columns: { n: int() }, key: 1 } as never), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /"key", which is none/ })
  t.throws(() => new SharedTable(memory, 'test', { rows: 1, columns: { n: int } } as never), { message: /the function int, not called/ })
  t.throws(() => new SharedTable(memory, 'test', { rows: 2 ** 20, columns: { n: int() } }), { code: 'FST_SWOOLE_MEMORY_FULL' })
  t.throws(() => new SharedTable(memory, '', { rows: 1, columns: { n: int() } }), { code: 'FST_SWOOLE_NAME_INVALID' })
})

t.test('32 columns are all kept apart', async t => {
  const columns = Object.fromEntries(Array.from({ length: 32 }, (_, n) => [`c${n}`, int()]))
  const table = new SharedTable(new World().worker(), 'test', { rows: 2, columns })
  const model: Record<string, number> = Object.fromEntries(Object.keys(columns).map((name) => [name, 0]))
  table.set('a', {})
  for (let round = 0; round < 100; round++) {
    const name = `c${round * 7 % 32}`
    model[name] = round
    if (round % 3 === 0) table.incr('a', name, round - table.get('a', name)!)
    else table.set('a', { [name]: round })
    t.strictSame(table.get('a'), { ...model })
  }
})

t.test('a name is one table for all workers; another definition is refused, another order of columns is none', async t => {
  const world = new World()
  const [one, other] = [world.worker(), world.worker()]
  const first = new SharedTable(one, 'test', { rows: 5, columns: { a: int(), b: string(5) } })
  const second = new SharedTable(other, 'test', { rows: 5, columns: { b: string(5), a: int() } })
  first.set('x', { a: 1, b: 'one' })
  t.strictSame(second.get('x'), { a: 1, b: 'one' })
  second.incr('x', 'a')
  t.equal(first.get('x', 'a'), 2)
  for (const definition of [{ rows: 6, columns: { a: int(), b: string(5) } }, { rows: 5, columns: { a: int(), b: string(6) } }, { rows: 5, columns: { a: int() } }]) {
    t.throws(() => new SharedTable(other, 'test', definition as never), { code: 'FST_SWOOLE_SCHEMA_MISMATCH' })
  }
})

t.test('what one worker knows of a row does not mislead it when others delete and insert', async t => {
  const world = new World()
  const [mine, theirs] = [0, 1].map(() => new SharedTable(world.worker(), 'test', { rows: 2, columns: { n: int() } }))
  mine!.set('a', { n: 1 })
  for (let n = 0; n < 20; n++) t.equal(mine!.get('a', 'n'), 1)
  theirs!.delete('a')
  theirs!.set('b', { n: 2 })
  t.equal(mine!.get('a'), undefined)
  t.equal(mine!.has('a'), false)
  mine!.set('a', { n: 3 })
  t.strictSame([...theirs!].sort(), [['a', { n: 3 }], ['b', { n: 2 }]])
  theirs!.clear()
  t.equal(mine!.incr('b', 'n'), 1)
  t.equal(mine!.get('a'), undefined)
})
