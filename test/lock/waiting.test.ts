import t from 'tap'
import { SharedLock } from '../../plugins/lock/memory.ts'
import type { LockType } from '../../plugins/lock/memory.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { World, holder } from '../shared-memory/world.ts'

const memory = createLocalMemory(1024 * 1024)
let names = 0
const fresh = (type: LockType = 'mutex') => new SharedLock(memory, `lock ${names++}`, { type })
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A lock, seen by several workers. */
function shared (count: number, type: LockType = 'mutex') {
  const world = new World()
  const workers = Array.from({ length: count }, () => world.worker())
  return { world, workers, locks: workers.map((worker) => new SharedLock(worker, 'x', { type })) as [SharedLock, SharedLock, SharedLock] }
}
const look = (memory: SharedMemory) => memory.doorbell.answer()

t.test('lock() does not block the event loop while somebody else holds the lock', async t => {
  const lock = fresh()
  const handle = await lock.lock()
  let isGranted = false
  const wait = lock.lock().then((handle) => {
    isGranted = true
    return handle
  })
  for (let n = 0; n < 10; n++) await turn()
  t.notOk(isGranted)
  handle.unlock()
  ;(await wait).unlock()
})

t.test('a wait ends with its time-out and says who holds the lock; nothing stays behind', async t => {
  const lock = fresh()
  const handle = await lock.lock()
  for (const timeout of [0, 1, '5ms'] as const) {
    await t.rejects(lock.lock({ timeout }), { code: 'FST_SWOOLE_LOCK_TIMEOUT', statusCode: 503, message: /^Lock "lock \d+" was not free within \d+ ms: it is held by worker 0 \(process \d+\)$/ })
  }
  t.match(lock.stats(), { held: 1, waiting: 0, contended: 2 })
  await t.rejects(lock.synchronized(() => t.fail('it ran'), { timeout: 1 }), { code: 'FST_SWOOLE_LOCK_TIMEOUT' })
  handle.unlock()
  lock.trylock()!.unlock()
})

t.test('time-outs among many waiters: the others are served in order', async t => {
  const lock = fresh()
  const handle = await lock.lock()
  const order: number[] = []
  const waits = Array.from({ length: 30 }, async (_, n) => {
    const handle = await lock.lock(n % 3 === 0 ? { timeout: 1 } : {})
    order.push(n)
    handle.unlock()
  })
  const results = Promise.allSettled(waits)
  await Promise.any([t.rejects(waits[27]!, { code: 'FST_SWOOLE_LOCK_TIMEOUT' })])
  handle.unlock()
  t.equal((await results).filter(({ status }) => status === 'rejected').length, 10)
  t.same(order, Array.from({ length: 30 }, (_, n) => n).filter((n) => n % 3 !== 0))
  t.same(lock.stats(), { held: 0, waiting: 0, acquired: 21, contended: 30, abandoned: 0 })
})

t.test('a time-out of 0 takes what is free, and a time-out longer than any timer is none', async () => {
  const lock = fresh()
  const handle = await lock.lock({ timeout: 0 })
  const wait = lock.lock({ timeout: '30d' })
  await turn()
  handle.unlock()
  ;(await wait).unlock()
})

