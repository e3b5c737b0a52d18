import t from 'tap'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import { MEBIBYTE, World } from '../shared-memory/world.ts'

const own = createLocalMemory(16 * MEBIBYTE)
let queues = 0
const queueOf = <T = unknown>(options = {}) => new SharedQueue<T>(own, `queue ${++queues}`, options)

t.test('a pop waits for an item, in turn, and undefined is the answer after the time-out', async t => {
  const queue = queueOf<number>()
  t.equal(await queue.pop({ timeout: 2 }), undefined)
  const pops = [queue.pop({ timeout: '1m' }), queue.pop({ timeout: '1m' }), queue.pop({ timeout: '1m' })]
  for (const n of [1, 2, 3]) await queue.push(n)
  t.same(await Promise.all(pops), [1, 2, 3])
})

t.test('a pop that finds an item does not wait', async t => {
  const queue = queueOf<number>()
  await queue.push(1)
  t.equal(await queue.pop({ timeout: '1h' }), 1)
})

t.test('a push waits for room, and false is the answer after the time-out', async t => {
  const queue = queueOf<number>({ capacity: 1 })
  await queue.push(1)
  t.equal(await queue.push(2, { timeout: 2 }), false)
  const pushes = [queue.push(2, { timeout: '1m' }), queue.push(3, { timeout: '1m' })]
  t.equal(await queue.pop(), 1)
  t.equal(await queue.pop({ timeout: '1m' }), 2)
  t.equal(await queue.pop({ timeout: '1m' }), 3)
  t.same(await Promise.all(pushes), [true, true])
})

t.test('a push waits for room for its bytes; one item that goes makes room for several', async t => {
  const queue = queueOf<string>({ maxBytes: 100 })
  await queue.push('a'.repeat(100))
  const pushes = ['b', 'c', 'd'].map((letter) => queue.push(letter.repeat(30), { timeout: '1m' }))
  await queue.pop()
  t.same(await Promise.all(pushes), [true, true, true])
})

t.test('a push that waits keeps the bytes that it was given', async t => {
  const queue = queueOf<Uint8Array>({ capacity: 1 })
  await queue.push(Buffer.from('first'))
  const bytes = Buffer.from('second')
  const push = queue.push(bytes, { timeout: '1m' })
  bytes.fill(0)
  await queue.pop()
  await push
  t.equal(String(await queue.pop()), 'second')
})

t.test('clear, clearDeadLetters and an acknowledgement make room for who waits', async t => {
  const queue = queueOf<number>({ capacity: 1, maxAttempts: 1 })
  await queue.push(1)
  const second = queue.push(2, { timeout: '1m' })
  await queue.clear()
  t.equal(await second, true)
  const failing = queue.consume(() => { throw new Error('no') })
  const third = queue.push(3, { timeout: '1m' })
  while ((await queue.getStats()).dead === 0) await new Promise((resolve) => setImmediate(resolve))
  await failing.stop()
  await queue.clearDeadLetters()
  t.equal(await third, true)
  const fourth = queue.push(4, { timeout: '1m' })
  const consumer = queue.consume(() => {})
  t.equal(await fourth, true)
  await consumer.stop()
})

t.test('an abort ends a wait with its reason, and takes nothing', async t => {
  const queue = queueOf<number>({ capacity: 1 })
  const reason = new Error('enough')
  const aborted = AbortSignal.abort(reason)
  await t.rejects(queue.pop({ timeout: '1m', signal: aborted }), reason)
  const controller = new AbortController()
  const pop = queue.pop({ timeout: '1m', signal: controller.signal })
  controller.abort(reason)
  await t.rejects(pop, reason)
  await queue.push(1)
  await t.rejects(queue.pop({ signal: aborted }), reason)
  const other = new AbortController()
  const push = queue.push(2, { timeout: '1m', signal: other.signal })
  other.abort(reason)
  await t.rejects(push, reason)
  t.equal(await queue.pop(), 1)
  t.equal(await queue.pop(), undefined)
})

