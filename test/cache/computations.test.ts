import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { Header, createLocalMemory } from '../../plugins/shared-memory/index.ts'
import { eventually } from '../support/processes.ts'
import { openCache } from './peer.ts'

const MEBIBYTE = 1024 * 1024
const open = (size?: number, computeTimeoutMs?: number) => openCache(createLocalMemory(4 * MEBIBYTE), size, computeTimeoutMs).cache

t.test('an error of what computes is its callers, and is not kept', async t => {
  const cache = open()
  const error = new Error('no')
  const asked = await Promise.allSettled(Array.from({ length: 3 }, () => cache.get('a', async () => { await sleep(5); throw error })))
  t.strictSame(asked.map((outcome) => outcome.status === 'rejected' && outcome.reason === error), [true, true, true])
  t.equal(await cache.get('a', () => 1), 1)
})

t.test('what is being computed while its key is deleted, written or its tag invalidated is not kept', async t => {
  const cache = open()
  const during = async (change: () => Promise<unknown>, expected: unknown) => {
    const started = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const value = cache.get('a', async (item) => {
      item.tag('tag')
      started.resolve()
      await goOn.promise
      return 'old'
    })
    await started.promise
    await change()
    const later = cache.get('a', () => 'new')
    goOn.resolve()
    t.equal(await value, 'old', 'who asked before is given it')
    t.equal(await later, expected, 'who asks after is not')
    t.equal(await cache.get('a'), expected)
    await cache.delete('a')
  }
  await during(() => cache.delete('a'), 'new')
  await during(() => cache.set('a', 'set'), 'set')
  await during(() => cache.invalidateTags('tag'), 'new')
  await during(() => cache.clear(), 'new')
})

t.test('one that computes for too long is not waited for', async t => {
  const cache = open(undefined, 50)
  const never = cache.get('a', () => new Promise<number>(() => {}))
  t.equal(await cache.get('a', () => 2), 2)
  t.equal(await cache.get('a'), 2)
  const self: Promise<number> = cache.get('b', () => cache.get('b', () => 3))
  t.equal(await self, 3, 'nor is what waits for itself')
  t.type(never, Promise)
})

t.test('all who compute a key at the same time, as the first took too long, have what is ready first', async t => {
  const cache = open(undefined, 100)
  const never = () => new Promise<string>(() => {})
  const waiting: Array<Promise<string>> = []
  for (const compute of [never, never, never, () => 'ready']) {
    waiting.push(cache.get('a', compute))
    await sleep(10)
  }
  t.strictSame(await Promise.all(waiting), Array(4).fill('ready'))
})

t.test('what is too large to be kept is not for who asks after another worker has deleted it', async t => {
  const memory = createLocalMemory(8 * MEBIBYTE)
  const [one, two] = [openCache(memory).cache, openCache(memory).cache]
  const [first, second] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
  const isAlone = Promise.withResolvers<void>()
  const leader = one.get('a', () => first.promise)
  const follower = two.get('a', () => { isAlone.resolve(); return second.promise })
  first.resolve('x'.repeat(MEBIBYTE))
  await isAlone.promise
  await one.delete('a')
  const later = two.get('a', () => 'new')
  second.resolve('old')
  t.equal(await later, 'new')
  t.equal(await follower, 'old')
  t.equal((await leader).length, MEBIBYTE)
})

t.test('what was begun before a clearing is neither kept nor given to who asks after it', async t => {
  const memory = createLocalMemory(4 * MEBIBYTE)
  const { cache } = openCache(memory)
  const goOn = Promise.withResolvers<void>()
  const old = cache.get('a', async () => { await goOn.promise; return 'old' })
  Atomics.add(memory.region.i32, Header.CACHE_CLEARS, 1)
  const later = cache.get('a', () => 'new')
  goOn.resolve()
  t.strictSame([await old, await later, await cache.get('a')], ['old', 'new', 'new'])
})

t.test('who asks after an invalidation is given nothing that was begun before it, a value that is not kept and an error neither', async t => {
  const cache = open()
  const invalidations: Array<[string, (tag: string) => Promise<unknown>]> = [['the tag', (tag) => cache.invalidateTags(tag)], ['all', () => cache.clear()]]
  for (const [what, invalidate] of invalidations) {
    for (const fails of [false, true]) {
      const ends: Array<() => void> = []
      const get = () => cache.get(`${what} ${fails}`, async (item) => {
        item.tag('a').expiresAfter(0)
        const run = ends.length
        await new Promise<void>((resolve) => { ends.push(resolve) })
        if (fails) throw new Error(`run ${run}`)
        return `run ${run}`
      }).catch((error) => error.message)
      const before = [get(), get()]
      await invalidate('a')
      const after = [get(), get()]
      ends[0]!()
      t.strictSame(await Promise.all(before), ['run 0', 'run 0'], what)
      await eventually('another run begins', () => ends.length > 1)
      ends[1]!()
      t.strictSame(await Promise.all(after), ['run 1', 'run 1'], what)
    }
  }
})

t.test('an invalidation of another tag lets all have what is computed', async t => {
  const cache = open()
  let runs = 0
  let end: (() => void) | undefined
  const get = () => cache.get('a', async (item) => {
    item.tag('a').expiresAfter(0)
    await new Promise<void>((resolve) => { end = resolve })
    return ++runs
  })
  const before = get()
  await cache.invalidateTags('b')
  const after = get()
  end!()
  t.strictSame(await Promise.all([before, after]), [1, 1])
})

t.test('of many that wait for one that takes too long one begins anew, and what it makes is not kept if it was deleted meanwhile', async t => {
  const cache = open(undefined, 50)
  const hung = cache.get('a', () => new Promise<string>(() => {}))
  let runs = 0
  const answers = await Promise.all(Array.from({ length: 100 }, () => cache.get('a', async () => {
    await sleep(10)
    await cache.delete('a')
    return `run ${++runs}`
  })))
  t.strictSame([...new Set(answers)], ['run 1'])
  t.equal(await cache.get('a'), undefined)
  t.type(hung, Promise)
})

t.test('what takes longer than others wait for it alone is given to all when the first of them has it, a value or an error', async t => {
  for (const fails of [false, true]) {
    const cache = open(undefined, 100)
    let runs = 0
    const get = () => cache.get('a', async () => {
      const run = ++runs
      await sleep(350)
      if (fails) throw new Error(`run ${run}`)
      return { run }
    })
    const answers = await Promise.all(Array.from({ length: 20 }, () => get().catch((error) => error.message)))
    t.strictSame([...new Set(answers.map((answer) => JSON.stringify(answer)))], [fails ? '"run 1"' : '{"run":1}'])
    t.ok(new Set(answers).size === (fails ? 1 : 20), 'a value is a copy for each')
    t.ok(runs >= 2 && runs <= 8, `${runs} have computed`)
    t.equal(await cache.has('a'), !fails)
  }
})

t.test('a stale value whose computation fails is not tried again by each who asks', async t => {
  const logged: unknown[] = []
  const { cache } = openCache(createLocalMemory(4 * MEBIBYTE), undefined, undefined, { warn: (what: unknown) => logged.push(what) } as never)
  await cache.get('a', () => 1, { ttl: 1, staleWhileRevalidate: '10s' })
  await sleep(2)
  let runs = 0
  for (let n = 0; n < 50; n++) {
    t.equal(await cache.get('a', async () => { runs++; throw new Error('no') }, { ttl: 1, staleWhileRevalidate: '10s' }), 1)
    await sleep(1)
  }
  t.equal(runs, 1)
  t.equal(logged.length, 1)
})
