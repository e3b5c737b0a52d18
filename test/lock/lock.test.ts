import t from 'tap'
import { EXCLUSIVE } from '../../plugins/lock/layout.ts'
import { lineOf } from '../../plugins/lock/line.ts'
import { SharedLock } from '../../plugins/lock/memory.ts'
import type { LockOptions } from '../../plugins/lock/memory.ts'
import type { Waiter } from '../../plugins/lock/waiters.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { everyPlace, interruptedAt } from '../shared-memory/crashing.ts'
import { World } from '../shared-memory/world.ts'

const memory = createLocalMemory(4 * 1024 * 1024)
let names = 0
const fresh = (options?: LockOptions) => new SharedLock(memory, `lock ${names++}`, options)
const nothing = { held: 0, waiting: 0, acquired: 0, contended: 0, abandoned: 0 }

for (const type of ['mutex', 'rwlock', 'spinlock', 'semaphore'] as const) {
  t.test(`a ${type} has one holder, and goes to the others in the order in which they came`, async t => {
    const lock = fresh({ type })
    const first = await lock.lock()
    t.equal(lock.trylock(), undefined)
    const order: number[] = []
    const waits = [0, 1, 2, 3].map(async (n) => {
      const handle = await lock.lock()
      order.push(n)
      t.equal(lock.trylock(), undefined)
      handle.unlock()
    })
    t.match(lock.stats(), { held: 1, waiting: 4 })
    first.unlock()
    await Promise.all(waits)
    t.same(order, [0, 1, 2, 3])
    t.same(lock.stats(), { ...nothing, acquired: 5, contended: 4 })
    const handle = lock.trylock()
    t.ok(handle, 'trylock takes it when it is free')
    handle!.unlock()
  })

  t.test(`a ${type}: whoever tries gets nothing while somebody waits`, async t => {
    const world = new World()
    const [one, other] = [world.worker(), world.worker()].map((worker) => ({ worker, lock: new SharedLock(worker, 'x', { type }) })) as [{ worker: ReturnType<World['worker']>, lock: SharedLock }, { worker: ReturnType<World['worker']>, lock: SharedLock }]
    const held = one.lock.trylock()!
    const wait = other.lock.lock()
    held.unlock()
    t.equal(one.lock.trylock(), undefined, 'it is granted to the other, which has yet to notice')
    other.worker.doorbell.answer()
    ;(await wait).unlock()
    one.lock.trylock()!.unlock()
    t.same(one.lock.stats(), { ...nothing, acquired: 3, contended: 1 })
  })

  t.test(`a ${type}: the fencing token grows with every acquisition, by whatever worker`, async t => {
    const world = new World()
    const locks = [world.worker(), world.worker()].map((worker) => new SharedLock(worker, 'x', { type }))
    let last = 0
    for (let n = 0; n < 20; n++) {
      const handle = await locks[n % 2]!.lock()
      t.ok(handle.fencingToken > last)
      last = handle.fencingToken
      handle.unlock()
    }
    t.equal(locks[0]!.stats().acquired, 20)
  })

  t.test(`a ${type}: each handle unlocks once, and not what somebody else holds by now`, async t => {
    const lock = fresh({ type })
    const handle = await lock.lock()
    handle.unlock()
    t.throws(() => handle.unlock(), { code: 'FST_SWOOLE_LOCK_NOT_HELD', statusCode: 500 })
    const next = await lock.lock()
    t.throws(() => handle.unlock(), { code: 'FST_SWOOLE_LOCK_NOT_HELD' })
    t.equal(lock.stats().held, 1)
    next.unlock()
  })

  t.test(`a ${type}: using gives it back at the end of the block, and says nothing when that was done before`, async t => {
    const lock = fresh({ type })
    {
      using handle = await lock.lock()
      t.equal(handle.abandoned, false)
      t.equal(lock.stats().held, 1)
    }
    t.equal(lock.stats().held, 0)
    {
      await using handle = await lock.lock()
      handle.unlock()
    }
    t.equal(lock.stats().held, 0)
  })

  t.test(`a ${type}: synchronized gives its result or its error, and the lock back`, async t => {
    const lock = fresh({ type })
    t.equal(await lock.synchronized(({ fencingToken }) => fencingToken), 1)
    t.equal(await lock.synchronized(async (handle) => {
      t.equal(lock.stats().held, 1)
      handle.unlock()
      return 'done'
    }), 'done')
    await t.rejects(lock.synchronized(() => { throw new Error('thrown') }), { message: 'thrown' })
    await t.rejects(lock.synchronized(async () => { throw new Error('rejected') }), { message: 'rejected' })
    t.equal(lock.stats().held, 0)
  })

  t.test(`a ${type}: 10,000 waiters of one worker each get it`, async t => {
    const lock = fresh({ type })
    let inside = 0
    let total = 0
    await Promise.all(Array.from({ length: 10_000 }, () => lock.synchronized(async () => {
      if (++inside !== 1) t.fail('two are inside')
      await null
      total++
      inside--
    })))
    t.equal(total, 10_000)
    t.match(lock.stats(), { held: 0, waiting: 0, acquired: 10_000, contended: 9_999 })
  })

  t.test(`a ${type} is one in all applications of a worker and in all workers`, async t => {
    const world = new World()
    const worker = world.worker()
    const [one, other, far] = [worker.forApplication(), worker.forApplication(), world.worker()].map((memory) => new SharedLock(memory, 'x', { type })) as [SharedLock, SharedLock, SharedLock]
    const handle = one.trylock()!
    t.equal(other.trylock(), undefined)
    t.equal(far.trylock(), undefined)
    const order: string[] = []
    const waits = [other.lock().then((handle) => { order.push('other'); handle.unlock() }), one.lock().then((handle) => { order.push('one'); handle.unlock() })]
    handle.unlock()
    await Promise.all(waits)
    t.same(order, ['other', 'one'])
    far.trylock()!.unlock()
  })
}

