import t from 'tap'
import { definitionOf } from '../../plugins/queue/definition.ts'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import type { Backoff } from '../../plugins/queue/memory.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import { backoffMs } from '../../plugins/items/index.ts'
import { RecordWord } from '../../plugins/items/layout.ts'
import { MEBIBYTE } from '../shared-memory/world.ts'
import { queueFaultOf, recordWord } from './inspect.ts'

const own = createLocalMemory(64 * MEBIBYTE)
let queues = 0
const queueOf = <T = unknown>(options = {}, onError?: ConstructorParameters<typeof SharedQueue>[3]) => new SharedQueue<T>(own, `queue ${++queues}`, options, onError)

async function drain<T> (queue: SharedQueue<T>): Promise<T[]> {
  const items: T[] = []
  for (let item; (item = await queue.pop()) !== undefined;) items.push(item)
  return items
}

t.test('items come out in the order in which they went in', async t => {
  const queue = queueOf<number>()
  const numbers = Array.from({ length: 3000 }, (_, n) => n)
  for (const n of numbers) t.equal(await queue.push(n), true)
  t.same(await drain(queue), numbers)
})

const values: Array<[string, unknown]> = [
  ['null', null], ['zero', 0], ['minus zero', -0], ['a number', 1.5e300], ['true', true], ['false', false],
  ['an empty string', ''], ['a string', 'hello'], ['a string of 24 characters', 'a'.repeat(24)], ['one of 184 bytes', 'b'.repeat(184)], ['one of 185 bytes', 'b'.repeat(185)],
  ['text that is not ASCII', 'grüße 日本 🎉'], ['short text that is not ASCII', 'é'], ['half a surrogate pair', 'a\ud800b'], ['a long half of a surrogate pair', 'x'.repeat(500) + '\udfff'],
  ['a long text', 'ä'.repeat(200_000)], ['a zero byte', 'a\0b'],
  ['an object', { a: [1, { b: null }] }], ['a list', []], ['a large object', { rows: Array.from({ length: 500 }, (_, n) => ({ n, text: `row ${n} é` })) }]
]
for (const [name, value] of values) {
  t.test(`${name} comes out as it went in`, async t => {
    const queue = queueOf()
    t.equal(await queue.push(value), true)
    t.same(await queue.peek(), value)
    const popped = await queue.pop()
    t.same(popped, value)
    t.ok(typeof value === 'object' || Object.is(popped, value))
  })
}

t.test('bytes come out as a Buffer with the same bytes, which is a copy', async t => {
  const queue = queueOf()
  for (const length of [0, 1, 56, 57, 100_000]) {
    const bytes = Uint8Array.from({ length }, (_, n) => n * 7)
    await queue.push(bytes)
    const copy = Buffer.from(bytes)
    bytes.fill(0)
    const popped = await queue.pop() as Buffer
    t.ok(Buffer.isBuffer(popped))
    t.ok(popped.equals(copy))
  }
})

t.test('what JSON cannot hold is refused, and leaves nothing behind', async t => {
  const queue = queueOf()
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  for (const value of [undefined, () => {}, Symbol('s'), 1n, { nested: 1n }, circular, NaN, Infinity, { toJSON () {} }]) {
    await t.rejects(queue.push(value), { code: 'FST_SWOOLE_VALUE_INVALID', statusCode: 400 })
  }
  await t.rejects(queue.push({ toJSON () { throw new Error('mine') } }), { code: 'FST_SWOOLE_VALUE_INVALID', message: /mine/ })
  t.equal(await queue.isEmpty(), true)
})

t.test('a payload is data: __proto__ is a key like any other, and code is never run', async t => {
  const queue = queueOf()
  await queue.push(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"then":"x"}'))
  const popped = await queue.pop() as Record<string, unknown>
  t.equal(({} as Record<string, unknown>)['polluted'], undefined)
  t.ok(Object.hasOwn(popped, '__proto__'))
  t.equal(Object.getPrototypeOf(popped), Object.prototype)
})

t.test('null is an item, undefined is none', async t => {
  const queue = queueOf()
  t.equal(await queue.pop(), undefined)
  await queue.push(null)
  t.equal(await queue.isEmpty(), false)
  t.equal(await queue.pop(), null)
  t.equal(await queue.pop(), undefined)
  t.equal(await queue.peek(), undefined)
})

t.test('a queue is full by its items: false, and nothing is lost', async t => {
  const queue = queueOf<number>({ capacity: 3 })
  for (const n of [1, 2, 3]) t.equal(await queue.push(n), true)
  t.equal(await queue.push(4), false)
  t.equal(await queue.push(4, { delay: 1000 }), false)
  t.equal(await queue.pop(), 1)
  t.equal(await queue.push(4), true)
  t.same(await drain(queue), [2, 3, 4])
})

