import t from 'tap'
import { createLocalMemory, SharedEntries } from '../../plugins/shared-memory/index.ts'
import { Encoded } from '../../plugins/values/index.ts'
import { SessionStore } from '../../plugins/session/store.ts'
import type { StoreOptions } from '../../plugins/session/store.ts'

const MEBIBYTE = 1024 * 1024

function open (options: StoreOptions = {}) {
  const memory = createLocalMemory(8 * MEBIBYTE)
  const warnings: Array<[object, string]> = []
  const log = { warn: (object: object, message: string) => { warnings.push([object, message]) } }
  const store = new SessionStore(memory, { size: MEBIBYTE, log, ...options })
  return { memory, store, warnings, ...promises(store) }
}

function promises (store: SessionStore) {
  const called = <T>(call: (callback: (error: unknown, result?: T) => void) => void) => new Promise<T>((resolve, reject) => {
    call((error, result) => { if (error) reject(error); else resolve(result as T) })
  })
  return {
    get: (id: string) => called<any>((callback) => store.get(id, callback)),
    set: (id: string, session: object) => called<void>((callback) => store.set(id, session, callback)),
    touch: (id: string, session: object) => called<void>((callback) => store.touch(id, session, callback)),
    destroy: (id: string) => called<void>((callback) => store.destroy(id, callback)),
    length: () => called<number>((callback) => store.length(callback)),
    clear: () => called<void>((callback) => store.clear(callback))
  }
}

/** Moves `Date.now` on, since what is stored goes by it. */
function clock (t: { teardown (end: () => void): void }) {
  const { now } = Date
  let ahead = 0
  Date.now = () => now() + ahead
  t.teardown(() => { Date.now = now })
  return { pass (ms: number) { ahead += ms } }
}

const hour = () => ({ originalMaxAge: 3_600_000, expires: new Date(Date.now() + 3_600_000), path: '/', httpOnly: true })

t.test('what is set is got, with all kinds of data, and without what makes it a live object', async t => {
  const { get, set } = open()
  const date = new Date(5)
  await set('a', { cookie: hour(), user: { name: 'Ann ❤' }, seen: new Map([['x', date]]), total: 5n, picture: Buffer.from('abc'), none: undefined })
  const { cookie, ...data } = await get('a')
  t.strictSame(data, { user: { name: 'Ann ❤' }, seen: new Map([['x', date]]), total: 5n, picture: Buffer.from('abc') })
  t.match(cookie, { originalMaxAge: 3_600_000, path: '/', httpOnly: true })
  t.type(cookie.expires, Date)
  t.equal(await get('b'), undefined)
  t.notMatch(JSON.stringify({ cookie, ...data, total: 0 }), 'reading')
})

t.test('what is no data is an error, and what was stored stays', async t => {
  const { get, set } = open()
  await set('a', { cookie: hour(), n: 1 })
  await t.rejects(set('a', { cookie: hour(), n: () => 1 }), { code: 'FST_SWOOLE_VALUE_INVALID', message: /n is a function/ })
  t.equal((await get('a')).n, 1)
})

t.test('a session names no prototype', async t => {
  const { get, set } = open()
  await set('a', JSON.parse('{ "cookie": {}, "__proto__": { "isAdmin": true }, "deep": { "__proto__": { "isAdmin": true } } }'))
  const session = await get('a')
  t.notOk(Object.hasOwn(session, '__proto__'))
  t.equal(session.isAdmin, undefined)
  t.equal(session.deep.isAdmin, undefined)
})

t.test('one that is too large is an error that names size and limit, and no part of it is stored', async t => {
  const { get, set } = open({ maxBytes: 1000 })
  await set('a', { cookie: hour(), text: 'x'.repeat(500) })
  const session = await get('a')
  session.text = 'y'.repeat(1000)
  await t.rejects(set('a', session), { code: 'FST_SWOOLE_SESSION_TOO_LARGE', statusCode: 500, message: /has 1\d{3} bytes, the most it can have is 1000,.*session\.maxBytes/ })
  t.equal((await get('a')).text, 'x'.repeat(500))
  await t.rejects(open({ maxBytes: MEBIBYTE }).set('a', { text: 'x'.repeat(MEBIBYTE / 2) }), { code: 'FST_SWOOLE_SESSION_TOO_LARGE' })
})

