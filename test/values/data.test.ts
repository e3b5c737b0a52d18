import { spawnSync } from 'node:child_process'
import { isDeepStrictEqual, inspect } from 'node:util'
import vm from 'node:vm'
import t from 'tap'
import { ASCII, Encoded, Kind, decode, isKind, read } from '../../plugins/values/index.ts'
import type { Bytes } from '../../plugins/values/index.ts'
import { random } from '../shared-memory/random.ts'

const WHAT = 'The value'
const START = 64

function bytesOf (length: number): Bytes {
  const buffer = new SharedArrayBuffer(length)
  return { f64: new Float64Array(buffer), u8: new Uint8Array(buffer), buffer: Buffer.from(buffer) }
}

function encode (value: unknown): Encoded {
  const encoded = new Encoded()
  encoded.setData(value, () => WHAT)
  return encoded
}

function write (value: unknown): { target: Bytes, kind: number, bytes: number } {
  const encoded = encode(value)
  const target = bytesOf(START + Math.ceil(encoded.bytes / 8) * 8 + 8)
  encoded.write(target, START)
  return { target, kind: encoded.kind, bytes: encoded.bytes }
}

/** What comes out after the bytes that went in were used for something else. */
function through<T = unknown> (value: unknown): T {
  const { target, kind, bytes } = write(value)
  const copy = read(target, kind, START, bytes)
  target.u8.fill(0xff)
  return decode(kind, copy) as T
}

const refusal = (value: unknown): string => {
  try {
    new Encoded().setData(value, () => WHAT)
  } catch (error) {
    return (error as { code: string }).code === 'FST_SWOOLE_VALUE_INVALID' ? (error as Error).message : `another error: ${inspect(error)}`
  }
  return 'it was taken'
}

const sparse: unknown[] = []
sparse[5] = 'five'
sparse.length = 9
const words = new Uint16Array([1, 2, 65535])

const kept: Array<[string, unknown, number?]> = [
  ['undefined', undefined, Kind.UNDEFINED], ['null', null, Kind.NULL], ['true', true, Kind.TRUE], ['false', false, Kind.FALSE],
  ['a number', 1.5e300, Kind.NUMBER], ['minus zero', -0, Kind.NUMBER], ['NaN', NaN, Kind.NUMBER], ['Infinity', -Infinity, Kind.NUMBER],
  ['an empty string', '', Kind.TEXT + ASCII], ['a string', 'hello', Kind.TEXT + ASCII], ['text that is not ASCII', 'grüße 日本 🎉', Kind.TEXT],
  ['half a surrogate pair', 'a\ud800b', Kind.JSON + ASCII], ['a Buffer', Buffer.from('hello'), Kind.BINARY], ['an empty Buffer', Buffer.alloc(0), Kind.BINARY],
  ['a Uint8Array', new Uint8Array([1, 2, 255]), Kind.BYTES], ['a bigint', -(2n ** 70n), Kind.CLONE],
  ['an object', { a: [1, { b: null }, true], c: 'é' }, Kind.JSON], ['a list', [], Kind.JSON + ASCII],
  ['half a surrogate pair in JSON', { '\udfff': '\ud800' }, Kind.JSON + ASCII], ['half a surrogate pair in a clone', { '\udfff': '\ud800', n: 1n }, Kind.CLONE],
  ['a Date', new Date(5), Kind.CLONE], ['an invalid Date', new Date(NaN), Kind.CLONE], ['a regular expression', /a.b/giu, Kind.CLONE],
  ['a Map', new Map<unknown, unknown>([['a', 1], [{ b: 1 }, new Map()]]), Kind.CLONE], ['a Set', new Set(['a', 1n]), Kind.CLONE],
  ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer, Kind.CLONE], ['a DataView', new DataView(new ArrayBuffer(9), 3, 4), Kind.CLONE],
  ['16-bit words', words, Kind.CLONE], ['floats', new Float64Array([1.5, NaN, -0]), Kind.CLONE], ['64-bit words', new BigInt64Array([-1n]), Kind.CLONE],
  ['clamped bytes', new Uint8ClampedArray([1]), Kind.CLONE], ['small floats', new Float32Array([0.5]), Kind.CLONE],
  ['boxed primitives', [Object(1), Object('ab'), Object(true), Object(1n)], Kind.CLONE],
  ['an undefined property', { a: undefined }, Kind.CLONE], ['undefined in a list', [undefined], Kind.CLONE],
  ['a list with holes', sparse, Kind.CLONE], ['a list of holes', new Array(3), Kind.CLONE], ['minus zero in a list', [-0], Kind.CLONE], ['a NaN in an object', { a: { b: NaN } }, Kind.CLONE],
  ['an infinity in a list', [[Infinity]], Kind.CLONE], ['a list that has names too', Object.assign(['b'], { index: 1 }), Kind.CLONE]
]
for (const [name, value, kind] of kept) {
  t.test(`${name} comes out as it went in, alone and within others`, async t => {
    if (kind !== undefined) t.equal(encode(value).kind, kind)
    t.ok(isKind(encode(value).kind))
    const same = (found: unknown, expected: unknown) => t.ok(isDeepStrictEqual(found, expected), inspect(found))
    same(through(value), value)
    same(through([value, value]), [value, value])
    same(through({ a: { b: value }, c: 1 }), { a: { b: value }, c: 1 })
    same(through(new Map([['a', [value]]])), new Map([['a', [value]]]))
    same(through({ at: new Date(1), value }), { at: new Date(1), value })
  })
}