t.test('a pop that is aborted when an item was meant for it leaves the item to the next who waits', async t => {
  const queue = queueOf<number>()
  const controller = new AbortController()
  const first = queue.pop({ timeout: '1m', signal: controller.signal })
  const second = queue.pop({ timeout: '1m' })
  await queue.push(1)
  controller.abort(new Error('enough'))
  const results = await Promise.allSettled([first, second.then((item) => item === 1 ? queue.push(2) : true)])
  if (results[0].status === 'fulfilled') await queue.push(2)
  t.ok([1, 2].includes(await second as number))
})

t.test('a push that is aborted when room was meant for it leaves the room to one of another worker', async t => {
  const world = new World()
  const [one, other] = [world.worker(), world.worker()]
  const [queue, others] = [one, other].map((memory) => new SharedQueue<number>(memory, 'q', { capacity: 1 })) as [SharedQueue<number>, SharedQueue<number>]
  await queue.push(1)
  const controller = new AbortController()
  const aborted = t.rejects(queue.push(2, { timeout: '1m', signal: controller.signal }), { message: 'enough' })
  const push = others.push(3, { timeout: '1m' })
  queue.pop()
  controller.abort(new Error('enough'))
  await aborted
  // The bell of the other worker, which nothing connects to this one here.
  other.doorbell.answer()
  t.equal(await push, true)
})

t.test('a duration that is none is refused', async t => {
  const queue = queueOf<number>()
  await t.rejects(queue.pop({ timeout: 'soon' }), { code: 'FST_SWOOLE_DURATION_INVALID' })
  await t.rejects(queue.push(1, { timeout: -1 }), { code: 'FST_SWOOLE_DURATION_INVALID' })
  await t.rejects(queue.push(1, { delay: 'later' }), { code: 'FST_SWOOLE_DURATION_INVALID' })
  t.equal(await queue.getSize(), 0)
})

t.test('a delayed item comes when it is due, and who waits for it wakes by itself', async t => {
  const queue = queueOf<string>()
  const pushedAt = Date.now()
  await queue.push('later', { delay: 30 })
  await queue.push('now')
  t.equal(await queue.pop(), 'now')
  t.equal(await queue.pop(), undefined)
  t.equal(await queue.isEmpty(), false)
  t.equal(await queue.pop({ timeout: '1m' }), 'later')
  t.ok(Date.now() >= pushedAt + 30)
})

t.test('delayed items come in the order in which they are due', async t => {
  const queue = queueOf<number>()
  const delays = [40, 10, 30, 20, 5, 35]
  for (const delay of delays) await queue.push(delay, { delay })
  const popped = []
  while (popped.length < delays.length) popped.push(await queue.pop({ timeout: '1m' }))
  t.same(popped, delays.toSorted((a, b) => a - b))
})

t.test('who waits for a later item hears of one that is due before it', async t => {
  const queue = queueOf<string>()
  await queue.push('late', { delay: '1h' })
  const pop = queue.pop({ timeout: '1m' })
  await queue.push('early', { delay: 5 })
  t.equal(await pop, 'early')
})

t.test('the close ends every wait', async t => {
  const memory = new World().worker()
  const queue = new SharedQueue<number>(memory, 'closing', { capacity: 1 })
  const pops = [queue.pop({ timeout: '1m' }), queue.pop({ timeout: '1m' })].map((pop) => t.rejects(pop, { code: 'FST_SWOOLE_CLOSED' }))
  memory.close()
  await Promise.all(pops)
  const other = new World().worker()
  const full = new SharedQueue<number>(other, 'closing', { capacity: 1 })
  await full.push(1)
  const push = t.rejects(full.push(2, { timeout: '1m' }), { code: 'FST_SWOOLE_CLOSED' })
  other.close()
  await push
})
