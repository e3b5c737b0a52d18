import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { begin, heldIn } from '../../plugins/lock/contexts.ts'
import type { Context } from '../../plugins/lock/contexts.ts'
import { SharedLock } from '../../plugins/lock/memory.ts'
import type { LockHandle, LockOptions } from '../../plugins/lock/memory.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { World } from '../shared-memory/world.ts'

/** Runs something as if nothing was held: what a test holds, all that it starts would hold, too. */
const apart = AsyncLocalStorage.snapshot()
const QUICK = 20
/** Long enough for several looks of each waiter. */
const SEVERAL_LOOKS_MS = 200
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Workers that notice what they are granted, each with the locks of these names. */
function workers (t: { teardown (end: () => void): void }, count: number, names: Record<string, LockOptions>, deadlockTimeout: number | false = QUICK) {
  const world = new World()
  const all = Array.from({ length: count }, () => world.worker())
  const bells = setInterval(() => { for (const memory of all) memory.doorbell.answer() }, 2)
  t.teardown(() => clearInterval(bells))
  const open = (memory: SharedMemory) => Object.fromEntries(Object.entries(names).map(([name, options]) => [name, new SharedLock(memory, name, { deadlockTimeout, ...options })])) as Record<string, SharedLock>
  return { world, all, locks: all.map(open) }
}

const outcome = (wait: Promise<unknown>) => wait.then(() => 'done', (error) => error.code as string)
const outcomes = async (waits: Array<Promise<unknown>>) => (await Promise.all(waits.map(outcome))).sort()

/** Nested `synchronized` or raw locks, both ways to hold one and wait for another. */
const nestings: Record<string, (outer: SharedLock, inner: SharedLock, between: () => Promise<unknown>) => Promise<void>> = {
  synchronized: (outer, inner, between) => outer.synchronized(async () => {
    await between()
    await inner.synchronized(() => {})
  }),
  'lock and unlock': async (outer, inner, between) => {
    const first = await outer.lock()
    try {
      await between()
      const second = await inner.lock()
      second.unlock()
    } finally {
      first.unlock()
    }
  }
}

for (const [how, nest] of Object.entries(nestings)) {
  t.test(`${how}: two contexts of two workers, of one worker, or of two applications in a circle: the younger is refused, the other goes on`, async t => {
    for (const [one, other] of [[0, 1], [0, 0]] as const) {
      const { locks, all } = workers(t, 2, { a: {}, b: {} })
      const errors: Error[] = []
      const both = Promise.withResolvers<void>()
      const first = nest(locks[one]!['a']!, locks[one]!['b']!, () => both.promise)
      const second = nest(locks[other]!['b']!, locks[other]!['a']!, async () => {
        both.resolve()
        await sleep(5)
      }).catch((error) => { errors.push(error) })
      await first
      await second
      t.match(errors, [{ code: 'FST_SWOOLE_DEADLOCK', statusCode: 503 }])
      t.match(errors[0]!.message, /^Waiting for the lock "a" would never end: "a" is held by worker 0 \(process \d+\), which waits for "b"; "b" is held by worker 0 \(process \d+\), which waits for "a"$/)
      for (const name of ['a', 'b']) t.match(locks[0]![name]!.stats(), { held: 0, waiting: 0 })
      all.forEach((memory) => memory.close())
    }
  })

  t.test(`${how}: a circle of three workers`, async t => {
    const { locks } = workers(t, 3, { a: {}, b: {}, c: {} })
    const names = ['a', 'b', 'c']
    t.same(await outcomes(locks.map((own, n) => nest(own[names[n]!]!, own[names[(n + 1) % 3]!]!, turn))), ['FST_SWOOLE_DEADLOCK', 'done', 'done'])
  })

  t.test(`${how}: who waits long without a circle is not refused`, async t => {
    const { locks } = workers(t, 3, { a: {}, b: {}, c: {} })
    const last = await locks[2]!['c']!.lock()
    const waits = [nest(locks[0]!['a']!, locks[0]!['b']!, turn), nest(locks[1]!['b']!, locks[1]!['c']!, turn)]
    await sleep(SEVERAL_LOOKS_MS)
    last.unlock()
    t.same(await outcomes(waits), ['done', 'done'])
  })
}

