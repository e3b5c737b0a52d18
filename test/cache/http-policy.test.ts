import t from 'tap'
import { millisecondsOf, parseCacheControl } from '../../plugins/cache/http/cache-control.ts'
import { entityTagOf, isUnchanged } from '../../plugins/cache/http/conditional.ts'
import { freshnessOf, namesIn, wishOf } from '../../plugins/cache/http/policy.ts'

const route = { ttlMs: 60_000, staleMs: 5000, errorMs: 0 }
const kept = (status: number, headers: Record<string, string | string[]>) => freshnessOf(status, headers, route)

t.test('directives are read whatever their case, quotes and spaces', async t => {
  const directives = parseCacheControl('Public, MAX-AGE = 10 ,s-maxage="20", private="set-cookie, x", no-cache')
  t.strictSame([...directives], [['public', undefined], ['max-age', '10'], ['s-maxage', '20'], ['private', 'set-cookie, x'], ['no-cache', undefined]])
  t.strictSame([...parseCacheControl(['max-age=1', 'no-store'])], [['max-age', '1'], ['no-store', undefined]])
  t.equal(parseCacheControl('max-age=1, max-age=100').get('max-age'), '1')
  t.equal(parseCacheControl(undefined).size, 0)
})

t.test('a number of seconds that is none makes nothing fresh, and a huge one stays finite', async t => {
  for (const field of ['max-age', 'max-age=', 'max-age=-1', 'max-age=1.5', 'max-age=ten']) {
    t.equal(millisecondsOf(parseCacheControl(field), 'max-age'), 0, field)
  }
  t.equal(millisecondsOf(parseCacheControl('max-age=99999999999999999999'), 'max-age'), 2 ** 31 * 1000)
  t.equal(millisecondsOf(parseCacheControl('public'), 'max-age'), undefined)
})

t.test('a request with credentials, cookies or a range passes by the cache', async t => {
  for (const headers of [{ authorization: 'Bearer x' }, { cookie: 'a=1' }, { range: 'bytes=0-1' }, { upgrade: 'websocket' }, { 'cache-control': 'no-store' }]) {
    const { mayAnswer, mayStore } = wishOf(headers)
    t.strictSame({ mayAnswer, mayStore }, { mayAnswer: false, mayStore: false }, JSON.stringify(headers))
  }
})

t.test('a request may ask for a newer answer, one of a certain age, or none but a kept one', async t => {
  t.match(wishOf({}), { mayAnswer: true, mayStore: true, maxAgeMs: Infinity, minFreshMs: 0, onlyIfCached: false })
  t.match(wishOf({ 'cache-control': 'no-cache' }), { mayAnswer: false, mayStore: true })
  t.match(wishOf({ pragma: 'no-cache' }), { mayAnswer: false, mayStore: true })
  t.match(wishOf({ pragma: 'no-cache', 'cache-control': 'max-age=5' }), { mayAnswer: true, maxAgeMs: 5000 })
  t.match(wishOf({ 'cache-control': 'max-age=0, min-fresh=3, only-if-cached' }), { maxAgeMs: 0, minFreshMs: 3000, onlyIfCached: true })
})

t.test('an answer that says nothing is kept as long as its route says', async t => {
  t.strictSame(kept(200, {}), route)
  t.strictSame(kept(200, { 'cache-control': 'public' }), route)
})

t.test('the answer\'s own Cache-Control goes before its route', async t => {
  t.strictSame(kept(200, { 'cache-control': 'max-age=10' }), { ttlMs: 10_000, staleMs: 5000, errorMs: 0 })
  t.strictSame(kept(200, { 'cache-control': 'max-age=10, stale-while-revalidate=7, stale-if-error=70' }), { ttlMs: 10_000, staleMs: 7000, errorMs: 70_000 })
  t.strictSame(kept(200, { 'cache-control': 'max-age=10, s-maxage=20' }), { ttlMs: 20_000, staleMs: 0, errorMs: 0 })
  t.strictSame(kept(200, { 'cache-control': 's-maxage=20, stale-while-revalidate=7' }), { ttlMs: 20_000, staleMs: 7000, errorMs: 0 })
  t.strictSame(kept(200, { 'cache-control': 'must-revalidate, stale-while-revalidate=7' }), { ttlMs: 60_000, staleMs: 0, errorMs: 0 })
  for (const field of ['no-store', 'private', 'no-cache', 'max-age=0', 's-maxage=0, max-age=9', 'private="x-y"']) {
    t.equal(kept(200, { 'cache-control': field }), undefined, field)
  }
})