t.test('a queue is full by its bytes; an item that alone has more is refused', async t => {
  const queue = queueOf<string>({ maxBytes: 100 })
  t.equal(await queue.push('a'.repeat(60)), true)
  t.equal(await queue.push('b'.repeat(41)), false)
  t.equal(await queue.push('b'.repeat(40)), true)
  t.equal(await queue.push(''), true)
  t.match(await queue.getStats(), { size: 3, bytes: 100, maxBytes: 100 })
  await t.rejects(queue.push('c'.repeat(101)), { code: 'FST_SWOOLE_VALUE_TOO_LONG', statusCode: 413 })
  t.same((await drain(queue)).map(({ length }) => length), [60, 40, 0])
  t.equal((await queue.getStats()).bytes, 0)
})

t.test('when the shared memory is exhausted a push rejects, and goes on once there is room', async t => {
  const memory = createLocalMemory(2 * MEBIBYTE)
  const queue = new SharedQueue<string>(memory, 'large')
  const text = 'x'.repeat(100_000)
  let pushed = 0
  await t.rejects(async () => {
    for (; pushed < 1000; pushed++) await queue.push(text)
  }, { code: 'FST_SWOOLE_MEMORY_FULL', statusCode: 507 })
  t.equal((await queue.getStats()).size, pushed)
  t.equal(await queue.pop(), text)
  t.equal(await queue.push(text), true)
  t.equal((await drain(queue)).length, pushed)
  t.equal(queueFaultOf(memory, 'large'), undefined)
})

t.test('a queue of 100,000 items takes its memory as it grows, and uses it again', async t => {
  const memory = createLocalMemory(64 * MEBIBYTE)
  const queue = new SharedQueue<number>(memory, 'q')
  const { used } = memory.allocator.usage()
  t.ok(used < 16_384)
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 100_000; n++) queue.push(n)
    t.equal(await queue.push(0), false)
    t.equal((await queue.getStats()).size, 100_000)
    for (let n = 0; n < 100_000; n++) queue.pop()
    t.equal(await queue.pop(), undefined)
  }
  t.ok(memory.allocator.usage().used < 27 * MEBIBYTE)
})

t.test('a worker that comes late finds every item in its place', async t => {
  const numbers = Array.from({ length: 2000 }, (_, n) => n)
  for (const gone of [0, 300, 1900]) {
    const first = queueOf<number>()
    for (const n of numbers) await first.push(n)
    for (let n = 0; n < gone; n++) await first.pop()
    const late = new SharedQueue<number>(own, first.name)
    t.same(await drain(late), numbers.slice(gone))
    t.equal(await late.push(1), true)
    t.equal(await first.pop(), 1)
  }
})

t.test('stats count what is there and what was', async t => {
  const queue = queueOf<number>({ capacity: 10, maxAttempts: 1 })
  for (const n of [1, 2, 3]) await queue.push(n)
  await queue.push(4, { delay: '1h' })
  await queue.pop()
  t.same(await queue.getStats(), {
    name: queue.name, size: 3, capacity: 10, delayed: 1, inFlight: 0, dead: 0, bytes: 24, maxBytes: 16 * MEBIBYTE, pushed: 4, popped: 1, failed: 0
  })
  t.equal(await queue.getSize(), 3)
})

t.test('clear removes what waits, delayed items too, and the room is free again', async t => {
  const queue = queueOf<number>({ capacity: 2000 })
  for (let n = 0; n < 1900; n++) await queue.push(n)
  for (let n = 0; n < 100; n++) await queue.push(n, { delay: '1h' })
  await queue.clear()
  t.same(await queue.getStats(), { ...await queue.getStats(), size: 0, delayed: 0, bytes: 0, popped: 0, pushed: 2000 })
  t.equal(await queue.isEmpty(), true)
  for (let n = 0; n < 2000; n++) t.equal(await queue.push(n), true)
  t.equal(await queue.pop(), 0)
})

t.test('clear removes items that are due all at once, and none that is pushed after it', async t => {
  const queue = queueOf<number>({ capacity: 3000 })
  for (let n = 0; n < 2000; n++) await queue.push(n, { delay: 1 })
  const due = Date.now() + 2
  while (Date.now() < due);
  await queue.clear()
  t.equal(await queue.getSize(), 0)
  t.equal(await queue.push(1), true)
  t.equal(await queue.pop(), 1)
})

