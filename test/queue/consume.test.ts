import t from 'tap'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import { Store } from '../../plugins/items/store.ts'
import { Encoded } from '../../plugins/values/index.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import { MEBIBYTE, World } from '../shared-memory/world.ts'
import { queueFaultOf } from './inspect.ts'

const own = createLocalMemory(16 * MEBIBYTE)
let queues = 0
const queueOf = <T = unknown>(options = {}, onError?: ConstructorParameters<typeof SharedQueue>[3]) => new SharedQueue<T>(own, `queue ${++queues}`, options, onError)

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Looked at after each turn of the event loop. */
async function until (condition: () => unknown): Promise<void> {
  while (!await condition()) await turn()
}

t.test('a consumer handles each item once, in order, those that are there and those that come', async t => {
  const queue = queueOf<number>()
  const handled: number[] = []
  for (const n of [1, 2, 3]) await queue.push(n)
  const consumer = queue.consume((item, { attempt }) => { handled.push(item, attempt) })
  await until(() => handled.length === 6)
  await queue.push(4)
  await until(() => handled.length === 8)
  await consumer.stop()
  t.same(handled, [1, 1, 2, 1, 3, 1, 4, 1])
  t.match(await queue.getStats(), { size: 0, inFlight: 0, popped: 4, failed: 0 })
})

t.test('an item is in flight while its handler runs, and as many run as the concurrency says', async t => {
  const queue = queueOf<number>()
  const ends: Array<() => void> = []
  let most = 0
  let running = 0
  const consumer = queue.consume(async () => {
    most = Math.max(most, ++running)
    await new Promise<void>((resolve) => ends.push(resolve))
    running--
  }, { concurrency: 3 })
  for (let n = 0; n < 10; n++) await queue.push(n)
  await until(() => ends.length === 3)
  await turn()
  t.match(await queue.getStats(), { size: 7, inFlight: 3 })
  for (let n = 0; n < 10; n++) {
    await until(() => ends.length > 0)
    ends.shift()!()
  }
  await until(async () => (await queue.getStats()).popped === 10)
  await consumer.stop()
  t.equal(most, 3)
})