t.test('an error keeps its type, message, stack and cause', async t => {
  const error = new RangeError('too much', { cause: { at: new Date(7), from: new TypeError('inner') } })
  const found = through<{ error: Error & { cause: { at: Date, from: Error } } }>({ error }).error
  t.ok(found instanceof RangeError)
  t.equal(found.message, 'too much')
  t.equal(found.stack, error.stack)
  t.same(found.cause.at, new Date(7))
  t.ok(found.cause.from instanceof TypeError)
  t.equal(found.cause.from.message, 'inner')
  t.match(refusal({ error: new Error('x', { cause: { undo: () => {} } }) }), /error\.cause\.undo is a function/)
})

t.test('cycles, and one object in two places of a clone', async t => {
  const node: Record<string, unknown> = { tags: new Set(), map: new Map() }
  node['self'] = node
  ;(node['tags'] as Set<unknown>).add(node)
  ;(node['map'] as Map<unknown, unknown>).set(node, [node])
  const found = through<typeof node>(node)
  t.equal(found['self'], found)
  t.ok((found['tags'] as Set<unknown>).has(found))
  t.equal((found['map'] as Map<unknown, unknown[]>).get(found)?.[0], found)
  const list: unknown[] = []
  list.push(list)
  const foundList = through<unknown[]>(list)
  t.equal(foundList[0], foundList)
})

t.test('a view keeps its own bytes only, and is alone in its memory when it comes out', async t => {
  const large = new Uint8Array(65_536).fill(7)
  const pooled = Buffer.from('secretly small')
  const value = { pooled, part: large.subarray(10, 15), words: new Uint16Array(large.buffer, 2, 3), view: new DataView(large.buffer, 8, 4) }
  t.ok(encode(value).bytes < 200)
  const found = through<typeof value>(value)
  t.ok(isDeepStrictEqual(found, value))
  t.ok(Buffer.isBuffer(found.pooled))
  t.notOk(Buffer.isBuffer(found.part))
  t.same([found.pooled, found.part, found.words, found.view].map(({ buffer }) => buffer.byteLength), [14, 5, 6, 4])
})