t.test('a time-out that is no duration is refused', async t => {
  const lock = fresh()
  for (const timeout of ['soon', -1, NaN, {}]) {
    await t.rejects(lock.lock({ timeout: timeout as number }), { code: 'FST_SWOOLE_DURATION_INVALID', message: /lock "lock/ })
  }
})

t.test('a wait ends with its signal, before or behind others', async t => {
  const lock = fresh()
  const handle = await lock.lock()
  const [one, two] = [new AbortController(), new AbortController()]
  const waits = [lock.lock({ signal: one.signal }), lock.lock(), lock.lock({ signal: two.signal }), lock.lock()]
  const rejected = Promise.all([t.rejects(waits[0]!, { message: 'enough' }), t.rejects(waits[2]!, { name: 'AbortError' })])
  one.abort(new Error('enough'))
  two.abort()
  await rejected
  t.match(lock.stats(), { waiting: 2 })
  handle.unlock()
  ;(await waits[1]!).unlock()
  ;(await waits[3]!).unlock()
  await t.rejects(lock.lock({ signal: one.signal }), { message: 'enough' }, 'it is refused at once, though the lock is free')
  t.match(lock.stats(), { held: 0, waiting: 0 })
})

t.test('a signal that aborts after the lock was taken changes nothing', async t => {
  const lock = fresh()
  const controller = new AbortController()
  const handle = await lock.lock({ signal: controller.signal })
  const wait = lock.lock({ signal: controller.signal })
  handle.unlock()
  const next = await wait
  controller.abort()
  t.equal(lock.stats().held, 1)
  next.unlock()
})

for (const type of ['mutex', 'rwlock', 'spinlock', 'semaphore'] as const) {
  t.test(`a ${type}: a time-out after the grant keeps the lock, an abort after it passes the lock on`, async t => {
    const { workers, locks: [one, other, third] } = shared(3, type)
    const first = one.trylock()!
    const late = other.lock({ timeout: 1 })
    first.unlock()
    // The worker does not look at its bell, so it hears of the grant by its timer.
    const handle = await late
    const controller = new AbortController()
    const aborted = t.rejects(third.lock({ signal: controller.signal }), { name: 'AbortError' })
    const behind = one.lock()
    handle.unlock()
    controller.abort()
    await aborted
    look(workers[0]!)
    ;(await behind).unlock()
    t.same(one.stats(), { held: 0, waiting: 0, acquired: 3, contended: 3, abandoned: 0 })
  })

  t.test(`a ${type}: a waiter behind the first may give up while the first has yet to notice its grant`, async t => {
    const { workers, locks: [one, other] } = shared(2, type)
    const first = one.trylock()!
    const controller = new AbortController()
    const waits = [other.lock(), other.lock({ signal: controller.signal }), other.lock()]
    const aborted = t.rejects(waits[1]!, { name: 'AbortError' })
    first.unlock()
    controller.abort()
    await aborted
    look(workers[1]!)
    ;(await waits[0]!).unlock()
    ;(await waits[2]!).unlock()
    t.same(one.stats(), { held: 0, waiting: 0, acquired: 3, contended: 3, abandoned: 0 })
  })
}

t.test('a reader whose wait ends lets the writer behind it, and the readers behind that', async t => {
  const { workers, locks: [one, other, third] } = shared(3, 'rwlock')
  const writer = one.trylock()!
  const controller = new AbortController()
  const aborted = t.rejects(other.lockRead({ signal: controller.signal }), { name: 'AbortError' })
  const next = third.lock()
  const last = other.lockRead()
  controller.abort()
  await aborted
  writer.unlock()
  look(workers[2]!)
  ;(await next).unlock()
  look(workers[1]!)
  ;(await last).unlock()
  t.match(one.stats(), { held: 0, waiting: 0 })
})

t.test('a writer whose wait ends lets the readers behind it in', async t => {
  const { workers, locks: [one, other, third] } = shared(3, 'rwlock')
  const reader = one.trylockRead()!
  const waits = [t.rejects(other.lock({ timeout: 1 }), { code: 'FST_SWOOLE_LOCK_TIMEOUT' }), third.lockRead()] as const
  await waits[0]
  look(workers[2]!)
  ;(await waits[1]).unlock()
  reader.unlock()
})

t.test('when its application closes, what waits is rejected, and what it holds goes to the next as abandoned', async t => {
  for (const type of ['mutex', 'rwlock', 'spinlock', 'semaphore'] as const) {
    const { workers, locks: [, far] } = shared(2, type)
    const [closing, staying] = [workers[0]!.forApplication(), workers[0]!.forApplication()]
    const [lock, beside] = [new SharedLock(closing, 'x', { type }), new SharedLock(staying, 'x', { type })]
    const handle = await lock.lock()
    const rejected = Promise.all([lock.lock(), lock.lock()].map((wait) => t.rejects(wait, { code: 'FST_SWOOLE_CLOSED', statusCode: 503 })))
    const [next, last] = [far.lock(), beside.lock()]
    closing.close()
    await rejected
    await t.rejects(lock.lock(), { code: 'FST_SWOOLE_CLOSED' })
    t.throws(() => lock.trylock(), { code: 'FST_SWOOLE_CLOSED' })
    t.throws(() => handle.unlock(), { code: 'FST_SWOOLE_LOCK_NOT_HELD' })
    handle[Symbol.dispose]()
    look(workers[1]!)
    const abandoned = await next
    t.equal(abandoned.abandoned, true)
    abandoned.unlock()
    look(workers[0]!)
    const clean = await last
    t.equal(clean.abandoned, false)
    clean.unlock()
    t.same(far.stats(), { held: 0, waiting: 0, acquired: 3, contended: 4, abandoned: 1 })
  }
})

t.test('a grant that a closing application has yet to notice goes to the next, as it was', async t => {
  for (const isAbandoned of [false, true]) {
    const { world, workers, locks: [one, other, third] } = shared(3)
    const first = one.trylock()!
    const rejected = t.rejects(other.lock(), { code: 'FST_SWOOLE_CLOSED' })
    if (isAbandoned) {
      third.stats()
      workers[2]!.recover(workers[0]!.slot)
      look(workers[2]!)
    } else {
      first.unlock()
    }
    if (isAbandoned) new SharedLock(world.worker(), 'x').trylock()
    workers[1]!.close()
    await rejected
    const next = third.trylock()!
    t.equal(next.abandoned, isAbandoned)
    next.unlock()
    t.equal(third.stats().abandoned, isAbandoned ? 1 : 0)
  }
})

t.test('a closing application with a grant it has yet to notice takes none for its next waiter', async t => {
  const { workers, locks: [one, , third] } = shared(3)
  const application = workers[1]!.forApplication()
  const closing = new SharedLock(application, 'x')
  const first = one.trylock()!
  const rejected = [closing.lock(), closing.lock()].map((wait) => t.rejects(wait, { code: 'FST_SWOOLE_CLOSED' }))
  first.unlock()
  application.close()
  await Promise.all(rejected)
  t.equal(third.trylock()!.abandoned, false)
})

t.test('a worker that dies before it notices its grant has not abandoned anything', async t => {
  const { workers, locks: [one, other, third] } = shared(3)
  const first = one.trylock()!
  other.lock().catch(() => {})
  first.unlock()
  t.equal(third.trylock(), undefined)
  workers[2]!.recover(workers[1]!.slot)
  t.equal(third.trylock()!.abandoned, false)
  t.equal(third.stats().abandoned, 0)
})

t.test('a reader in the slot of one that died in line does not get in line for it', async t => {
  const { world, workers, locks: [one, other] } = shared(2, 'rwlock')
  const first = one.trylock()!
  other.lock().catch(() => {})
  other.lock().catch(() => {})
  workers[0]!.recover(workers[1]!.slot)
  first.unlock()
  const next = world.worker()
  t.equal(next.slot.index, workers[1]!.slot.index)
  new SharedLock(next, 'x', { type: 'rwlock' }).trylockRead()!.unlock()
  t.same(one.stats(), { held: 0, waiting: 0, acquired: 2, contended: 2, abandoned: 0 })
  const held = one.trylock()!
  const wait = one.lock()
  held.unlock()
  ;(await wait).unlock()
})

t.test('readers leave nothing behind when their application closes', async t => {
  const { workers, locks: [one, other] } = shared(2, 'rwlock')
  await one.lockRead()
  const writer = other.lock()
  workers[0]!.close()
  look(workers[1]!)
  const handle = await writer
  t.equal(handle.abandoned, false)
  handle.unlock()
})

t.test('every reader is told that a writer died, until a writer has had the lock', async t => {
  const { workers, locks: [one, other, third] } = shared(3, 'rwlock')
  one.trylock()
  const waiting = other.lockRead()
  workers[2]!.recover(workers[0]!.slot)
  // This one lets the other in, which then hears of it.
  third.trylockRead()?.unlock()
  look(workers[1]!)
  const first = await waiting
  const second = third.trylockRead()!
  t.same([first.abandoned, second.abandoned], [true, true])
  first.unlock()
  second.unlock()
  const writer = third.trylock()!
  t.equal(writer.abandoned, true)
  writer.unlock()
  t.equal(third.trylockRead()!.abandoned, false)
  t.equal(other.stats().abandoned, 1)
})

t.test('a wait that finds no room in the memory rejects, and leaves nothing behind', async t => {
  const world = new World()
  const worker = world.worker()
  const lock = new SharedLock(worker, 'x')
  worker.allocator.publish(worker.allocator.allocate(world.heapBytes - 65536), holder(1))
  let rest = 2
  for (let bytes = 32768; bytes >= 64;) {
    try {
      worker.allocator.publish(worker.allocator.allocate(bytes), holder(rest++))
    } catch {
      bytes /= 2
    }
  }
  const handle = lock.trylock()!
  await t.rejects(lock.lock({ timeout: 1 }), { code: 'FST_SWOOLE_MEMORY_FULL' })
  await t.rejects(new SharedLock(worker.forApplication(), 'x').lock(), { code: 'FST_SWOOLE_MEMORY_FULL' })
  handle.unlock()
  lock.trylock()!.unlock()
})