t.test('clear ends, however much is pushed while it runs', async t => {
  const queue = queueOf<number>()
  for (let n = 0; n < 1000; n++) await queue.push(n)
  const cleared = new AbortController()
  const clear = queue.clear().then(() => cleared.abort())
  let turns = 0
  for (; turns < 100 && !cleared.signal.aborted; turns++) {
    for (let n = 0; n < 600; n++) await queue.push(n)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await clear
  t.ok(turns < 100)
  t.equal(await queue.isEmpty(), false)
})

t.test('an item that is damaged becomes a dead letter, and never an exception or a stuck queue', async t => {
  const heard: unknown[] = []
  const queue = queueOf<unknown>({}, (error, _item, attempt, isDead) => heard.push([(error as Error).name, attempt, isDead]))
  for (const value of [{ a: 1 }, 2, { b: 3 }, 'kind', 5]) await queue.push(value)
  const json = recordWord(own, queue.name, 1)
  own.region.buffer.write('{"a"', (json + RecordWord.INLINE) * 4)
  own.region.u8[(json + RecordWord.INLINE) * 4 + 3] = 0x7b
  own.region.i32[recordWord(own, queue.name, 4) + RecordWord.KIND] = 99
  t.equal(await queue.peek(), 2)
  t.same(await drain(queue), [2, { b: 3 }, 5])
  t.same(heard, [['SyntaxError', 1, true], ['RangeError', 1, true]])
  t.same(await queue.deadLetters(), [1, 2].map(() => ({ item: undefined, error: 'its value is damaged', attempts: 1 })))
})

t.test('a name is one queue for all who open it; with other options it is refused', async t => {
  const one = new SharedQueue<string>(own, 'shared', { capacity: 5, backoff: '2s' })
  const other = new SharedQueue<string>(own, 'shared', { capacity: 5, backoff: 2000 })
  const third = new SharedQueue<string>(own, 'shared')
  await one.push('a')
  await third.push('b')
  t.equal(await other.pop(), 'a')
  t.equal((await third.getStats()).capacity, 5)
  for (const options of [{}, { capacity: 6, backoff: 2000 }, { capacity: 5 }, { capacity: 5, backoff: 2000, maxAttempts: 4 }, { capacity: 5, backoff: 2000, visibilityTimeout: '1s' }]) {
    t.throws(() => new SharedQueue(own, 'shared', options), { code: 'FST_SWOOLE_SCHEMA_MISMATCH' })
  }
})

t.test('each option is checked, and the error says its path, its value and what it may be', async t => {
  const wrong: Array<[string, unknown]> = [
    ['capacity', 0], ['capacity', 1.5], ['capacity', '10'], ['capacity', 2 ** 24 + 1], ['maxBytes', 0], ['maxBytes', 'much'], ['maxBytes', -1],
    ['maxAttempts', 0], ['maxAttempts', Infinity], ['backoff', -1], ['backoff', 'soon'], ['backoff', null], ['visibilityTimeout', 0], ['visibilityTimeout', '1 week'], ['visibilityTimeout', null],
    ['backoff.initial', 'x'], ['backoff.factor', 0.5], ['backoff.factor', NaN], ['backoff.max', -1], ['backoff.jitter', 2], ['backoff.unknown', 1], ['attempts', 3]
  ]
  for (const [path, value] of wrong) {
    const [name, nested] = path.split('.') as [string, string?]
    const options = { [name]: nested === undefined ? value : { [nested]: value } }
    t.throws(() => new SharedQueue(own, 'wrong', options), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: `queue("wrong").${path} is ` }, path)
  }
  t.throws(() => new SharedQueue(own, 'wrong', 5 as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.throws(() => new SharedQueue(own, ''), { code: 'FST_SWOOLE_NAME_INVALID' })
  t.doesNotThrow(() => new SharedQueue(own, 'right', { capacity: 2 ** 24, maxBytes: '1gb', maxAttempts: 1, backoff: { initial: 0, factor: 1, max: '1h', jitter: 1 }, visibilityTimeout: '30s' }))
})

t.test('the back-off grows up to its most, and the jitter only shortens it', async t => {
  const waits = (backoff?: Backoff | number, attempts = [1, 2, 3, 7, 5000]) => attempts.map((attempt) => backoffMs(definitionOf('q', { backoff }).backoff, attempt))
  t.same(waits(), [1000, 2000, 4000, 60_000, 60_000])
  t.same(waits(50), [50, 50, 50, 50, 50])
  t.same(waits({ initial: 100, factor: 3, max: '1s' }), [100, 300, 900, 1000, 1000])
  t.same(waits({ initial: 0 }), [0, 0, 0, 0, 0])
  const jittered = waits({ initial: 1000, factor: 1, jitter: 0.5 }, Array.from({ length: 200 }, () => 1))
  t.ok(jittered.every((wait) => wait > 500 && wait <= 1000))
  t.ok(new Set(jittered).size > 100)
})

t.test('after the close everything rejects', async t => {
  const memory = createLocalMemory(MEBIBYTE)
  const queue = new SharedQueue<number>(memory, 'closing')
  await queue.push(1)
  memory.close()
  const closed = { code: 'FST_SWOOLE_CLOSED', statusCode: 503 }
  for (const use of [() => queue.push(1), () => queue.push(1, { timeout: 5 }), () => queue.pop(), () => queue.pop({ timeout: 5 }), () => queue.peek(), () => queue.getSize(),
    () => queue.isEmpty(), () => queue.clear(), () => queue.getStats(), () => queue.deadLetters(), () => queue.retryDeadLetters(), () => queue.clearDeadLetters()]) {
    await t.rejects(use() as Promise<void>, closed)
  }
  t.throws(() => queue.consume(() => {}), closed)
})