t.test('the concurrency and the handler are checked', async t => {
  const queue = queueOf()
  for (const concurrency of [0, 1.5, '2', 65_536]) t.throws(() => queue.consume(() => {}, { concurrency: concurrency as number }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.throws(() => queue.consume('handler' as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
})

t.test('handlers that never wait leave the event loop its turns', async t => {
  const queue = queueOf<number>()
  for (let n = 0; n < 20_000; n++) await queue.push(n)
  let handled = 0
  const consumer = queue.consume(() => { handled++ })
  await until(() => handled > 0)
  t.ok(handled < 20_000)
  await consumer.stop()
  t.equal((await queue.getStats()).popped, handled)
})

t.test('a handler that fails gets its item again after the back-off, and the error is heard', async t => {
  const heard: unknown[] = []
  const queue = queueOf<string>({ backoff: { initial: 5, factor: 2 } }, (error, item, attempt, isDead) => heard.push([(error as Error).message, item, attempt, isDead]))
  const times: number[] = []
  const consumer = queue.consume((_item, { attempt }) => {
    times.push(Date.now())
    if (attempt < 3) throw new Error(`attempt ${attempt}`)
  })
  await queue.push('item')
  await until(async () => (await queue.getStats()).popped === 1)
  await consumer.stop()
  t.equal(times.length, 3)
  t.ok(times[1]! - times[0]! >= 5)
  t.ok(times[2]! - times[1]! >= 10)
  t.same(heard, [['attempt 1', 'item', 1, false], ['attempt 2', 'item', 2, false]])
  t.match(await queue.getStats(), { failed: 2, dead: 0, size: 0 })
})

t.test('while an item waits for its next attempt the others go on; without back-off it stays in its place', async t => {
  for (const [backoff, order] of [[20, ['a', 'b', 'a']], [0, ['a', 'a', 'b']]] as const) {
    const queue = queueOf<string>({ backoff })
    const handled: string[] = []
    await queue.push('a')
    await queue.push('b')
    const consumer = queue.consume((item, { attempt }) => {
      handled.push(item)
      if (item === 'a' && attempt === 1) throw new Error('no')
    })
    await until(async () => (await queue.getStats()).popped === 2)
    await consumer.stop()
    t.same(handled, order)
  }
})

t.test('after the last attempt an item is a dead letter, with the error and the attempts', async t => {
  const heard: boolean[] = []
  const queue = queueOf<unknown>({ backoff: 0, maxAttempts: 2 }, (_error, _item, _attempt, isDead) => heard.push(isDead))
  const errors: Record<string, unknown> = { error: new TypeError('é is wrong'), text: 'no error', nothing: undefined, long: new Error('x'.repeat(5000)), odd: Object.create(null), empty: new Error() }
  const consumer = queue.consume((item) => { throw errors[item as string] })
  for (const name of Object.keys(errors)) await queue.push(name)
  await until(async () => (await queue.getStats()).dead === 6)
  await consumer.stop()
  t.same(await queue.deadLetters(), [
    { item: 'error', error: 'é is wrong', attempts: 2 },
    { item: 'text', error: 'no error', attempts: 2 },
    { item: 'nothing', error: 'undefined', attempts: 2 },
    { item: 'long', error: 'x'.repeat(2048), attempts: 2 },
    { item: 'odd', error: 'of type object, and cannot be shown', attempts: 2 },
    { item: 'empty', error: '', attempts: 2 }
  ])
  t.equal(heard.filter(Boolean).length, 6)
  t.equal(heard.length, 12)
  t.match(await queue.getStats(), { dead: 6, size: 0, failed: 12, popped: 0 })
  t.equal(await queue.isEmpty(), true)
})

t.test('dead letters count towards the capacity until they are retried or cleared', async t => {
  const queue = queueOf<number>({ backoff: 0, maxAttempts: 1, capacity: 2 })
  const failing = queue.consume(() => { throw new Error('no') })
  for (const n of [1, 2]) await queue.push(n)
  await until(async () => (await queue.getStats()).dead === 2)
  await failing.stop()
  t.equal(await queue.push(3), false)
  t.equal(await queue.retryDeadLetters(), 2)
  t.same(await queue.deadLetters(), [])
  const attempts: number[] = []
  const consumer = queue.consume((item, { attempt }) => {
    attempts.push(item, attempt)
    if (item === 2) throw new Error('again')
  })
  await until(() => attempts.length === 4)
  await consumer.stop()
  t.same(attempts, [1, 1, 2, 1])
  t.equal(await queue.clearDeadLetters(), 1)
  t.equal(await queue.clearDeadLetters(), 0)
  t.match(await queue.getStats(), { dead: 0, size: 0, bytes: 0 })
})

t.test('stop takes no more items and waits for the handlers that run', async t => {
  const queue = queueOf<number>()
  let end = () => {}
  const consumer = queue.consume(() => new Promise<void>((resolve) => { end = resolve }))
  await queue.push(1)
  await queue.push(2)
  await until(async () => (await queue.getStats()).inFlight === 1)
  let isStopped = false
  const stopped = Promise.all([consumer.stop(), consumer.stop()]).then(() => { isStopped = true })
  await turn()
  await turn()
  t.notOk(isStopped)
  end()
  await stopped
  t.match(await queue.getStats(), { size: 1, inFlight: 0, popped: 1 })
  const idle = queueOf().consume(() => {})
  await turn()
  await idle.stop()
})

t.test('a consumer that is stopped while it waits leaves the item to another', async t => {
  const queue = queueOf<number>()
  const first = queue.consume(() => {})
  await turn()
  await turn()
  const pop = queue.pop({ timeout: '1m' })
  await Promise.all([first.stop(), queue.push(1), queue.push(2)])
  t.type(await pop, 'number')
})

t.test('an item in flight for too long goes to another handler; the first one is told, and its end counts nothing', async t => {
  const heard: unknown[] = []
  const queue = queueOf<string>({ visibilityTimeout: 10, maxAttempts: 3 }, (error, item, attempt, isDead) => heard.push([(error as Error).name, item, attempt, isDead]))
  const reasons: unknown[] = []
  let endLate = () => {}
  const slow = queue.consume(async (_item, { signal }) => {
    await new Promise<void>((resolve) => {
      endLate = resolve
      signal.addEventListener('abort', () => reasons.push((signal.reason as Error).name))
    })
  })
  await queue.push('item')
  await until(async () => (await queue.getStats()).inFlight === 1)
  const stopped = slow.stop()
  await until(() => reasons.length === 1)
  await stopped
  t.match(await queue.getStats(), { size: 1, inFlight: 0, failed: 1 })
  const attempts: number[] = []
  const quick = queue.consume((_item, { attempt }) => { attempts.push(attempt) })
  await until(() => attempts.length === 1)
  await quick.stop()
  endLate()
  await turn()
  t.same(attempts, [2])
  t.same(reasons, ['TimeoutError'])
  t.same(heard, [['TimeoutError', 'item', 1, false]])
  t.match(await queue.getStats(), { size: 0, inFlight: 0, popped: 1, dead: 0 })
})

t.test('a late end counts nothing, even while the same worker has the item again', async t => {
  const queue = queueOf<string>({ visibilityTimeout: 1, maxAttempts: 5 })
  const store = new Store(own, queue.name, queue.definition, () => {})
  await queue.push('item')
  const first = store.take()!
  await until(() => !store.has(first))
  const second = store.take()!
  t.equal(second.attempt, 2)
  t.equal(store.acknowledge(first), false)
  t.equal(store.fail(first, 'late', 0), false)
  store.putBack(first)
  t.equal(store.acknowledge(second), true)
  t.match(await queue.getStats(), { popped: 1, failed: 1, size: 0, inFlight: 0 })
})

t.test('an item that is too long in flight in its last attempt is a dead letter; a late failure is heard and counts nothing', async t => {
  const heard: unknown[] = []
  const queue = queueOf<string>({ visibilityTimeout: 5, maxAttempts: 1 }, (error, _item, _attempt, isDead) => heard.push([(error as Error).name, isDead]))
  const consumer = queue.consume((_item, { signal }) => new Promise<void>((_resolve, reject) => { signal.addEventListener('abort', () => reject(new RangeError('late'))) }))
  await queue.push('item')
  await until(() => heard.length === 2)
  await consumer.stop()
  t.same(heard, [['TimeoutError', true], ['RangeError', false]])
  t.same(await queue.deadLetters(), [{ item: 'item', error: 'it was in flight for longer than 5 ms', attempts: 1 }])
})

t.test('who waits takes an item back in time from a worker that hangs, even if nobody tells it that the item was taken', async t => {
  const world = new World()
  const [hanging, waiting] = [world.worker(), world.worker()]
  const queue = new SharedQueue<string>(waiting, 'q', { visibilityTimeout: 20 })
  const pop = queue.pop({ timeout: '1m' })
  // The workers of a World do not hear each other's bells, and a store without a consumer sets no timers.
  const store = new Store(hanging, 'q', queue.definition, () => {})
  const value = new Encoded()
  value.set('item', 'the item')
  store.push(value, 0)
  t.equal(store.take()!.value, 'item')
  t.equal(await pop, 'item')
})

t.test('the close returns what is in flight at once and uncounted, tells the handlers, and ignores their end', async t => {
  const world = new World()
  const [closing, other] = [world.worker(), world.worker()]
  const queue = new SharedQueue<string>(closing, 'q', { visibilityTimeout: '1h' })
  const rest = new SharedQueue<string>(other, 'q', { visibilityTimeout: '1h' })
  const reasons: unknown[] = []
  const ends: Array<() => void> = []
  const consumer = queue.consume((item, { signal }) => new Promise<void>((resolve, reject) => {
    signal.addEventListener('abort', () => reasons.push((signal.reason as { code: string }).code))
    ends.push(item === 'b' ? () => reject(new Error('late')) : resolve)
  }), { concurrency: 2 })
  for (const item of ['a', 'b', 'c']) await rest.push(item)
  queue.push('d')
  await until(() => ends.length === 2)
  closing.close()
  t.same(reasons, ['FST_SWOOLE_CLOSED', 'FST_SWOOLE_CLOSED'])
  t.match(await rest.getStats(), { size: 4, inFlight: 0, failed: 0 })
  const handled: unknown[] = []
  const again = rest.consume((item, { attempt }) => { handled.push(item, attempt) })
  await until(() => handled.length === 8)
  await again.stop()
  for (const end of ends) end()
  await consumer.stop()
  t.same(handled, ['a', 1, 'b', 1, 'c', 1, 'd', 1])
  t.match(await rest.getStats(), { popped: 4, failed: 0, dead: 0, size: 0 })
  t.equal(queueFaultOf(other, 'q'), undefined)
})

t.test('the items of a worker that died come back to the front, in their order; after the last attempt they are dead letters', async t => {
  const world = new World()
  const [dying, alive] = [world.worker(), world.worker()]
  const queue = new SharedQueue<number>(dying, 'q', { maxAttempts: 2 })
  const other = new SharedQueue<number>(alive, 'q')
  const taken: number[] = []
  for (let n = 1; n <= 5; n++) await other.push(n)
  queue.consume((item) => { taken.push(item); return new Promise(() => {}) }, { concurrency: 3 })
  await until(() => taken.length === 3)
  const waiting = other.consume(() => new Promise(() => {}))
  await until(async () => (await other.getStats()).inFlight === 4)
  alive.recover(dying.slot)
  t.match(await other.getStats(), { size: 4, inFlight: 1, failed: 3, dead: 0 })
  const last = world.worker()
  const third = new SharedQueue<number>(last, 'q')
  const attempts: Array<[number, number]> = []
  third.consume((item, { attempt }) => { attempts.push([item, attempt]); return new Promise(() => {}) }, { concurrency: 4 })
  await until(() => attempts.length === 4)
  t.same(attempts, [[1, 2], [2, 2], [3, 2], [5, 1]])
  alive.recover(last.slot)
  t.same((await other.deadLetters()).map(({ item, attempts }) => [item, attempts]), [[1, 2], [2, 2], [3, 2]])
  t.match((await other.deadLetters())[0]!.error, /worker in slot \d+ died/)
  t.match(await other.getStats(), { size: 1, inFlight: 1, dead: 3 })
  waiting.stop()
})

t.test('a handler that hangs loses its item after the visibility time-out, and the consumer goes on', async t => {
  const queue = queueOf<string>({ visibilityTimeout: 20, maxAttempts: 1 })
  const handled: string[] = []
  const consumer = queue.consume(async (item) => {
    handled.push(item)
    if (item === 'hangs') await new Promise(() => {})
  })
  await queue.push('hangs')
  await queue.push('next')
  await until(() => handled.includes('next'))
  await until(async () => (await queue.getStats()).dead === 1)
  await consumer.stop()
  t.same(handled, ['hangs', 'next'])
})

t.test('whatever a handler throws is a failure of its item and of nothing else', async t => {
  const thrown: unknown[] = [
    undefined, null, 5n, Symbol('x'), Object.create(null), Object.freeze(new Error('frozen')), Object.assign(new Error(), { message: undefined }),
    Object.defineProperty(new Error(), 'message', { get () { throw new Error('no message') } }),
    new Proxy({}, { getPrototypeOf () { throw new Error('a trap') }, get () { throw new Error('a trap') } })
  ]
  const queue = queueOf<number>({ maxAttempts: 1 })
  const consumer = queue.consume((n) => { throw thrown[n] })
  for (const n of thrown.keys()) await queue.push(n)
  await until(async () => (await queue.getStats()).dead === thrown.length)
  await consumer.stop()
  t.ok((await queue.deadLetters()).every(({ error }) => typeof error === 'string'))
})

t.test('options of methods are checked like those of the queue', async t => {
  const queue = queueOf<number>()
  for (const options of [null, 5, 'x', { foo: 1 }, { signal: null }, { signal: {} }]) {
    await t.rejects(queue.push(1, options as object), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
    await t.rejects(queue.pop(options as object), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  }
  for (const options of [null, 5, { foo: 1 }]) t.throws(() => queue.consume(() => {}, options as object), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.equal(await queue.getSize(), 0)
})

t.test('items whose handlers outlast the grace of a close are ready again, as if they had not been tried', async t => {
  const queue = queueOf<string>({ maxAttempts: 1 })
  const reasons: unknown[] = []
  queue.consume((_item, { signal }) => new Promise(() => signal.addEventListener('abort', () => reasons.push(signal.reason.code))))
  await queue.push('long')
  await until(async () => (await queue.getStats()).inFlight === 1)
  t.equal(await queue.stopConsumers(1), 1)
  t.same(reasons, ['FST_SWOOLE_CLOSED'])
  t.match(await queue.getStats(), { size: 1, inFlight: 0, dead: 0, failed: 0 })
})