t.test('views of shared memory are copied', async t => {
  const shared = new Uint8Array(new SharedArrayBuffer(16), 4, 3).fill(9)
  for (const found of [through<Uint8Array>(shared), through<[Uint8Array]>([shared])[0]]) {
    t.same([...found], [9, 9, 9])
    t.ok(found.buffer instanceof ArrayBuffer)
  }
  t.match(refusal({ memory: shared.buffer }), /memory is an instance of SharedArrayBuffer/)
})

t.test('bytes that the caller may change are kept from that', async t => {
  const encoded = new Encoded()
  const bytes = new Uint8Array([1, 2, 3])
  encoded.setData(bytes, () => WHAT)
  encoded.keep()
  bytes.fill(0)
  const target = bytesOf(16)
  encoded.write(target, 8)
  const found = decode(encoded.kind, read(target, encoded.kind, 8, encoded.bytes))
  t.same(found, new Uint8Array([1, 2, 3]))
  t.notOk(Buffer.isBuffer(found))
})

t.test('what has toJSON stands for what that gives, wherever it is', async t => {
  const url = new URL('http://localhost/a')
  t.equal(through(url), 'http://localhost/a')
  t.same(through([url]), ['http://localhost/a'])
  t.equal(encode({ url }).kind, Kind.JSON + ASCII)
  class Document {
    #data = { at: new Date(3), url, owner: { toJSON: (name: string) => `called for ${name}` } }
    save () {}
    toJSON () { return this.#data }
  }
  const plain = { at: new Date(3), url: 'http://localhost/a', owner: 'called for owner' }
  const document = new Document()
  t.same(through(document), plain)
  t.ok(isDeepStrictEqual(through(new Map<unknown, unknown>([['a', document], [url, new Set([document])]])), new Map<unknown, unknown>([['a', plain], ['http://localhost/a', new Set([plain])]])))
  t.equal(through({ toJSON () { return undefined } }), undefined)
  t.ok(isDeepStrictEqual(through([{ toJSON () { return new Uint8Array(2) } }, 1n]), [new Uint8Array(2), 1n]))
  t.same(through({ a: 1, toJSON () { return this } }), { a: 1 })
  const both = through<unknown[]>([document, document, 1n])
  t.equal(both[0], both[1])
  t.match(refusal({ a: { toJSON () { throw new Error('mine') } } }), /mine/)
  t.match(refusal({ toJSON () { return { again: { toJSON: (this as { toJSON: unknown }).toJSON } } } }), /nested too deeply/)
})

t.test('each getter and toJSON is called once for a clone', async t => {
  let calls = 0
  const found = through<{ n: { n: number } }>(new Map([['a', { toJSON: () => ({ n: ++calls, at: new Date() }) }]]))
  t.equal(calls, 1)
  t.ok(found)
})

t.test('an instance of a class is its own enumerable properties', async t => {
  class User {
    name = 'Ada'
    #secret = 1
    get secret () { return this.#secret }
    save () {}
  }
  class Rows extends Array<number> {}
  class Registry extends Map<string, unknown> {}
  const found = through<User>(new User())
  t.same(Object.keys(found), ['name'])
  t.equal(Object.getPrototypeOf(found), Object.prototype)
  t.equal(encode(new User()).kind, Kind.JSON + ASCII)
  t.ok(isDeepStrictEqual(through({ user: new User(), n: 1n }), { user: { name: 'Ada' }, n: 1n }))
  t.ok(isDeepStrictEqual(through(new Rows(1, 2)), [1, 2]))
  t.ok(isDeepStrictEqual(through(new Registry([['a', new User()]])), new Map([['a', { name: 'Ada' }]])))
  t.ok(isDeepStrictEqual(through(Object.assign(Object.create(null), { a: 1 })), { a: 1 }))
  t.ok(isDeepStrictEqual(through([Object.create(null), 1n]), [{}, 1n]))
  t.ok(isDeepStrictEqual(through(vm.runInNewContext('({ a: [{}, new Date(1), new Uint8Array([1]), new Map([[1, 2]])] })')), { a: [{}, new Date(1), new Uint8Array([1]), new Map([[1, 2]])] }))
  t.ok(isDeepStrictEqual(through(new Proxy({ a: [new Date(1)] }, {})), { a: [new Date(1)] }))
})

t.test('functions and symbols are refused, and the error says where they are', async t => {
  t.equal(refusal({ user: { save () {} } }), 'The value is an object in which user.save is a function, but must be data: leave out what is none, or give its object a toJSON method that returns data')
  t.match(refusal(() => {}), /^The value is a function, but/)
  t.match(refusal(Symbol('s')), /^The value is a symbol, but/)
  t.match(refusal([1, [Symbol('s')]]), /in which \[1\]\[0\] is a symbol/)
  t.match(refusal({ users: [{ 'the name': class {} }] }), /in which users\[0\]\["the name"\] is a function/)
  t.match(refusal(new Map([['a', { b: () => {} }]])), /in which get\("a"\)\.b is a function/)
  t.match(refusal({ m: new Map([[() => {}, 1]]) }), /in which m\.keys\(\)\[0\] is a function/)
  t.match(refusal({ s: new Set([1, () => {}]) }), /in which s\.values\(\)\[1\] is a function/)
  t.match(refusal({ a: { [Symbol('mark')]: 1 } }), /in which a is an object with the key Symbol\(mark\)/)
  t.same(through(Object.defineProperty({ a: 1 }, Symbol('hidden'), { value: 1 })), { a: 1 })
  t.match(refusal({ get a () { throw new Error('not now') } }), /what cannot be read \(not now\)/)
})

t.test('bytes that were transferred are refused, wherever they are', async t => {
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  for (const value of [bytes, { bytes }, [bytes.buffer]]) {
    t.throws(() => new Encoded().setData(value, () => 'The value'), { code: 'FST_SWOOLE_VALUE_INVALID', message: /detached|transferred/ })
  }
  t.throws(() => new Encoded().set(bytes, 'The value'), { code: 'FST_SWOOLE_VALUE_INVALID', message: /transferred/ })
})

t.test('an object of which nothing would be left is refused', async t => {
  for (const value of [Promise.resolve(1), new WeakMap(), new Headers({ a: 'b' }), new AbortController().signal, [].values(), new (class Empty {})()]) {
    t.match(refusal({ a: value }), /in which a is an instance of \w.*, which has no properties that can be kept/)
  }
  const buffer = new ArrayBuffer(8)
  structuredClone(buffer, { transfer: [buffer] })
  t.match(refusal({ buffer }), /what cannot be read/)
})

t.test('a payload is data: __proto__ and constructor are keys like any other, and code is never run', async t => {
  const text = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"then":"x","toJSON":"y"}'
  for (const value of [JSON.parse(text), { payload: JSON.parse(text), n: 1n }, new Map([['payload', JSON.parse(text)]])]) {
    const found = through<Record<string, unknown>>(value)
    t.ok(isDeepStrictEqual(found, value))
    const payload = (found instanceof Map ? found.get('payload') : found['payload'] ?? found) as object
    t.ok(Object.hasOwn(payload, '__proto__'))
    t.equal(Object.getPrototypeOf(payload), Object.prototype)
    t.equal(({} as Record<string, unknown>)['polluted'], undefined)
  }
})

t.test('deep values come out, or are refused', async t => {
  const listOf = (levels: number, end: unknown) => {
    let list = end
    for (let n = 0; n < levels; n++) list = [list]
    return list
  }
  const objectOf = (levels: number) => {
    let object: object = {}
    for (let n = 0; n < levels; n++) object = { object }
    return object
  }
  t.equal(encode(listOf(199, [])).kind, Kind.JSON + ASCII)
  t.equal(encode(listOf(200, [])).kind, Kind.CLONE)
  for (const value of [listOf(199, []), listOf(900, new Date(1)), objectOf(900)]) t.ok(isDeepStrictEqual(through(value), value))
  for (const levels of [1001, 10_000, 1_000_000]) {
    t.equal(refusal(listOf(levels, 1)), 'The value is nested too deeply, but must be of at most 1000 levels')
    t.equal(refusal(objectOf(levels)), 'The value is nested too deeply, but must be of at most 1000 levels')
  }
})

t.test('a large list of holes takes no room', async t => {
  const list: unknown[] = []
  list[4_000_000_000] = 1n
  const found = through<unknown[]>(list)
  t.equal(found.length, list.length)
  t.same(Object.keys(found), Object.keys(list))
})

t.test('a value at random comes out as it went in', async t => {
  for (let seed = 1; seed <= 400; seed++) {
    const value = valueAtRandom(random(seed))
    const found = through(value)
    if (!isDeepStrictEqual(found, value)) t.fail(`seed ${seed}`, { value: inspect(value, { depth: 9 }), found: inspect(found, { depth: 9 }) })
  }
})

t.test('what JSON keeps is written as JSON, and nothing else', async t => {
  for (let seed = 1; seed <= 400; seed++) {
    const value = valueAtRandom(random(seed))
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) continue
    let isKept = false
    try {
      isKept = isDeepStrictEqual(JSON.parse(JSON.stringify(value)), value)
    } catch {}
    t.equal(encode(value).kind & ~ASCII, isKept ? Kind.JSON : Kind.CLONE, `seed ${seed}`)
  }
})

