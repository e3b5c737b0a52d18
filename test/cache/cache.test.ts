import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { SharedCache } from '../../plugins/cache/memory.ts'
import { CacheStore } from '../../plugins/cache/store.ts'
import { Header, Slot, createLocalMemory, slotWord } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { eventually } from '../support/processes.ts'
import { World } from '../shared-memory/world.ts'
import { openCache } from './peer.ts'

const MEBIBYTE = 1024 * 1024
const open = (size?: number) => openCache(createLocalMemory(4 * MEBIBYTE), size).cache

/** A worker with the code of a reload. */
function reload (world: World): SharedMemory {
  const memory = world.worker()
  world.region.i32[slotWord(memory.slot.index, Slot.CACHE_RELOADS)] = Atomics.add(world.region.i32, Header.CACHE_RELOADS, 1) + 1
  return memory
}

/** A clock that only the test moves. */
function stopClock (t: { teardown (end: () => void): void }) {
  const { now } = Date
  let ms = now()
  Date.now = () => ms
  t.teardown(() => { Date.now = now })
  return { pass (time: number) { ms += time } }
}

t.test('a value comes back as it was, and each time as a copy', async t => {
  const cache = open()
  const value = { at: new Date(7), map: new Map([['a', new Set([1n])]]), bytes: Buffer.from('abc'), none: undefined, list: [1, null, 'ä'] }
  await cache.set('a', value)
  const [one, other] = [await cache.get('a'), await cache.get('a')]
  t.strictSame(one, value)
  t.not(one, other)
  t.equal(await cache.get('b'), undefined)
})

t.test('undefined, null, false, 0 and an empty string are values', async t => {
  const cache = open()
  for (const value of [undefined, null, false, 0, '', NaN]) {
    let runs = 0
    const compute = () => { runs++; return value }
    t.same(await cache.get(`key ${value}`, compute), value)
    t.same(await cache.get(`key ${value}`, compute), value)
    t.equal(runs, 1, String(value))
    t.equal(await cache.has(`key ${value}`), true)
  }
})

