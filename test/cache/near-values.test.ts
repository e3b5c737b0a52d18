import t from 'tap'
import { random as randomFrom } from '../shared-memory/random.ts'
import { World } from '../shared-memory/world.ts'
import { openCache } from './peer.ts'

/* What a worker has read again and again it gives from its own heap, as long as it is what stands in shared memory. */

const MEBIBYTE = 1024 * 1024

/** Two workers of one cache, and how many texts have been parsed since. */
function openTwo (t: { teardown (end: () => void): void }) {
  const world = new World(8 * MEBIBYTE)
  const caches = [world.worker(), world.worker()].map((memory) => openCache(memory, 4 * MEBIBYTE).cache) as [ReturnType<typeof openCache>['cache'], ReturnType<typeof openCache>['cache']]
  const { parse } = JSON
  let parsed = 0
  JSON.parse = (...given: Parameters<typeof parse>) => { parsed++; return parse(...given) }
  t.teardown(() => { JSON.parse = parse })
  return { caches, parsed: () => parsed }
}

t.test('what is read again is not parsed again, and is a copy each time', async (t) => {
  const { caches: [cache], parsed } = openTwo(t)
  const value = { id: 1, list: [{ a: 1 }, [2, [3, {}]], 'x', null], inner: { deep: { deeper: [true] } } }
  await cache.set('key', value)
  const given: unknown[] = []
  for (let n = 0; n < 10; n++) {
    const found = await cache.get<typeof value>('key')
    t.strictSame(found, value)
    given.push(found, found!.list, found!.list[0], found!.list[1], found!.inner, found!.inner.deep, found!.inner.deep.deeper)
    found!.list.push('changed')
    found!.inner.deep.deeper[0] = false
    Object.assign(found!.list[0] as object, { b: 2 })
  }
  t.equal(new Set(given).size, given.length, 'nobody has what another has')
  t.equal(parsed(), 2)
})

t.test('each of two workers reads what the other has written, deleted, invalidated, cleared or let expire', async (t) => {
  const { caches, parsed } = openTwo(t)
  const { now } = Date
  let nowMs = now()
  Date.now = () => nowMs
  t.teardown(() => { Date.now = now })
  const random = randomFrom(1)
  const model = new Map<string, { value: unknown, tag: string, expiresMs: number }>()
  const keys = Array.from({ length: 12 }, (_, n) => `key ${n}`)
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!
  let gets = 0
  let wrong = 0
  for (let step = 0; step < 20_000; step++) {
    const cache = pick(caches)
    const key = pick(keys)
    const action = random(100)
    if (action < 90) {
      gets++
      const expected = model.get(key)
      const isThere = expected !== undefined && expected.expiresMs > nowMs
      const found = await cache.get(key)
      if (JSON.stringify(found) !== JSON.stringify(isThere ? expected.value : undefined)) wrong++
    } else if (action < 94) {
      const value = { step, inner: { keys: [key, { step }] } }
      const tag = pick(['a', 'b'])
      const ttl = 1 + random(2000)
      await cache.set(key, value, { tags: [tag], ttl })
      model.set(key, { value, tag, expiresMs: nowMs + ttl })
    } else if (action < 96) {
      await cache.delete(key)
      model.delete(key)
    } else if (action < 97) {
      const tag = pick(['a', 'b'])
      await cache.invalidateTags(tag)
      for (const [key, kept] of model) if (kept.tag === tag) model.delete(key)
    } else if (action === 97 && random(10) === 0) {
      await cache.clear()
      model.clear()
    } else {
      nowMs += random(50)
    }
  }
  t.equal(wrong, 0, `of ${gets} values`)
  t.ok(parsed() < gets / 3, `${parsed()} of ${gets} were parsed`)
})

t.test('values of any form come back as they were, however often they are read', async (t) => {
  const { caches: [cache] } = openTwo(t)
  let deep: unknown = 'bottom'
  for (let n = 0; n < 50; n++) deep = n % 2 === 0 ? [deep] : { deep }
  const values: Record<string, unknown> = {
    'an own __proto__': JSON.parse('{"a":{"__proto__":{"b":{"c":1}},"d":[]}}'),
    'a __proto__ of text': JSON.parse('{"__proto__":"x","a":{}}'),
    'names that are numbers': { 2: { a: 1 }, 1: [], '-1': {}, '01': {} },
    'empty ones': [{}, [], [[]], ''],
    deep,
    large: { text: 'x'.repeat(100_000), inner: {} },
    'a Date': { at: new Date(7) },
    text: 'text',
    null: null
  }
  for (const [name, value] of Object.entries(values)) {
    await cache.set(name, value)
    for (let n = 0; n < 4; n++) {
      const found = await cache.get(name)
      t.strictSame(found, value, name)
      t.equal(JSON.stringify(found), JSON.stringify(value), name)
    }
  }
  t.equal(({} as { b?: unknown }).b, undefined)
})

t.test('a stale value is given from there too, while one computes another', async (t) => {
  const { caches: [cache] } = openTwo(t)
  const { now } = Date
  let nowMs = now()
  Date.now = () => nowMs
  t.teardown(() => { Date.now = now })
  let made = 0
  const get = () => cache.get('key', () => ({ made: ++made }), { ttl: 1000, staleWhileRevalidate: 1000 })
  for (let n = 0; n < 4; n++) t.strictSame(await get(), { made: 1 })
  nowMs += 1500
  t.strictSame(await get(), { made: 1 })
  t.strictSame(await get(), { made: 2 }, 'the next one is there')
  for (let n = 0; n < 4; n++) t.strictSame(await get(), { made: 2 })
  nowMs += 3000
  t.strictSame(await get(), { made: 3 }, 'too old to be given')
})

t.test('a thousand values that are read in turn stay near, most of them', async (t) => {
  const { caches: [cache], parsed } = openTwo(t)
  const text = 'x'.repeat(250)
  for (let n = 0; n < 1000; n++) await cache.set(`key ${n}`, { n, text })
  for (let turn = 0; turn < 10; turn++) {
    for (let n = 0; n < 1000; n++) await cache.get(`key ${n}`)
  }
  t.ok(parsed() < 4000, `${parsed()} of 10,000 were parsed`)
})

t.test('many values take turns, and each read is counted', async (t) => {
  const { caches: [cache] } = openTwo(t)
  const text = 'x'.repeat(4000)
  for (let n = 0; n < 600; n++) await cache.set(`key ${n}`, { n, text })
  let wrong = 0
  for (let turn = 0; turn < 6; turn++) {
    for (let n = 0; n < 600; n++) {
      const key = turn % 2 === 0 ? n : Math.floor(n / 4)
      const found = await cache.get<{ n: number }>(`key ${key}`)
      if (found?.n !== key) wrong++
    }
  }
  t.equal(wrong, 0)
  t.equal(cache.stats().hits, 3600)
  t.equal(cache.stats().misses, 0)
})