t.test('damaged text and damaged clones throw', async t => {
  for (const [kind, copy] of [[Kind.JSON, '{"a":'], [Kind.JSON + ASCII, ''], [Kind.CLONE, new Uint8Array(0)], [Kind.CLONE, new Uint8Array([1, 2, 3])], [Kind.CLONE, new Uint8Array([0xff, 0x0f, 0x6f])]] as const) {
    t.throws(() => decode(kind, copy))
  }
  const { target, kind, bytes } = write({ at: new Date(1), map: new Map([['a', Buffer.from('hello')]]) })
  const copy = read(target, kind, START, bytes) as Uint8Array
  for (let length = 0; length < bytes; length++) t.throws(() => decode(kind, copy.subarray(0, length)))
  t.throws(() => read(target, 99, START, bytes), RangeError)
  t.notOk(isKind(10))
})

t.test('a clone with bytes at random in it throws or is another value, and the process goes on', async t => {
  const { stdout, status, signal } = spawnSync(process.execPath, ['--max-old-space-size=256', new URL('./damage.ts', import.meta.url).pathname], { encoding: 'utf8' })
  t.same({ stdout, status, signal }, { stdout: 'done\n', status: 0, signal: null })
})

function valueAtRandom (next: (limit: number) => number, levels = 4): unknown {
  const text = () => String.fromCharCode(...Array.from({ length: next(30) }, () => next(8) === 0 ? next(65_536) : 32 + next(95)))
  const list = () => Array.from({ length: next(5) }, () => valueAtRandom(next, levels - 1))
  const name = () => next(12) === 0 ? '__proto__' : text()
  const object = () => {
    const made = {}
    for (let n = next(6); n > 0; n--) Object.defineProperty(made, name(), { value: valueAtRandom(next, levels - 1), enumerable: true, configurable: true, writable: true })
    return made
  }
  const leaves = [
    () => null, () => true, () => next(1_000_000), () => next(1000) / 7, text, text, () => -next(5),
    ...next(3) === 0 ? [() => undefined, () => NaN, () => -0, () => BigInt(next(1000)) ** 9n, () => new Date(next(1e9)), () => /x/g, () => Buffer.from(text()), () => new Uint8Array(next(9)), () => new Float32Array(next(9)).fill(next(9))] : []
  ]
  const trees = [object, object, list, ...next(3) === 0 ? [() => new Map(list().map(item => [text(), item])), () => new Set(list()), () => new Array(next(5))] : []]
  const from = levels > 0 && next(3) > 0 ? trees : leaves
  return from[next(from.length)]!()
}