t.test('a session ends when its cookie does, and a touch or a set begins its time anew', async t => {
  const { pass } = clock(t)
  const { get, set, touch, length } = open()
  const session = () => ({ cookie: { originalMaxAge: 1000, expires: new Date(Date.now() + 1000) } })
  await set('touched', session())
  await set('set', session())
  await set('left', session())
  pass(600)
  await touch('touched', session())
  await set('set', await get('set'))
  pass(600)
  t.ok(await get('touched'))
  t.ok(await get('set'))
  t.equal(await get('left'), undefined)
  t.equal(await length(), 2)
  await touch('left', session())
  t.equal(await get('left'), undefined, 'a touch makes none')
  pass(600)
  t.equal(await length(), 0)
})

t.test('the time to end is the cookie\'s, or the store\'s for one that ends with the browser', async t => {
  const { pass } = clock(t)
  const { get, set } = open({ ttl: 2000 })
  const fixed = new Date(Date.now() + 1000)
  await set('fixed', { cookie: { expires: fixed, originalMaxAge: null } })
  await set('text', { cookie: { expires: fixed.toISOString() } })
  await set('age', { cookie: { maxAge: 1000 } })
  await set('browser', { cookie: { expires: null, originalMaxAge: null } })
  await set('bare', { n: 1 })
  t.strictSame((await get('fixed')).cookie.expires, fixed)
  t.equal((await get('browser')).cookie.expires, null)
  t.strictSame(await get('bare'), { n: 1 })
  pass(1500)
  for (const id of ['fixed', 'text', 'age']) t.equal(await get(id), undefined, id)
  for (const id of ['browser', 'bare']) t.ok(await get(id), id)
  pass(600)
  for (const id of ['browser', 'bare']) t.equal(await get(id), undefined, id)
  await set('past', { cookie: { expires: new Date(Date.now() - 1) } })
  t.equal(await get('past'), undefined)
})

t.test('the end of a request writes what has changed, and has the cookie sent when some of its life has passed', async t => {
  const { pass } = clock(t)
  const { get, set, store } = open()
  await set('a', { cookie: hour(), n: 1 })
  const settle = async (changes: object = {}, isRolling = true) => store.settle('a', Object.assign(await get('a'), changes), isRolling)
  t.equal(store.settle('b', { cookie: hour() }, true), 'new')
  t.equal(await get('b'), undefined)
  t.equal(await settle(), 'kept')
  t.equal(await settle({ n: 2 }), 'kept')
  t.equal((await get('a')).n, 2)
  pass(71_000)
  t.equal(await settle({ n: 3 }), 'kept', 'a change does not make the cookie younger')
  pass(1_500)
  t.equal(await settle({}, false), 'kept')
  t.equal(await settle(), 'renewed')
  t.equal(await settle(), 'kept')
  t.equal(await settle({ n: 4 }, false), 'renewed', 'that has moved its end')
  t.equal(await settle({ cookie: { ...hour(), originalMaxAge: 7_200_000 } }), 'new', 'a cookie that nobody has got')
  const { cookie, ...data } = await get('a')
  t.equal(store.settle('a', { cookie: { ...cookie, originalMaxAge: 7_200_000 }, ...data }, true), 'renewed', 'another cookie')
})

t.test('setting what has not changed only lets it live on', async t => {
  const { pass } = clock(t)
  const { get, set } = open()
  await set('a', { cookie: hour(), n: 1 })
  const other = await get('a')
  pass(1_800_000)
  await set('a', await get('a'))
  pass(1_800_000)
  other.n = 2
  await set('a', other)
  pass(3_599_000)
  t.equal((await get('a')).n, 2, 'nor does one that was read long before shorten its life')
})

