import t from 'tap'
import { clientKey } from '../../plugins/rate-limiter/client-key.ts'
import { millisecondsOf, taken, tokensAt, tokensOut } from '../../plugins/rate-limiter/gcra.ts'
import { Family } from '../../plugins/rate-limiter/memory.ts'
import { LimiterPool } from '../../plugins/rate-limiter/pool.ts'
import { FixedWindowStore } from '../../plugins/rate-limiter/store.ts'
import { random } from '../shared-memory/random.ts'
import { World } from '../shared-memory/world.ts'

function start (maxKeys = 100, world = new World()) {
  const pool = new LimiterPool(world.worker(), maxKeys)
  return { pool, world, family: new Family(() => pool, true) }
}

function setClock (t: { intercept (object: object, property: string, descriptor: PropertyDescriptor): unknown }, nowMs: number) {
  const clock = { nowMs }
  t.intercept(Date, 'now', { value: () => clock.nowMs })
  return clock
}

t.test('a bucket admits exactly what it holds, whatever its rate', async t => {
  for (const [maxRequests, windowMs] of [[1, 1], [3, 1000], [7, 60_000], [1000, 60_000], [100_000, 1000], [999_983, 86_400_000]] as const) {
    const rate = { maxRequests, windowMs }
    const now = tokensAt(Date.UTC(2031, 5, 7) + 0.37, rate)
    let arrival = 0
    let admitted = 0
    for (let next = taken(arrival, now, 1, rate); !Number.isNaN(next); next = taken(arrival, now, 1, rate)) {
      arrival = next
      admitted++
    }
    t.equal(admitted, maxRequests, JSON.stringify(rate))
    t.equal(tokensOut(arrival, now), maxRequests)
  }
})

t.test('over any time a bucket admits what it holds and what that time refills, one more or less', async t => {
  const next = random(3)
  for (let trial = 0; trial < 200; trial++) {
    const rate = { maxRequests: 1 + next(50), windowMs: 1 + next(5000) }
    let now = Date.UTC(2026, 10, 24)
    const startedAt = now
    let arrival = 0
    let admitted = 0
    for (let n = 0; n < 2000; n++) {
      now += next(10)
      const then = taken(arrival, tokensAt(now, rate), 1, rate)
      if (Number.isNaN(then)) continue
      arrival = then
      admitted++
    }
    const most = rate.maxRequests + (now - startedAt) * rate.maxRequests / rate.windowMs
    if (admitted > most + 1) t.fail(`${admitted} of ${most} with ${JSON.stringify(rate)}`)
  }
  t.equal(millisecondsOf(1, { maxRequests: 4, windowMs: 1000 }), 250)
})

t.test('a limiter tells how a bucket stands and takes nothing for it', async t => {
  const limiter = start().family.create('test', { maxRequests: 5, window: '1h' })
  t.match(await limiter.getInfo('a'), { allowed: true, remaining: 5, currentCount: 0, retryAfterMs: 0, resetAt: Date })
  t.equal(await limiter.isAllowed('a'), true)
  t.equal(await limiter.isAllowed('a', 3), true)
  t.equal(await limiter.isAllowed('a', 2), false, 'two are too many, one is not')
  t.equal(await limiter.getRemaining('a'), 1)
  t.equal(await limiter.isAllowed('a'), true)
  const info = await limiter.getInfo('a')
  t.match(info, { allowed: false, remaining: 0, currentCount: 5 })
  t.ok(info.retryAfterMs > 0 && info.retryAfterMs <= 12 * 60_000, `${info.retryAfterMs}`)
  t.ok(info.resetAt.getTime() > Date.now() + 59 * 60_000)
  t.equal(await limiter.isAllowed('b'), true, 'another id has its own')
  await limiter.reset('a')
  t.equal(await limiter.getRemaining('a'), 5)
  t.equal(await limiter.isAllowed('c', 6), false, 'more than the bucket ever holds')
  t.equal(await limiter.getRemaining('c'), 5)
})