t.test('a key such as __proto__ in a value is inert', async t => {
  const cache = open()
  for (const value of [JSON.parse('{"__proto__":{"polluted":1}}'), { date: new Date(1), inner: JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}') }]) {
    await cache.set('a', value)
    const found = await cache.get<Record<string, unknown>>('a')
    t.equal(({} as { polluted?: number }).polluted, undefined)
    t.equal((found as { polluted?: number }).polluted, undefined)
    t.equal(Object.getPrototypeOf(found), Object.prototype)
  }
})

t.test('what is computed is kept until it expires', async t => {
  const cache = open()
  const clock = stopClock(t)
  let runs = 0
  const get = (ttl?: number) => cache.get('a', (item) => {
    if (ttl !== undefined) item.expiresAfter(ttl)
    return ++runs
  })
  t.equal(await get(30), 1)
  clock.pass(29)
  t.equal(await get(30), 1)
  clock.pass(1)
  t.equal(await get(), 2)
  clock.pass(60_000 - 1)
  t.equal(await get(), 2)
})

t.test('the item says how a value is kept, and goes before the options', async t => {
  const cache = open()
  await cache.get('a', (item) => item.tag('one', 'four').tag(['two', 'one']).expiresAt(new Date(Date.now() + 60_000)), { ttl: 0, tags: ['three'] })
  t.equal(await cache.has('a'), true)
  t.equal(await cache.invalidateTags('two'), 1)
  await cache.get('a', (item) => { item.expiresAt(new Date(Date.now() - 1)); return 1 })
  t.equal(await cache.has('a'), false, 'a time that has passed')
  await cache.get('a', (item) => { item.expiresAfter(null); return 1 }, { ttl: 0 })
  t.equal(await cache.has('a'), true, 'null is the default time')
  await cache.set('b', 1, { ttl: Infinity })
  t.equal(await cache.get('b'), 1)
})

t.test('deleting, clearing and namespaces', async t => {
  const cache = open()
  const users = cache.namespace('users:')
  const old = users.namespace('old:')
  await Promise.all([cache.set('a', 1, { tags: ['tag'] }), users.set('a', 2, { tags: ['tag'] }), old.set('a', 3), cache.set('b', 4), cache.set('c', 5)])
  t.strictSame([await cache.get('users:a'), await cache.get('users:old:a')], [2, 3], 'a namespace is a prefix')
  t.equal(await cache.delete('b', 'c', 'none'), 2)
  t.equal(await users.invalidateTags('tag'), 1)
  t.strictSame([await cache.get('a'), await users.get('a')], [1, undefined])
  await users.clear()
  t.strictSame([await cache.get('a'), await old.get('a')], [1, undefined])
  await cache.clear()
  t.equal(cache.stats().entries, 0)
})

t.test('a stale value is given at once while one computes another', async t => {
  const cache = open()
  let runs = 0
  const get = () => cache.get('a', async (item) => {
    if (runs > 0) item.expiresAfter('10s')
    await sleep(20)
    return ++runs
  }, { ttl: 10, staleWhileRevalidate: '10s' })
  t.equal(await get(), 1)
  await sleep(11)
  t.strictSame(await Promise.all([get(), get(), get()]), [1, 1, 1])
  t.equal(await cache.get('a'), undefined, 'without a computation only a fresh one counts')
  await eventually('the new one is there', async () => await cache.get('a') === 2)
  t.equal(runs, 2)
})

t.test('when a stale value cannot be computed anew it is given on, and that is logged', async t => {
  const logged: unknown[] = []
  const log = { warn: (what: unknown) => logged.push(what) }
  const { cache } = openCache(createLocalMemory(4 * MEBIBYTE), undefined, undefined, log as never)
  const keep = { ttl: 5, staleWhileRevalidate: '10s' }
  await cache.get('a', () => 1, keep)
  await sleep(6)
  t.equal(await cache.get('a', () => { throw new Error('no') }, keep), 1)
  await eventually('it is logged', () => logged.length === 1)
  t.match(logged, [{ key: 'a', err: { message: 'no' } }])
  t.equal(await cache.get('a', async () => 2, keep), 1)
})

t.test('beta computes before the value expires: always with Infinity, never with 0', async t => {
  const cache = open()
  const clock = stopClock(t)
  let runs = 0
  const get = (beta?: number) => cache.get('a', () => ++runs, beta === undefined ? {} : { beta })
  t.strictSame([await get(), await get(Infinity), await get(Infinity), await get(0), await get(), await get(1)], [1, 2, 3, 3, 3, 3])

  const stale = (beta?: number) => cache.get('stale', () => ++runs, { ttl: 50, staleWhileRevalidate: '1m', ...(beta !== undefined && { beta }) })
  await stale()
  clock.pass(80)
  t.equal(await stale(Infinity), runs, 'nor is a stale value given for it')

  const early = (key: string) => cache.get(key, async () => { await sleep(20); return Date.now() }, { ttl: 60, beta: 5 })
  const first = await early('b')
  clock.pass(10)
  await eventually('it is computed before it expires', async () => await early('b') !== first)
})

t.test('a value that was set stays when another begins to compute it at that moment', async t => {
  const world = new World(8 * MEBIBYTE)
  const [mine, other] = [openCache(world.worker()).cache, openCache(world.worker()).cache]
  for (const options of [{}, { beta: 1000 }, { beta: Infinity }, { staleWhileRevalidate: '1m' }]) {
    const key = JSON.stringify(options)
    if ('beta' in options) await mine.set(key, 'before')
    let computed: Promise<unknown> | undefined
    const asking = { toJSON () { computed = other.get(key, async () => 'computed', options); return 'set' } }
    await mine.set(key, asking)
    await computed
    t.equal(await mine.get(key), 'set', key)
    await mine.delete(key)
    t.equal(await other.get(key, () => 'computed', options), 'computed')
  }
})

t.test('a value that is too large is given and not kept; to set it is an error', async t => {
  const logged: unknown[] = []
  const { cache, store } = openCache(createLocalMemory(4 * MEBIBYTE), undefined, undefined, { warn: (what: unknown) => logged.push(what) } as never)
  const large = 'x'.repeat(MEBIBYTE / 3)
  const both = await Promise.all([cache.get('a', async () => { await sleep(5); return large }), cache.get('a', () => '')])
  t.strictSame(both.map((text) => text.length), [large.length, large.length])
  t.equal(await cache.has('a'), false)
  t.match(logged, [{ key: 'a', bytes: large.length, maxBytes: store.maxBytes }])
  await t.rejects(cache.set('b', large), { code: 'FST_SWOOLE_VALUE_TOO_LONG', statusCode: 413 })
  await cache.set('b', 'x'.repeat(store.maxBytes))
  t.equal(store.maxBytes, MEBIBYTE / 4)
})

t.test('more than fits lets others go, and never takes more than its size', async t => {
  const cache = open(300 * 1024)
  for (let n = 0; n < 5000; n++) await cache.set(`key ${n}`, 'x'.repeat(n % 1000))
  const { bytes, capacity, evictions, entries } = cache.stats()
  t.ok(bytes <= capacity && capacity < 300 * 1024)
  t.ok(entries > 100 && evictions + entries === 5000)
})

t.test('a damaged entry is a miss, is removed and logged', async t => {
  const logged: unknown[] = []
  const memory = createLocalMemory(4 * MEBIBYTE)
  const { cache } = openCache(memory, undefined, undefined, { warn: (what: unknown) => logged.push(what) } as never)
  await cache.set('a', { some: 'json' })
  const at = memory.region.buffer.indexOf('{"some":')
  memory.region.u8[at] = 0x21
  t.equal(await cache.get('a'), undefined)
  t.equal(await cache.get('a', () => 1), 1)
  t.match(logged, [{ key: 'a' }])
  t.equal(cache.stats().corrupt, 1)
})

t.test('a clearing makes what was there unreachable, and a reload only if it is to', async t => {
  const world = new World(4 * MEBIBYTE)
  const memory = world.worker()
  const { cache } = openCache(memory)
  await cache.set('a', 1)
  t.equal(await openCache(reload(world)).cache.get('a'), 1)
  t.equal(await cache.get('a'), 1)
  Atomics.add(memory.region.i32, Header.CACHE_CLEARS, 1)
  t.equal(await cache.get('a'), undefined)
  await cache.set('a', 2)
  t.equal(await cache.get('a'), 2)
})

t.test('what old code changes while it ends is changed for new code', async t => {
  const world = new World(4 * MEBIBYTE)
  const settings = { size: MEBIBYTE, clearOnReload: true }
  const cacheOf = (memory: SharedMemory) => {
    const store = new CacheStore(memory, settings, { warn () {} } as never)
    return { store, cache: new SharedCache(store, { ttlMs: 60_000, computeTimeoutMs: 1000 }) }
  }
  const old = cacheOf(world.worker())
  await old.cache.set('a', 'old')
  const { cache, store } = cacheOf(reload(world))
  const changes: Array<[string, () => Promise<unknown>]> = [
    ['set', () => old.cache.set('a', 'old')],
    ['delete', () => old.cache.delete('a')],
    ['clear', () => old.cache.clear()]
  ]
  for (const [name, change] of changes) {
    t.equal(await cache.get('a', () => 'new'), 'new')
    store.write(store.answers, 'url', 'answer', { nowMs: Date.now(), ttlMs: 60_000 })
    await change()
    t.equal(await cache.get('a'), undefined, name)
    t.equal(store.has(store.answers, 'url', Date.now()), name !== 'clear')
  }
  t.equal(old.store.delete(old.store.answers, 'url'), false)
  store.write(store.answers, 'url', 'answer', { nowMs: Date.now(), ttlMs: 60_000 })
  t.equal(old.store.delete(old.store.answers, 'url'), true)
  t.equal(store.has(store.answers, 'url', Date.now()), false)
  const goOn = Promise.withResolvers<void>()
  const computed = cache.get('b', async () => { await goOn.promise; return 'made before' })
  await old.cache.set('b', 'old')
  goOn.resolve()
  t.equal(await computed, 'made before')
  t.equal(await cache.get('b'), undefined)
})

t.test('bad input is refused, with what it is', async t => {
  const cache = open()
  await t.rejects(cache.get(1 as never), { code: 'FST_SWOOLE_KEY_INVALID', message: 'The key of the cache is 1, but must be a string' })
  await t.rejects(cache.set('a', () => 1), { code: 'FST_SWOOLE_VALUE_INVALID' })
  await t.rejects(cache.get('a', () => ({ save () {} })), { code: 'FST_SWOOLE_VALUE_INVALID', message: /save/ })
  await t.rejects(cache.get('a', () => 1, { tll: 1 } as never), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /tll/ })
  await t.rejects(cache.get('a', () => 1, { ttl: '1 hour' }), { code: 'FST_SWOOLE_DURATION_INVALID' })
  await t.rejects(cache.get('a', () => 1, { beta: -1 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  await t.rejects(cache.set('a', 1, { tags: 'one' as never }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  await t.rejects(cache.set('a', 1, { tags: Array.from({ length: 61 }, (_, n) => `${n}`) }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /61 tags/ })
  await t.rejects(cache.get('a', (item) => item.tag(1 as never)), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /tag of the cache is 1/ })
  await t.rejects(cache.get('a', (item) => item.expiresAt('tomorrow' as never)), { code: 'FST_SWOOLE_VALUE_INVALID' })
  t.throws(() => cache.namespace(''), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.throws(() => cache.namespace('x'.repeat(61)), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  await t.rejects(cache.get('a', 1 as never), { code: 'FST_SWOOLE_VALUE_INVALID' })
  await cache.set('there', 1)
  await t.rejects(cache.get('there', () => 1, { beta: -1 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' }, 'of a value that is there, too')
})

t.test('hits and misses are counted, each question once', async t => {
  const cache = open()
  await cache.get('a')
  await cache.get('a', () => 1)
  await cache.get('a', () => 1)
  await cache.get('a')
  t.match(cache.stats(), { hits: 2, misses: 2, entries: 1, evictions: 0, corrupt: 0 })
})