t.test('of two that overlap each keeps what it changed, added or removed', async t => {
  const { get, set } = open()
  await set('a', { cookie: hour(), one: 1, two: 2, three: 3, both: 0 })
  const [first, second] = [await get('a'), await get('a')]
  first.one = 'first'
  first.both = 'first'
  first.added = 'first'
  delete first.three
  second.two = 'second'
  second.both = 'second'
  second.other = new Map([['second', 2]])
  await set('a', first)
  await set('a', second)
  const { cookie, ...data } = await get('a')
  t.strictSame(data, { one: 'first', two: 'second', both: 'second', added: 'first', other: new Map([['second', 2]]) })

  second.two = 'again'
  await set('a', second)
  const again = await get('a')
  t.equal(again.two, 'again')
  t.equal(again.one, 'first', 'a second set takes back nothing of the other')
  t.equal(again.three, undefined)
})

t.test('undefined counts as removed', async t => {
  const { get, set } = open()
  await set('a', { cookie: hour(), user: 'ann', n: 1 })
  const [out, other] = [await get('a'), await get('a')]
  out.user = undefined
  other.n = 2
  await set('a', out)
  await set('a', other)
  const { cookie, ...data } = await get('a')
  t.strictSame(data, { n: 2 })
})

t.test('one that was destroyed meanwhile is not made anew, neither by a change nor by a touch', async t => {
  const { get, set, touch, destroy, store } = open()
  await set('a', { cookie: hour(), n: 1 })
  const [changed, unchanged, settled] = [await get('a'), await get('a'), await get('a')]
  await destroy('a')
  changed.n = 2
  await set('a', changed)
  await set('a', unchanged)
  await touch('a', unchanged)
  t.equal(await get('a'), undefined)
  t.equal(store.settle('a', unchanged, true), 'gone')
  t.equal(store.settle('a', Object.assign(settled, { n: 5 }), true), 'gone')
  t.equal(await get('a'), undefined)
  await set('a', { cookie: hour(), n: 3 })
  t.equal((await get('a')).n, 3, 'a new one may have its id')
})

t.test('a full memory lets go the least recently used sessions, and says so once a minute', async t => {
  const { pass } = clock(t)
  const { get, set, touch, store, warnings } = open({ size: 512 * 1024 })
  const session = () => ({ cookie: hour(), text: 'x'.repeat(900) })
  await set('kept', session())
  await set('left', session())
  for (let n = 0; n < 2000; n++) {
    await set(`other ${n}`, session())
    if (n % 50 === 0) await touch('kept', session())
  }
  t.ok(await get('kept'))
  t.equal(await get('left'), undefined)
  const { evictions, entries, bytes, capacity } = store.stats()
  t.ok(evictions > 1000 && entries > 100 && bytes <= capacity, `${evictions} of ${entries} went`)
  t.match(warnings, [[{ sessions: 1 }, /session\.size/]])
  pass(61_000)
  await set('one more', session())
  t.equal(warnings.length, 2)
  t.equal((warnings[1]![0] as { sessions: number }).sessions, store.stats().evictions - 1)
})

t.test('expired sessions make room for others, and none is evicted for them', async t => {
  const { pass } = clock(t)
  const { set, store, warnings } = open({ size: 512 * 1024 })
  for (let round = 0; round < 10; round++) {
    for (let n = 0; n < 200; n++) await set(`${round} ${n}`, { cookie: hour(), text: 'x'.repeat(900) })
    pass(3_600_001)
  }
  t.equal(store.stats().evictions, 0)
  t.ok(store.stats().expirations >= 1000, `${store.stats().expirations}`)
  t.strictSame(warnings, [])
})