t.test('a semaphore never has more holders than permits, and all of them can be held', async t => {
  const lock = fresh({ type: 'semaphore', permits: 5 })
  let inside = 0
  let most = 0
  await Promise.all(Array.from({ length: 200 }, (_, n) => lock.synchronized(async () => {
    most = Math.max(most, ++inside)
    for (let turn = 0; turn < 20 + n % 7; turn++) await null
    inside--
  })))
  t.equal(most, 5)
  t.same(lock.stats(), { ...nothing, acquired: 200, contended: 195 })
  const handles = Array.from({ length: 5 }, () => lock.trylock())
  t.ok(handles.every(Boolean))
  t.equal(lock.trylock(), undefined)
  t.equal(new Set(handles.map((handle) => handle!.fencingToken)).size, 5)
  for (const handle of handles) handle!.unlock()
})

t.test('a semaphore has up to 65,535 permits', async t => {
  const lock = fresh({ type: 'semaphore', permits: 65_535 })
  const handles = Array.from({ length: 65_535 }, () => lock.trylock())
  t.ok(handles.every(Boolean))
  t.equal(lock.trylock(), undefined)
  const wait = lock.lock()
  handles[40_000]!.unlock()
  ;(await wait).unlock()
  t.equal(lock.stats().held, 65_534)
})

t.test('readers of an rwlock are in together, a writer is alone', async t => {
  const lock = fresh({ type: 'rwlock' })
  const readers = [await lock.lockRead(), await lock.lockRead(), lock.trylockRead()!]
  t.equal(lock.stats().held, 3)
  t.equal(lock.trylock(), undefined)
  let isIn = false
  const writer = lock.lock().then((handle) => {
    isIn = true
    return handle
  })
  for (const reader of readers) {
    await null
    t.notOk(isIn)
    reader.unlock()
  }
  const handle = await writer
  t.equal(lock.trylockRead(), undefined)
  const after = [lock.lockRead(), lock.lockRead()]
  t.match(lock.stats(), { held: 1, waiting: 2 })
  handle.unlock()
  for (const reader of await Promise.all(after)) reader.unlock()
  t.same(lock.stats(), { ...nothing, acquired: 6, contended: 3 })
  t.equal(await lock.synchronizedRead(() => lock.stats().held), 1)
})