t.test('synchronized inside synchronized of the same lock waits for itself, and is refused', async t => {
  const { locks: [locks] } = workers(t, 1, { a: {} })
  t.equal(await outcome(nestings['synchronized']!(locks!['a']!, locks!['a']!, turn)), 'FST_SWOOLE_DEADLOCK')
  t.match(locks!['a']!.stats(), { held: 0, waiting: 0 })
})

t.test('who calls a function that takes a lock, and calls it again, does not wait for itself', async t => {
  const { locks: [own] } = workers(t, 1, { a: {}, r: { type: 'rwlock' } })
  const holdFor = async (take: () => Promise<LockHandle>) => {
    const handle = await take()
    await sleep(SEVERAL_LOOKS_MS)
    handle.unlock()
  }
  // With `async` functions the context that is begun inside goes on in the caller.
  const first = [holdFor(() => own!['a']!.lock()), holdFor(() => own!['r']!.lockRead())]
  await sleep(5)
  const second = [holdFor(() => own!['a']!.lock()), holdFor(() => own!['r']!.lock())]
  t.same(await outcomes([...first, ...second]), ['done', 'done', 'done', 'done'])
})

t.test('a deadlockTimeout longer than any timer is as good as none', async t => {
  const { locks: [own] } = workers(t, 1, { a: { deadlockTimeout: '30d' } })
  const wait = own!['a']!.synchronized(() => own!['a']!.lock({ timeout: SEVERAL_LOOKS_MS }))
  t.equal(await outcome(wait), 'FST_SWOOLE_LOCK_TIMEOUT')
})

t.test('a deadlockTimeout that is given later holds for the waits from then on', async t => {
  const { locks: [own] } = workers(t, 1, { a: {} }, false)
  const nest = () => outcome(own!['a']!.synchronized(() => own!['a']!.lock({ timeout: SEVERAL_LOOKS_MS })))
  t.equal(await nest(), 'FST_SWOOLE_LOCK_TIMEOUT')
  own!['a']!.reopen({ deadlockTimeout: QUICK })
  t.equal(await nest(), 'FST_SWOOLE_DEADLOCK')
  own!['a']!.reopen({})
  t.equal(await nest(), 'FST_SWOOLE_DEADLOCK')
})

t.test('a look goes over all waits of a worker once, however many there are, and finds the circle among them', async t => {
  const COUNT = 900
  const { locks: [own, far] } = workers(t, 2, { hot: {}, s: { type: 'semaphore', permits: COUNT }, a: {}, b: {} }, 50)
  const hot = own!['hot']!.trylock()!
  const controller = new AbortController()
  const many = Array.from({ length: COUNT }, () => outcome(own!['s']!.synchronized(() => own!['hot']!.lock({ signal: controller.signal }))))
  await turn()
  const { load } = Atomics
  let loads = 0
  Atomics.load = ((words: Int32Array, index: number) => {
    loads++
    return load(words, index)
  }) as typeof load
  t.teardown(() => { Atomics.load = load })
  const circle = outcomes([nestings['synchronized']!(own!['a']!, own!['b']!, turn), nestings['synchronized']!(far!['b']!, far!['a']!, turn)])
  t.same(await circle, ['FST_SWOOLE_DEADLOCK', 'done'])
  // About 20,000 for one look at all; a look for each wait would be 16 million.
  t.ok(loads < 1_000_000, `${loads} loads`)
  controller.abort()
  await Promise.all(many)
  hot.unlock()
  t.match(own!['s']!.stats(), { held: 0, waiting: 0 })
})

t.test('what waits beyond the room of the table is not looked at, and disturbs nobody', async t => {
  const COUNT = 1500
  const { locks: [own] } = workers(t, 1, { hot: {}, s: { type: 'semaphore', permits: COUNT }, a: {} })
  const hot = own!['hot']!.trylock()!
  const many = Array.from({ length: COUNT }, () => outcome(own!['s']!.synchronized(() => own!['hot']!.lock().then((handle) => handle.unlock()))))
  await sleep(2 * QUICK)
  t.equal(await outcome(own!['a']!.synchronized(() => own!['a']!.lock({ timeout: SEVERAL_LOOKS_MS }))), 'FST_SWOOLE_LOCK_TIMEOUT')
  hot.unlock()
  t.same(new Set(await Promise.all(many)), new Set(['done']))
  t.equal(await outcome(own!['a']!.synchronized(() => own!['a']!.lock())), 'FST_SWOOLE_DEADLOCK', 'there is room again')
})