t.test('a damaged session is a miss, removed and logged', async t => {
  const { memory, get, set, store, warnings } = open()
  const entries = new SharedEntries(memory, { type: 'sessions', name: `${MEBIBYTE} bytes`, bytes: MEBIBYTE, eviction: 'lru' })
  const write = (id: string, value: unknown, kind?: number) => {
    const encoded = new Encoded()
    encoded.setData(value, () => id)
    if (kind !== undefined) encoded.kind = kind
    entries.write(entries.space('sessions'), id, encoded, { nowMs: Date.now(), expiresMs: Infinity })
  }
  write('not JSON', '{ "n":', 5)
  write('no object', 'text')
  write('no clone', Buffer.from('damaged'), 8)
  write('unknown', 'text', 14)
  for (const id of ['not JSON', 'no object', 'no clone', 'unknown']) t.equal(await get(id), undefined, id)
  t.equal(warnings.length, 4)
  t.match(warnings[0], [{ bytes: 6 }, /could not be read/])
  t.match(store.stats(), { entries: 0, corrupt: 4 })
  await set('no object', { n: 1 })
  t.strictSame(await get('no object'), { n: 1 })
})

t.test('clear destroys all, and stores of one memory are one', async t => {
  const { memory, get, set, clear, length } = open()
  const other = promises(new SessionStore(memory, { size: MEBIBYTE }))
  await set('a', { n: 1 })
  await other.set('b', { n: 2 })
  t.equal((await get('b')).n, 2)
  t.equal(await length(), 2)
  await clear()
  t.equal(await other.length(), 0)
})

t.test('stores of other names have sessions of their own, also of one size', async t => {
  const { memory, get, set } = open()
  const [admins, same, guests] = ['admins', 'admins', 'guests'].map((name) => promises(new SessionStore(memory, { size: MEBIBYTE, name })))
  await set('a', { n: 1 })
  await admins!.set('a', { n: 2 })
  t.equal((await get('a')).n, 1)
  t.equal((await same!.get('a')).n, 2)
  t.equal(await guests!.get('a'), undefined)
  for (const name of ['', 5, null]) t.throws(() => open({ name: name as string }), { code: 'FST_SWOOLE_OPTIONS_INVALID' }, `${name}`)
  t.throws(() => open({ name: 'x'.repeat(1025) }), { code: 'FST_SWOOLE_NAME_INVALID' })
})

t.test('options are those of the plugin, and what is none of them is an error at once', async t => {
  const refused: Array<[object, RegExp]> = [
    [{ ttl: NaN }, /session.ttl is NaN/], [{ ttl: 'soon' }, /session.ttl/], [{ ttl: 0 }, /session.ttl/], [{ size: 100 }, /session.size is 100/],
    [{ size: -1 }, /session.size/], [{ maxBytes: NaN }, /session.maxBytes/], [{ secret: 'x'.repeat(32) }, /have "secret"/]
  ]
  for (const [options, message] of refused) t.throws(() => open(options), { code: 'FST_SWOOLE_OPTIONS_INVALID', message }, JSON.stringify(options))
  t.throws(() => new SessionStore(createLocalMemory(8 * MEBIBYTE), null as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' })

  const { pass } = clock(t)
  const { get, set, store } = open({ ttl: '2h', size: '512kb', maxBytes: '1kb' })
  await set('a', { n: 1 })
  pass(7_199_000)
  t.same(await get('a'), { n: 1 })
  pass(1001)
  t.equal(await get('a'), undefined)
  await t.rejects(set('a', { text: 'x'.repeat(1024) }), { code: 'FST_SWOOLE_SESSION_TOO_LARGE' })
  t.ok(store.stats().capacity < 512 * 1024)
  const unset = open({ ttl: undefined, maxBytes: undefined })
  await unset.set('a', { n: 1 })
  t.same(await unset.get('a'), { n: 1 })
})

t.test('callbacks may be left out, and what one throws comes to nobody else', async t => {
  const { store } = open()
  store.set('a', { n: 1 })
  store.touch('a', { n: 1 })
  let calls = 0
  t.throws(() => store.get('a', () => { calls++; throw new Error('mine') }), /mine/)
  t.equal(calls, 1)
  store.destroy('a')
  store.clear()
  t.throws(() => store.set('a', { n () {} }), { code: 'FST_SWOOLE_VALUE_INVALID' })
})