t.test('readers that come after a waiting writer of an rwlock wait behind it, so a stream of them does not starve it', async t => {
  const world = new World()
  const [reading, writing] = [world.worker(), world.worker()]
  const readSide = new SharedLock(reading, 'x', { type: 'rwlock' })
  const writeSide = new SharedLock(writing, 'x', { type: 'rwlock' })
  const first = readSide.trylockRead()!
  const order: string[] = []
  const writer = writeSide.lock().then((handle) => { order.push('writer'); return handle })
  t.equal(readSide.trylockRead(), undefined)
  const readers = [0, 1, 2].map(() => readSide.lockRead().then((handle) => { order.push('reader'); return handle }))
  first.unlock()
  writing.doorbell.answer()
  const handle = await writer
  t.same(order, ['writer'])
  handle.unlock()
  reading.doorbell.answer()
  for (const reader of await Promise.all(readers)) reader.unlock()
  t.same(readSide.stats(), { ...nothing, acquired: 5, contended: 4 })
})

t.test('more readers than are granted in one go all get in', async t => {
  const lock = fresh({ type: 'rwlock' })
  const writer = await lock.lock()
  const readers = Array.from({ length: 1000 }, () => lock.lockRead())
  writer.unlock()
  await Promise.all(readers)
  t.match(lock.stats(), { held: 1000, waiting: 0 })
})

t.test('only an rwlock has a read side', async t => {
  for (const type of ['mutex', 'spinlock', 'semaphore'] as const) {
    const lock = fresh({ type })
    await t.rejects(lock.lockRead(), { code: 'FST_SWOOLE_LOCK_TYPE', message: /type ".*"$/ })
    await t.rejects(lock.synchronizedRead(() => {}), { code: 'FST_SWOOLE_LOCK_TYPE' })
    t.throws(() => lock.trylockRead(), { code: 'FST_SWOOLE_LOCK_TYPE' })
  }
})

for (const [options, message] of [
  [{ type: 'sem' }, 'Lock "checked" has the type "sem", but must be of type "mutex", "rwlock", "spinlock" or "semaphore"'],
  [{ type: 3 }, 'Lock "checked" has the type 3, but must be of type "mutex", "rwlock", "spinlock" or "semaphore"'],
  [{ permits: 2 }, 'Lock "checked" is of type mutex and has permits: 2, but only a semaphore has permits'],
  [{ type: 'semaphore', permits: 0 }, 'Lock "checked" has permits: 0, but must have an integer from 1 to 65535'],
  [{ type: 'semaphore', permits: 65_536 }, 'Lock "checked" has permits: 65536, but must have an integer from 1 to 65535'],
  [{ type: 'semaphore', permits: 1.5 }, 'Lock "checked" has permits: 1.5, but must have an integer from 1 to 65535'],
  [{ type: 'semaphore', permits: '2' }, 'Lock "checked" has permits: "2", but must have an integer from 1 to 65535']
] as const) {
  t.test(`the options ${JSON.stringify(options)} are refused with the reason`, async t => {
    t.throws(() => new SharedLock(memory, 'checked', options as LockOptions), { code: 'FST_SWOOLE_LOCK_TYPE', message })
  })
}

t.test('a deadlockTimeout that is no duration is refused', async t => {
  t.throws(() => fresh({ deadlockTimeout: 'soon' }), { code: 'FST_SWOOLE_DURATION_INVALID', message: /deadlockTimeout of the lock/ })
})

t.test('one name is one type and one number of permits', async t => {
  new SharedLock(memory, 'defined', { type: 'semaphore', permits: 3 }).trylock()!.unlock()
  t.throws(() => new SharedLock(memory, 'defined'), { code: 'FST_SWOOLE_SCHEMA_MISMATCH' })
  t.throws(() => new SharedLock(memory, 'defined', { type: 'semaphore', permits: 4 }), { code: 'FST_SWOOLE_SCHEMA_MISMATCH' })
  t.ok(new SharedLock(memory, 'defined', { type: 'semaphore', permits: 3, deadlockTimeout: false }))
})

t.test('a name that is none is refused', async t => {
  for (const name of ['', 'x'.repeat(1025), 5, undefined]) t.throws(() => new SharedLock(memory, name as string), { code: 'FST_SWOOLE_NAME_INVALID' })
})