t.test('contexts whose locks were given back are let go, in whatever order that was', async t => {
  const { locks: [own] } = workers(t, 1, { s: { type: 'semaphore', permits: 10 } })
  const handles: LockHandle[] = []
  for (let n = 0; n < 1000; n++) {
    handles.push(await own!['s']!.lock())
    if (handles.length > 3) handles.shift()!.unlock()
  }
  let length = 0
  for (let context: Context | undefined = begin(); context !== undefined; context = context.parent) length++
  t.ok(length > 3 && length < 20, `${length} contexts`)
  t.equal(heldIn(begin(), own!['s']!.worker, 0).length, 3)
  for (const handle of handles) handle.unlock()
})

t.test('a reader of an rwlock that wants to write waits for itself, and so do two', async t => {
  const { locks } = workers(t, 2, { a: { type: 'rwlock' } })
  const both = locks.map(({ a }) => a!.synchronizedRead(async () => {
    await turn()
    await a!.synchronized(() => {})
  }))
  t.same(await outcomes(both), ['FST_SWOOLE_DEADLOCK', 'FST_SWOOLE_DEADLOCK'])
})

t.test('a reader that reads once more behind a writer in line, which holds nothing', async t => {
  const { locks: [reading, writing] } = workers(t, 2, { a: { type: 'rwlock' } })
  const writer = Promise.withResolvers<Promise<LockHandle>>()
  const again = reading!['a']!.synchronizedRead(async () => {
    writer.resolve(writing!['a']!.lock())
    await turn()
    await reading!['a']!.synchronizedRead(() => {})
  })
  await t.rejects(again, { code: 'FST_SWOOLE_DEADLOCK', message: /: worker 0 \(process \d+\) is before it in line for "a" and wants to write; "a" is held by worker 0 \(process \d+\), which waits for "a"$/ })
  ;(await (await writer.promise)).unlock()
})

t.test('a semaphore is no circle while one of its holders can go on', async t => {
  const options = { type: 'semaphore', permits: 2 } as const
  const { locks: [one, other, free] } = workers(t, 3, { s: options, m: {} })
  const running = await free!['s']!.lock()
  const waits = [
    one!['s']!.synchronized(async () => {
      await sleep(5)
      await one!['m']!.synchronized(() => {})
    }),
    other!['m']!.synchronized(async () => {
      await sleep(10)
      await other!['s']!.synchronized(() => {})
    })
  ]
  await sleep(SEVERAL_LOOKS_MS)
  t.match(one!['s']!.stats(), { waiting: 1 })
  t.match(one!['m']!.stats(), { waiting: 1 })
  running.unlock()
  t.same(await outcomes(waits), ['done', 'done'])
})

t.test('a semaphore of which every permit is held by somebody that waits for it is a circle', async t => {
  const { locks } = workers(t, 2, { s: { type: 'semaphore', permits: 2 } })
  const waits = locks.map(({ s }) => s!.synchronized(async () => {
    await turn()
    await s!.synchronized(() => {})
  }))
  t.same(await outcomes(waits), ['FST_SWOOLE_DEADLOCK', 'done'])
})

t.test('a wait with a time-out in a circle ends with whichever comes first', async t => {
  const { locks: [own] } = workers(t, 1, { a: {} })
  const wait = own!['a']!.synchronized(() => own!['a']!.lock({ timeout: 1 }))
  t.equal(await outcome(wait), 'FST_SWOOLE_LOCK_TIMEOUT')
})

t.test('locks that are taken beside each other are not taken for nested', async t => {
  const { locks: [own, far] } = workers(t, 2, { a: {}, b: {} })
  const holdThenRelease = async (lock: SharedLock) => {
    const handle = await lock.lock()
    await sleep(SEVERAL_LOOKS_MS)
    handle.unlock()
  }
  const b = await far!['b']!.lock()
  // Were the second inside the first, it would hold "a" and wait for "b", whose holder waits for "a".
  const beside = Promise.all([holdThenRelease(own!['a']!), own!['b']!.lock()])
  const crossing = far!['a']!.lock().finally(() => b.unlock())
  t.equal(await outcome(crossing.then((handle) => handle.unlock())), 'done')
  const [, handle] = await beside
  handle.unlock()
})