t.test('Expires counts where Cache-Control says nothing', async t => {
  const date = 'Tue, 24 Nov 2026 07:00:00 GMT'
  t.strictSame(kept(200, { date, expires: 'Tue, 24 Nov 2026 07:00:30 GMT' }), { ttlMs: 30_000, staleMs: 5000, errorMs: 0 })
  t.match(kept(200, { date, expires: 'Tue, 24 Nov 2026 07:00:30 GMT', 'cache-control': 'max-age=5' }), { ttlMs: 5000 })
  t.equal(kept(200, { date, expires: date }), undefined)
  t.equal(kept(200, { expires: '0' }), undefined)
})

t.test('an answer that comes with an Age is fresh for the rest of its time', async t => {
  const date = 'Tue, 24 Nov 2026 07:00:00 GMT'
  t.match(kept(200, { 'cache-control': 'max-age=60', age: '50' }), { ttlMs: 10_000 })
  t.match(kept(200, { date, expires: 'Tue, 24 Nov 2026 07:00:30 GMT', age: '10' }), { ttlMs: 20_000 })
  t.equal(kept(200, { 'cache-control': 'max-age=60', age: '60' }), undefined)
  t.match(kept(200, { 'cache-control': 'max-age=60', age: '-5' }), { ttlMs: 60_000 })
  t.match(kept(200, { age: '50' }), { ttlMs: 60_000 }, 'what the route says begins now')
})

t.test('a date that cannot be read is now', async t => {
  const { ttlMs } = kept(200, { date: 'yesterday', expires: new Date(Date.now() + 60_000).toUTCString() })!
  t.ok(ttlMs > 0 && ttlMs <= 60_000, `${ttlMs}`)
})

t.test('an answer that sets a cookie is never kept', async t => {
  t.equal(kept(200, { 'set-cookie': 'a=1', 'cache-control': 'public, max-age=60' }), undefined)
})

t.test('errors and what passes are kept only when they ask for it', async t => {
  for (const status of [302, 404, 410]) {
    t.equal(kept(status, {}), undefined, String(status))
    t.strictSame(kept(status, { 'cache-control': 'max-age=1' }), { ttlMs: 1000, staleMs: 5000, errorMs: 0 }, String(status))
  }
  for (const status of [201, 206, 304, 401, 500, 503]) t.equal(kept(status, { 'cache-control': 'max-age=60' }), undefined, String(status))
})

t.test('an answer that varies with everything, has trailers or no end is not kept', async t => {
  t.strictSame(kept(200, { vary: 'Accept-Language' }), route)
  t.equal(kept(200, { vary: '*' }), undefined)
  t.equal(kept(200, { vary: 'origin, *' }), undefined)
  t.equal(kept(200, { trailer: 'x-sum' }), undefined)
  t.equal(kept(200, { 'content-type': 'text/event-stream' }), undefined)
  t.strictSame(namesIn('origin,  Accept-Language, ORIGIN'), ['accept-language', 'origin'])
  t.strictSame(namesIn(undefined), [])
})

t.test('one who has the answer is told so', async t => {
  const etag = entityTagOf('hello')
  t.match(etag, /^W\/"[\w-]{27}"$/)
  t.equal(etag, entityTagOf(Buffer.from('hello')))
  t.not(etag, entityTagOf('hellp'))
  t.ok(isUnchanged({ 'if-none-match': etag }, { etag }))
  t.ok(isUnchanged({ 'if-none-match': `"other", ${etag.slice(2)}` }, { etag }))
  t.ok(isUnchanged({ 'if-none-match': '*' }, { etag }))
  t.notOk(isUnchanged({ 'if-none-match': '"other"' }, { etag }))
  t.notOk(isUnchanged({}, { etag }))
  const modified = 'Tue, 24 Nov 2026 07:00:00 GMT'
  t.ok(isUnchanged({ 'if-modified-since': modified }, { 'last-modified': modified }))
  t.notOk(isUnchanged({ 'if-modified-since': 'Tue, 24 Nov 2026 06:59:59 GMT' }, { 'last-modified': modified }))
  t.notOk(isUnchanged({ 'if-none-match': '"other"', 'if-modified-since': modified }, { etag, 'last-modified': modified }), 'a tag goes before a date')
  t.notOk(isUnchanged({ 'if-modified-since': 'rubbish' }, { 'last-modified': modified }))
})