t.test('a semaphore without permits has one', async t => {
  const lock = fresh({ type: 'semaphore' })
  t.ok(lock.trylock())
  t.equal(lock.trylock(), undefined)
})

t.test('a permit that is free can be taken while a worker has yet to notice that it was granted another', async t => {
  const world = new World()
  const [one, other, third] = [0, 1, 2].map(() => {
    const worker = world.worker()
    return { worker, lock: new SharedLock(worker, 'x', { type: 'semaphore', permits: 2 }) }
  }) as [{ worker: SharedMemory, lock: SharedLock }, { worker: SharedMemory, lock: SharedLock }, { worker: SharedMemory, lock: SharedLock }]
  const handles = [one.lock.trylock()!, one.lock.trylock()!]
  const wait = other.lock.lock()
  for (const handle of handles) handle.unlock()
  const handle = third.lock.trylock()
  t.ok(handle)
  t.equal(third.lock.trylock(), undefined, 'the other one is granted')
  const behind = third.lock.lock()
  handle!.unlock()
  other.worker.doorbell.answer()
  ;(await wait).unlock()
  third.worker.doorbell.answer()
  ;(await behind).unlock()
  t.match(one.lock.stats(), { held: 0, waiting: 0 })
})

t.test('a writer that tries while others read keeps no other reader out, at any moment', async t => {
  let places = 0
  everyPlace((n) => {
    const world = new World().trace()
    const [writing, reading, staying] = [0, 1, 2].map(() => new SharedLock(world.worker(), 'x', { type: 'rwlock' })) as [SharedLock, SharedLock, SharedLock]
    reading.trylockRead()!.unlock()
    staying.trylockRead()
    places++
    return interruptedAt(n, () => writing.trylock(), () => {
      // Inside the guard nobody else can be.
      if (world.region.i32[writing.payload / 4] === 0 && reading.trylockRead() === undefined) t.fail(`access ${n}: a reader is kept out`)
    })
  })
  t.ok(places > 3)
})

t.test('a full stack inside the guard does not leave it closed, and who was granted something then is told afterwards', async t => {
  const world = new World()
  const memory = world.worker()
  const lock = new SharedLock(memory, 'x')
  const line = lineOf(memory, lock.payload, lock.definition)
  const held = new SharedLock(world.worker(), 'x').trylock()!
  const waiter = (): Waiter => ({ kind: EXCLUSIVE, ticket: 0, isInLine: false, before: undefined, behind: undefined, granted: (taken) => line.putBack(taken) })
  line.enter(waiter())
  const deeper = (another = waiter()): void => {
    try {
      line.enter(another)
    } finally {
      line.remove(another)
    }
    deeper()
  }
  let overflows = 0
  for (let padding = 0; padding < 100; padding++) {
    try {
      ((..._padding: unknown[]) => deeper())(...new Array(padding * 7))
    } catch (error) {
      if (error instanceof RangeError) overflows++
    }
    if (world.region.i32[lock.payload / 4] !== 0) t.fail(`${padding}: the guard is closed`)
  }
  t.equal(overflows, 100)
  held.unlock()
  memory.doorbell.answer()
  await new Promise((resolve) => setImmediate(resolve))
  t.match(lock.stats(), { held: 0, waiting: 0 })
})

t.test('wrong options are refused before anything is taken or waited for', async t => {
  for (const options of [null, 'rwlock', 5, { foo: 1 }, { type: 'semaphore', permit: 5 }]) {
    t.throws(() => fresh(options as LockOptions), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  }
  const lock = fresh()
  const handle = await lock.lock()
  for (const wait of [null, 5, '5s', { foo: 1 }, { signal: null }, { signal: { aborted: false, throwIfAborted () {} } }]) {
    await t.rejects(lock.lock(wait as object), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
    await t.rejects(lock.synchronized(() => {}, wait as object), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  }
  await t.rejects(lock.synchronized(undefined as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  handle.unlock()
  t.match(lock.stats(), { held: 0, waiting: 0 })
  lock.trylock()!.unlock()
})