t.test('a wait that is started while a lock is held, and not awaited, is no circle once that lock is given back', async t => {
  const { locks: [own, far] } = workers(t, 2, { a: {}, b: {} }, 60)
  const b = await far!['b']!.lock()
  let started: Promise<LockHandle> | undefined
  const holding = own!['a']!.synchronized(async () => {
    started = own!['b']!.lock()
  })
  await holding
  const crossing = far!['a']!.lock().then(async (handle) => {
    await sleep(SEVERAL_LOOKS_MS)
    handle.unlock()
    b.unlock()
  })
  t.same(await outcomes([holding, crossing, started!.then((handle) => handle.unlock())]), ['done', 'done', 'done'])
})

t.test('what was given back between two looks is held no more', async t => {
  const { locks: [own, far] } = workers(t, 2, { a: {}, b: {} })
  const b = await far!['b']!.lock()
  const a = await own!['a']!.lock()
  const waiting = own!['b']!.lock()
  await sleep(3 * QUICK)
  // Its wait for "b" was published together with "a". Were that so still, the next one, which holds "b", would wait for it.
  a.unlock()
  const nested = await far!['a']!.lock()
  t.equal(await outcome(far!['a']!.lock({ timeout: 3 * QUICK })), 'FST_SWOOLE_LOCK_TIMEOUT')
  nested.unlock()
  b.unlock()
  ;(await waiting).unlock()
})

t.test('what a context holds in one memory is not held in another', async t => {
  const { locks: [one] } = workers(t, 1, { a: {} })
  const { locks: [other] } = workers(t, 1, { a: {} })
  const second = await apart(() => other!['a']!.lock())
  const wait = one!['a']!.synchronized(() => other!['a']!.lock())
  await sleep(SEVERAL_LOOKS_MS)
  second.unlock()
  t.equal(await outcome(wait), 'done')
})

t.test('deadlockTimeout: false looks for nothing', async t => {
  const { locks: [own] } = workers(t, 1, { a: {} }, false)
  const wait = own!['a']!.synchronized(() => own!['a']!.lock({ timeout: SEVERAL_LOOKS_MS }))
  t.equal(await outcome(wait), 'FST_SWOOLE_LOCK_TIMEOUT')
})

t.test('with no room for the table of waits, waits go on without it', async t => {
  const { world, all, locks: [own] } = workers(t, 1, { a: {}, b: {} })
  const first = await own!['a']!.lock()
  const probe = own!['a']!.lock({ timeout: 1 }).catch(() => {})
  await probe
  all[0]!.allocator.allocate(world.heapBytes - 2 * 65536)
  t.throws(() => all[0]!.allocator.allocate(2 * 65536), { code: 'FST_SWOOLE_MEMORY_FULL' })
  t.equal(await outcome(own!['a']!.lock({ timeout: SEVERAL_LOOKS_MS })), 'FST_SWOOLE_LOCK_TIMEOUT')
  first.unlock()
})

t.test('records of dead workers and of waits that have ended are used anew', async t => {
  const { world, all, locks: [own, far] } = workers(t, 2, { a: {}, b: {} })
  for (let n = 0; n < 3; n++) {
    const dying = world.worker()
    const [a, b] = ['a', 'b'].map((name) => new SharedLock(dying, `${name} ${n}`, { deadlockTimeout: 1 })) as [SharedLock, SharedLock]
    for (let wait = 0; wait < 450; wait++) {
      const inner = new SharedLock(dying, `a ${n}`, { deadlockTimeout: 1 })
      a.synchronized(() => inner.lock().catch(() => {})).catch(() => {})
    }
    b.trylock()
    await sleep(10)
    all[0]!.recover(dying.slot)
    dying.close()
  }
  t.same(await outcomes([nestings['synchronized']!(own!['a']!, own!['b']!, turn), nestings['synchronized']!(far!['b']!, far!['a']!, turn)]), ['FST_SWOOLE_DEADLOCK', 'done'])
})
