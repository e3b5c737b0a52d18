import t from 'tap'
import { WaitSet } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { Header, MAGIC } from '../../plugins/shared-memory/layout.ts'
import { diesAtWrite, everyPlace, interruptedAt } from './crashing.ts'
import { World, faultOf, holder } from './world.ts'

const never = () => false
const WORD = holder(0)

const set = (memory: SharedMemory) => new WaitSet(memory, 'test x', WORD)
/** Makes the worker look, as its bell would. */
const look = (memory: SharedMemory) => memory.doorbell.answer()

t.test('a wake chooses as many waiters as it says, the oldest first', async t => {
  const memory = new World().worker()
  const waiters = set(memory)
  const woken: number[] = []
  const waits = [0, 1, 2].map((n) => waiters.wait(never).then(() => woken.push(n)))
  t.equal(waiters.wake(2), 2)
  await Promise.all(waits.slice(0, 2))
  t.same(woken, [0, 1])
  t.equal(waiters.wake(5), 1)
  await waits[2]
  t.equal(waiters.wake(1), 0)
})

t.test('one wake reaches the waiters of all workers, and the next begins behind the last that was woken', async t => {
  const world = new World()
  const workers = Array.from({ length: 5 }, () => world.worker())
  const waker = set(world.worker())
  const waits = workers.map((worker) => set(worker).wait(never))
  t.equal(waker.wake(Infinity), 5)
  workers.forEach(look)
  t.same(await Promise.all(waits), [true, true, true, true, true])
  const order: number[] = []
  const sets = workers.map(set)
  const again = sets.flatMap((waiters, n) => [waiters.wait(never), waiters.wait(never)].map((wait) => wait.then(() => order.push(n))))
  for (let n = 0; n < 10; n++) {
    t.equal(waker.wake(1), 1)
    workers.forEach(look)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(again)
  t.same(order, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
})

t.test('what is ready is not waited for, and no room is taken', async t => {
  const memory = new World().worker()
  t.equal(await set(memory).wait(() => true), true)
  t.equal(await set(memory).wait(never, { timeoutMs: 0 }), false)
  t.equal(memory.allocator.usage().used, 0)
})

t.test('what becomes ready at any moment before the waiter can be seen is not missed', async t => {
  const results: Array<Promise<boolean>> = []
  everyPlace((n) => {
    const world = new World()
    const [waiter, waker] = [world.worker(), world.worker()]
    let isReady = false
    return interruptedAt(n, () => { results.push(set(waiter).wait(() => isReady)) }, () => {
      isReady = true
      set(waker).wake(Infinity)
      queueMicrotask(() => look(waiter))
    })
  })
  // The last one was not interrupted, so nobody woke it.
  results.pop()
  t.ok((await Promise.all(results)).every(Boolean))
})

t.test('a time-out is false, and is not counted by a later wake', async t => {
  const waiters = set(new World().worker())
  t.equal(await waiters.wait(never, { timeoutMs: 1 }), false)
  t.equal(waiters.wake(1), 0)
})

t.test('an abort rejects with its reason, and is not counted by a later wake', async t => {
  const waiters = set(new World().worker())
  const controller = new AbortController()
  const wait = waiters.wait(never, { signal: controller.signal })
  controller.abort(new Error('enough'))
  await t.rejects(wait, { message: 'enough' })
  t.equal(waiters.wake(1), 0)
  await t.rejects(waiters.wait(never, { signal: controller.signal }), { message: 'enough' })
})

t.test('a wake that comes before an abort is not lost: the waiter is woken', async t => {
  const world = new World()
  const [waiter, waker] = [world.worker(), world.worker()]
  const controller = new AbortController()
  const wait = set(waiter).wait(never, { signal: controller.signal })
  t.equal(set(waker).wake(1), 1)
  controller.abort()
  t.equal(await wait, true)
})

t.test('a wake that comes before the close is not lost; the others reject', async t => {
  const world = new World()
  const [waiter, waker] = [world.worker(), world.worker()]
  const waiters = set(waiter)
  const waits = [waiters.wait(never), waiters.wait(never)]
  t.equal(set(waker).wake(1), 1)
  waiter.close()
  t.equal((await Promise.allSettled(waits)).filter(({ status }) => status === 'fulfilled').length, 1)
  await t.rejects(Promise.all(waits), { code: 'FST_SWOOLE_CLOSED' })
  t.equal(set(waker).wake(1), 0, 'who has closed is not counted')
  await t.rejects(waiters.wait(never), { code: 'FST_SWOOLE_CLOSED' })
})

t.test('a wait that finds no room rejects, and leaves nothing behind', async t => {
  const world = new World()
  const memory = world.worker()
  memory.allocator.publish(memory.allocator.allocate(world.heapBytes), holder(1))
  await t.rejects(set(memory).wait(never, { timeoutMs: 1 }), { code: 'FST_SWOOLE_MEMORY_FULL' })
  // A timer that it left would fire before this later one of the same length.
  await new Promise((resolve) => setTimeout(resolve, 1))
  t.same([world.region.i32[Header.MAGIC_0], world.region.i32[Header.MAGIC_1]], MAGIC)
  t.equal(faultOf(memory), undefined)
})

t.test('one object has room for 65,535 waiters of a worker, over all its applications', async t => {
  const memory = new World().worker()
  const [one, other] = [set(memory), set(memory)]
  const waits = Array.from({ length: 65_535 }, (_, n) => (n % 2 ? one : other).wait(never))
  await t.rejects(one.wait(never), { code: 'FST_SWOOLE_TOO_MANY_WAITERS' })
  t.equal(one.wake(Infinity), 65_535)
  t.ok((await Promise.all(waits)).every(Boolean))
})

t.test('two applications of one worker wait for the same object: each gets its wakes, and one closes alone', async t => {
  const world = new World()
  const [worker, waker] = [world.worker(), world.worker()]
  const [one, other] = [worker.forApplication(), worker.forApplication()]
  const waits = [set(one).wait(never), set(other).wait(never)]
  t.equal(set(waker).wake(2), 2)
  look(worker)
  t.same(await Promise.all(waits), [true, true])
  const [closing, staying] = [set(one).wait(never), set(other).wait(never)]
  one.close()
  await t.rejects(closing, { code: 'FST_SWOOLE_CLOSED' })
  t.equal(set(waker).wake(2), 1)
  look(worker)
  t.equal(await staying, true)
  const last = set(other).wait(never)
  worker.close()
  await t.rejects(last, { code: 'FST_SWOOLE_CLOSED' })
})

const dangers: Record<string, (worker: SharedMemory, waker: SharedMemory) => () => unknown> = {
  'enters as the first' (worker) {
    return () => { set(worker).wait(never).catch(() => {}) }
  },
  'enters beside others' (worker) {
    const waiters = set(worker)
    waiters.wait(never).catch(() => {})
    return () => { waiters.wait(never).catch(() => {}) }
  },
  'leaves at the close' (worker) {
    set(worker).wait(never).catch(() => {})
    return () => { worker.close() }
  },
  'collects what it was granted' (worker, waker) {
    const waiters = set(worker)
    waiters.wait(never).catch(() => {})
    set(waker).wake(1)
    return () => look(worker)
  },
  wakes (worker) {
    return () => set(worker).wake(1)
  }
}

for (const [danger, prepare] of Object.entries(dangers)) {
  t.test(`a worker that ${danger} may die at any write: the others wait and wake as ever`, async t => {
    const faults: string[] = []
    const checks: Array<Promise<unknown>> = []
    everyPlace((n) => {
      const world = new World()
      const [worker, other, third] = [world.worker(), world.worker(), world.worker()]
      let isTrue = false
      const act = prepare(worker, third)
      const patient = set(other).wait(() => isTrue)
      const isDead = diesAtWrite(n, () => {
        isTrue = danger === 'wakes'
        act()
      })
      third.recover(worker.slot)
      look(other)
      if (danger === 'wakes') {
        checks.push(patient.then((woken) => t.ok(woken, `write ${n}: what the dead one made true is not missed`)))
      } else {
        const woken = set(third).wake(10)
        if (woken !== 1) faults.push(`write ${n}: ${woken} woken, and 1 waits`)
        look(other)
        checks.push(patient)
      }
      const next = world.worker()
      const wait = set(next).wait(never)
      if (set(third).wake(10) !== 1) faults.push(`write ${n}: the next worker in the slot is not woken`)
      look(next)
      checks.push(wait)
      const fault = faultOf(third)
      if (fault !== undefined) faults.push(`write ${n}: ${fault}`)
      return isDead
    })
    t.same(faults, [])
    await Promise.all(checks)
  })
}

t.test('at any moment, a waiter that leaves and a wake agree on whether it was woken', async t => {
  const outcomes: Array<Promise<void>> = []
  everyPlace((n) => {
    const world = new World()
    const [worker, waker] = [world.worker(), world.worker()]
    const wait = set(worker).wait(never)
    let woken = 0
    const wasInterrupted = interruptedAt(n, () => worker.close(), () => { woken = set(waker).wake(1) })
    outcomes.push(wait.then(() => 1, () => 0).then((settled) => { t.equal(settled, woken, `access ${n}`) }))
    return wasInterrupted
  })
  await Promise.all(outcomes)
})