t.test('what is no id, cost, name or rate is named in the error', async t => {
  const { family } = start()
  const limiter = family.create('test', { maxRequests: 5, window: '1h' })
  await t.rejects(limiter.isAllowed(undefined as never), { code: 'FST_SWOOLE_VALUE_INVALID', message: /id given to the rate limiter "test" is undefined/ })
  for (const cost of [0, -1, 1.5, NaN, '1' as never]) await t.rejects(limiter.isAllowed('a', cost), { code: 'FST_SWOOLE_VALUE_INVALID' }, String(cost))
  for (const options of [{ maxRequests: 0, window: 1 }, { maxRequests: 1.5, window: 1 }, { maxRequests: 1, window: 0 }, { maxRequests: 1, window: 1, more: 1 }, undefined] as never[]) {
    t.throws(() => family.create('other', options), { code: 'FST_SWOOLE_OPTIONS_INVALID' }, JSON.stringify(options))
  }
  t.throws(() => family.create('other', { maxRequests: 1, window: 'soon' }), { code: 'FST_SWOOLE_DURATION_INVALID' })
  t.throws(() => family.create('', { maxRequests: 1, window: 1 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.throws(() => family.create('test', { maxRequests: 6, window: '1h' }), { code: 'FST_SWOOLE_SCHEMA_MISMATCH' })
  t.equal(limiter.create('test', { maxRequests: 5, window: '1h' }), limiter)
})

t.test('limiters of other names have other buckets, and new code may change a rate', async t => {
  const { family, pool } = start()
  const [one, two] = [family.create('one', { maxRequests: 1, window: '1h' }), family.create('two', { maxRequests: 1, window: '1h' })]
  t.equal(await one.isAllowed('a'), true)
  t.equal(await two.isAllowed('a'), true)
  t.equal(await one.isAllowed('a'), false)
  const newCode = new Family(() => pool, true).create('one', { maxRequests: 2, window: '1h' })
  t.equal(await newCode.getRemaining('a'), 2)
})

t.test('who comes with many ids does not lift the limit of who is active, in bounded memory', async t => {
  const limiter = start(1000).family.create('test', { maxRequests: 3, window: '1h' })
  for (let n = 0; n < 3; n++) limiter.take('active')
  let lifted = 0
  for (let n = 0; n < 100_000; n++) {
    limiter.take(`made up ${n}`)
    if (n % 100 === 0 && limiter.take('active').allowed) lifted++
  }
  t.equal(lifted, 0)
  t.match(limiter.stats(), { records: 1000, capacity: 1000 })
})

t.test('buckets that are full again go before those that are not, however long those were not used', async t => {
  const { family } = start(100)
  const [slow, fast] = [family.create('slow', { maxRequests: 2, window: '1h' }), family.create('fast', { maxRequests: 1000, window: 1 })]
  const fastOnes = Array.from({ length: 97 }, (_, n) => `fast ${n}`)
  for (const id of fastOnes.slice(0, 3)) fast.take(id)
  for (const id of ['a', 'b', 'c']) slow.take(id, 2)
  for (const id of fastOnes.slice(3)) fast.take(id)
  const end = Math.floor(Date.now() / 1000) * 1000 + 1000
  while (Date.now() < end);
  for (let n = 0; n < 50; n++) fast.take(`faster ${n}`)
  for (const id of ['a', 'b', 'c']) t.equal(await slow.getRemaining(id), 0, id)
  t.equal(slow.stats().evictions, 0)
})

t.test('a clock that is put back keeps a bucket empty for a window at most, and says so', async t => {
  const clock = setClock(t, Date.UTC(2026, 10, 24))
  const { family } = start()
  const limiter = family.create('test', { maxRequests: 2, window: '1m' })
  for (const id of ['asks', 'looks', 'waits']) limiter.take(id, 2)
  clock.nowMs -= 3_600_000
  t.match(limiter.take('asks'), { allowed: false, remaining: 0, resetMs: 60_000, retryAfterMs: 30_000 })
  t.match(await limiter.getInfo('looks'), { allowed: false, currentCount: 2, retryAfterMs: 30_000, resetAt: new Date(clock.nowMs + 60_000) })
  clock.nowMs += 30_000
  t.strictSame([limiter.take('asks').allowed, limiter.take('asks').allowed], [true, false])
  t.equal(await limiter.getRemaining('looks'), 1)
  t.match(limiter.take('waits'), { allowed: false, retryAfterMs: 30_000 }, 'whoever was not there begins when he comes')
  clock.nowMs += 60_000
  for (const id of ['asks', 'looks', 'waits']) t.equal(await limiter.getRemaining(id), 2, id)
})

t.test('a limiter admits what it should at any time a clock may tell', async t => {
  for (const at of [0, Date.UTC(1999, 11, 31), Date.UTC(2100, 0)]) {
    const clock = setClock(t, at)
    const limiter = start().family.create('test', { maxRequests: 2, window: '1m' })
    t.equal(await limiter.getRemaining('a'), 2)
    t.strictSame([1, 2, 3].map(() => limiter.take('a').allowed), [true, true, false], new Date(at).toISOString())
    clock.nowMs += 30_000
    t.strictSame([1, 2].map(() => limiter.take('a').allowed), [true, false])
  }
})

t.test('without being enabled everything is allowed', async t => {
  const limiter = new Family(() => { throw new Error('it takes no memory') }, false).create('test', { maxRequests: 1, window: '1h' })
  for (let n = 0; n < 3; n++) t.equal(await limiter.isAllowed('a'), true)
  t.match(limiter.take('a'), { allowed: true })
  t.match(await limiter.getInfo('a'), { allowed: true, remaining: 1 })
  await limiter.reset('a')
})

t.test('an IPv6 address takes from the bucket of its /64, an IPv4 address from its own', async t => {
  t.equal(clientKey('192.0.2.7'), '192.0.2.7')
  t.equal(clientKey('::ffff:192.0.2.7'), '192.0.2.7')
  t.equal(clientKey('2001:db8:0:1:a:b:c:d'), '2001:db8:0:1::/64')
  t.equal(clientKey('2001:0DB8::1:0:0:0:9'), '2001:db8:0:1::/64')
  t.equal(clientKey('2001:db8::9'), '2001:db8:0:0::/64')
  t.equal(clientKey('::1'), '0:0:0:0::/64')
  t.equal(clientKey('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(clientKey('64:ff9b::192.0.2.1'), '64:ff9b:0:0::/64')
  t.not(clientKey('2001:db8:0:1::1'), clientKey('2001:db8:0:2::1'))
})

t.test('an IPv4 address is the same client however it is written, and a port is no part of a client', async t => {
  for (const written of ['192.0.2.7:50123', '::ffff:192.0.2.7', '::ffff:c000:207', '0:0:0:0:0:FFFF:C000:0207', '[::ffff:192.0.2.7]:50123']) t.equal(clientKey(written), '192.0.2.7', written)
  for (const written of ['[2001:db8:0:1::9]:50123', '[2001:db8:0:1::9]']) t.equal(clientKey(written), '2001:db8:0:1::/64', written)
  t.not(clientKey('::ffff:c000:208'), clientKey('::ffff:c000:207'))
  t.equal(clientKey('::1:ffff:c000:207'), '0:0:0:0::/64')
})

t.test('what is no address is its own client', async t => {
  for (const other of ['', 'unknown', '_hidden:1', 'face:b00c', '1.2.3:80', '1.2.3.400:80', '[x]:80', ':', '2001:db8::1::2']) t.equal(clientKey(other), other)
})

t.test('a window counts, and what comes after its end begins another', async t => {
  const store = new FixedWindowStore(() => pool)
  const { pool } = start()
  const incr = (key: string, timeWindow: number, max = 2, one = store) => {
    let result
    one.incr(key, (_error, given) => { result = given }, timeWindow, max)
    return result as unknown as { current: number, ttl: number }
  }
  const read = (key: string, timeWindow?: number, max = 2, one = store) => {
    let result
    one.read(key, (_error, given) => { result = given }, timeWindow, max)
    return result
  }
  t.strictSame(read('a'), { current: 0, ttl: 0 })
  t.strictSame(incr('a', 60_000), { current: 1, ttl: 60_000 })
  t.equal(incr('a', 60_000).current, 2)
  t.equal(incr('a', 60_000).current, 3)
  t.match(read('a'), { current: 3 })
  t.equal(incr('b', 0).current, 1)
  t.equal(incr('b', 60_000).current, 1, 'that of b was over at once')

  const longer = new FixedWindowStore(() => pool, { continueExceeding: true }, 'longer')
  for (let n = 0; n < 2; n++) incr('a', 60_000, 2, longer)
  t.strictSame(incr('a', 60_000, 2, longer), { current: 3, ttl: 60_000 })

  const clock = setClock(t, Date.now())
  for (let n = 0; n < 2; n++) incr('late', 1000)
  clock.nowMs -= 3_600_000
  t.strictSame(read('late', 1000), { current: 2, ttl: 1000 })
  t.strictSame(incr('late', 1000), { current: 3, ttl: 1000 }, 'a clock that is put back prolongs no window by more than itself')
  clock.nowMs += 1000
  t.strictSame(incr('late', 1000), { current: 1, ttl: 1000 })

  const doubled = new FixedWindowStore(() => pool, { exponentialBackoff: true }, 'doubled')
  for (let n = 0; n < 2; n++) incr('a', 1000, 2, doubled)
  t.strictSame([3, 4, 5].map(() => incr('a', 1000, 2, doubled).ttl), [1000, 2000, 4000])
  for (let n = 0; n < 100; n++) incr('a', 1000, 2, doubled)
  t.equal(incr('a', 1000, 2, doubled).ttl, Number.MAX_SAFE_INTEGER)

  incr('b', 1000, 2, doubled)
  for (let n = 0; n < 5; n++) incr('c', 1000, 2, doubled)
  clock.nowMs -= 3_600_000
  t.strictSame(read('b', 1000, 2, doubled), { current: 1, ttl: 1000 }, 'of one with a back-off, only what was exceeded can be longer')
  t.strictSame(incr('b', 1000, 2, doubled), { current: 2, ttl: 1000 })
  t.strictSame(read('c', 1000, 2, doubled), { current: 5, ttl: 4000 }, 'and by no more than it was prolonged')

  const route = store.child({ routeInfo: { method: 'GET', url: '/' } })
  t.equal(incr('a', 1000, 2, route).current, 1, 'a route with options of its own has counts of its own')
  const handlers = [store.child({ routeInfo: {} }), store.child({ routeInfo: {} })]
  t.strictSame(handlers.map((one) => incr('a', 1000, 2, one).current), [1, 1], 'and so has each handler of no route')
  t.strictSame([245, 345, 245].map((key) => incr(key as never, 60_000).current), [1, 1, 2], 'a key may be a number')
})
