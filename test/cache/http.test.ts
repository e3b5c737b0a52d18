import t from 'tap'
import type { InjectOptions } from 'fastify'
import { makeApp, setClock } from './http-app.ts'
import type { App } from './http-app.ts'

const STATUS = 'cache-status'

/** A route that counts its runs, with these fields in its answers. */
function count ({ fastify }: App, url: string, cache: object | boolean, headers: Record<string, string> = {}): { runs: number } {
  const counter = { runs: 0 }
  fastify.get(url, { config: { cache } }, async (_request, reply) => {
    reply.headers(headers)
    return { run: ++counter.runs }
  })
  return counter
}

/** The runs that requests like these see, one after another. */
async function runsSeen ({ fastify }: App, ...requests: Array<InjectOptions | string>): Promise<number[]> {
  const seen: number[] = []
  for (const request of requests) seen.push((await fastify.inject(request as InjectOptions)).json().run)
  return seen
}

t.test('an answer is kept, and given with its age until its time is over', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  const counter = count(app, '/', { ttl: '1m' })
  const first = await app.fastify.inject('/')
  t.match(first.headers, { [STATUS]: 'fastify-swoole; fwd=uri-miss; stored', age: undefined, etag: /^W\/"/ })
  clock.advance(10_500)
  const second = await app.fastify.inject('/')
  t.equal(second.body, first.body)
  t.match(second.headers, { [STATUS]: 'fastify-swoole; hit; ttl=49', age: '10', etag: first.headers.etag, 'content-type': 'application/json; charset=utf-8', 'content-length': '9' })
  t.ok(second.headers.date)
  clock.advance(49_501)
  t.equal((await app.fastify.inject('/')).json().run, 2)
  t.equal(counter.runs, 2)
})

t.test('the age of an answer that another cache had before goes on', async t => {
  let nowMs = Date.now()
  t.intercept(Date, 'now', { value: () => nowMs })
  const app = await makeApp(t)
  count(app, '/', true, { 'cache-control': 'max-age=60', age: '50' })
  t.match((await app.fastify.inject('/')).headers, { age: '50' })
  nowMs += 5000
  t.match((await app.fastify.inject('/')).headers, { age: '55', [STATUS]: 'fastify-swoole; hit; ttl=5' })
  t.strictSame(await runsSeen(app, '/', { url: '/', headers: { 'cache-control': 'max-age=56' } }, { url: '/', headers: { 'cache-control': 'max-age=55' } }), [1, 1, 2])
  nowMs += 10_000
  t.strictSame(await runsSeen(app, '/'), [3])
})

t.test('true keeps for the plugin\'s time, and other URLs and hosts have answers of their own', async t => {
  const app = await makeApp(t)
  count(app, '/', true)
  t.strictSame(await runsSeen(app, '/', '/', '/?a=1', '/?a=2', '/?a=1', { url: '/', headers: { host: 'other' } }, { url: '/', headers: { host: 'OTHER' } }), [1, 1, 2, 3, 2, 4, 4])
  t.match((await app.fastify.inject('/')).headers, { [STATUS]: /hit; ttl=3[56]\d\d/ })
})

t.test('a part of a URL is not taken for one of its host, nor one URL for another that is rewritten to the same', async t => {
  const app = await makeApp(t, { rewriteUrl: ({ url, headers }) => (url ?? '').replace(/^\/tenants\/\w+/, (tenant) => { headers['x-tenant'] = tenant; return '' }) })
  let refused = 0
  const refuse = async ({ headers }: { headers: Record<string, unknown> }) => { if (headers['x-api-key'] !== 'right') throw Object.assign(new Error(`no ${++refused}`), { statusCode: 401 }) }
  app.fastify.get('/internal/:id', { config: { cache: true }, preHandler: refuse }, async () => 'secret')
  app.fastify.get('/:page', { config: { cache: true } }, async ({ headers, url }) => `public ${headers['x-tenant'] ?? ''} ${url}`)
  const { fastify } = app
  t.equal((await fastify.inject({ url: '/internal/7', headers: { host: 'example.com', 'x-api-key': 'right' } })).body, 'secret')
  for (const host of ['example.com/internal', 'example.com\\internal', 'example.com?internal', 'example.com/internal ']) {
    t.equal((await fastify.inject({ url: '/7', headers: { host } })).body, 'public  /7', host)
  }
  for (const tenant of ['ann', 'bob', 'ann', 'bob']) t.equal((await fastify.inject(`/tenants/${tenant}/page`)).body, `public /tenants/${tenant} /page`)
  t.match((await fastify.inject('/tenants/ann/page')).headers[STATUS], /hit/)
})

t.test('behind a proxy that is trusted, the host and protocol that it tells of count', async t => {
  const app = await makeApp(t, { trustProxy: true })
  count(app, '/', true)
  const https = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'example.org' }
  t.strictSame(await runsSeen(app, '/', { url: '/', headers: https }, { url: '/', headers: https }, { url: '/', headers: { ...https, 'x-forwarded-proto': 'http' } }), [1, 2, 2, 3])
})

t.test('requests with credentials, cookies or a range pass by, and their answers are not kept', async t => {
  const app = await makeApp(t)
  const requests = [{ authorization: 'Basic x' }, { cookie: 'a=1' }, { range: 'bytes=0-1' }, { 'cache-control': 'no-store' }].map((headers, n) => ({ url: `/${n}`, headers }))
  for (const { url } of requests) count(app, url, true)
  for (const request of requests) {
    t.strictSame(await runsSeen(app, request, request, request.url, request, request.url), [1, 2, 3, 4, 3], JSON.stringify(request))
    t.equal((await app.fastify.inject(request)).headers[STATUS], 'fastify-swoole; fwd=bypass')
  }
})

t.test('no-cache and max-age ask for a newer answer, which all get from then on', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  count(app, '/', { ttl: '1m' })
  const asking = (field: string) => ({ url: '/', headers: { 'cache-control': field } })
  t.strictSame(await runsSeen(app, '/', asking('no-cache'), '/', asking('max-age=0'), '/', { url: '/', headers: { pragma: 'no-cache' } }), [1, 2, 2, 3, 3, 4])
  clock.advance(5000)
  t.strictSame(await runsSeen(app, asking('max-age=6'), asking('max-age=5'), asking('min-fresh=59'), asking('min-fresh=61')), [4, 5, 5, 6])
  t.match((await app.fastify.inject(asking('no-cache'))).headers, { [STATUS]: 'fastify-swoole; fwd=request; stored' })
})

t.test('only-if-cached is answered from the cache or with 504', async t => {
  const app = await makeApp(t)
  count(app, '/', true)
  const request = { url: '/', headers: { 'cache-control': 'only-if-cached' } }
  const refused = await app.fastify.inject(request)
  t.equal(refused.statusCode, 504)
  t.match(refused.json(), { statusCode: 504, error: 'Gateway Timeout' })
  t.strictSame(await runsSeen(app, '/', request), [1, 1])
})

t.test('the answer\'s Cache-Control is obeyed, and what must not be kept is not', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  count(app, '/short', { ttl: '1h' }, { 'cache-control': 'max-age=5' })
  const refused = [['cache-control', 'private'], ['cache-control', 'no-store'], ['cache-control', 'no-cache'], ['vary', '*'], ['set-cookie', 'a=1']] as const
  refused.forEach(([name, value], n) => count(app, `/${n}`, true, { [name]: value }))
  t.strictSame(await runsSeen(app, '/short', '/short'), [1, 1])
  clock.advance(5001)
  t.strictSame(await runsSeen(app, '/short'), [2])
  for (const [n, field] of refused.entries()) t.strictSame(await runsSeen(app, `/${n}`, `/${n}`, `/${n}`), [1, 2, 3], field.join())
})

t.test('errors are not kept, and after one of them an answer is, soon', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async () => {
    if (++runs === 1) throw new Error('not yet')
    return { run: runs }
  })
  t.equal((await app.fastify.inject('/')).statusCode, 500)
  clock.advance(1001)
  t.strictSame(await runsSeen(app, '/', '/'), [2, 2])
})

t.test('who has the answer is told so: with the first one, and with those that are kept', async t => {
  const app = await makeApp(t)
  count(app, '/', true, { 'last-modified': 'Tue, 24 Nov 2026 07:00:00 GMT', vary: 'accept' })
  app.fastify.get('/tagged', { config: { cache: true } }, async (_request, reply) => reply.header('etag', '"mine"').send('text'))
  const first = await app.fastify.inject({ url: '/tagged', headers: { 'if-none-match': '"mine"' } })
  t.equal(first.statusCode, 304)
  t.equal(first.body, '')
  t.match((await app.fastify.inject('/tagged')).headers, { [STATUS]: /hit/, etag: '"mine"' })
  t.equal((await app.fastify.inject('/tagged')).body, 'text')

  const { etag } = (await app.fastify.inject('/')).headers
  const unchanged = await app.fastify.inject({ url: '/', headers: { 'if-none-match': String(etag) } })
  t.equal(unchanged.statusCode, 304)
  t.equal(unchanged.body, '')
  t.match(unchanged.headers, { etag, vary: 'accept', age: '0', [STATUS]: /hit/ })
  t.notMatch(unchanged.headers, { 'content-type': /./ })
  t.notMatch(unchanged.headers, { 'content-length': /./ })
  t.equal((await app.fastify.inject({ url: '/', headers: { 'if-none-match': '"other"' } })).statusCode, 200)
  t.equal((await app.fastify.inject({ url: '/', headers: { 'if-modified-since': 'Tue, 24 Nov 2026 07:00:00 GMT' } })).statusCode, 304)
})

t.test('HEAD is answered from what GET left, and leaves nothing itself', async t => {
  const app = await makeApp(t)
  const counter = count(app, '/', true)
  t.match((await app.fastify.inject({ method: 'HEAD', url: '/' })).headers, { [STATUS]: 'fastify-swoole; fwd=uri-miss' })
  const get = await app.fastify.inject('/')
  t.equal(get.json().run, 2)
  const head = await app.fastify.inject({ method: 'HEAD', url: '/' })
  t.match(head, { statusCode: 200, body: '', headers: { [STATUS]: /hit/, 'content-length': '9', etag: get.headers.etag } })
  t.equal(counter.runs, 2)
})

t.test('a request that changes something at a URL removes its answers when it has succeeded', async t => {
  const app = await makeApp(t)
  count(app, '/', true, { vary: 'accept' })
  count(app, '/other', true)
  let status = 200
  app.fastify.route({ method: ['POST', 'PUT', 'PATCH', 'DELETE'], url: '/', handler: async (_request, reply) => reply.code(status).send() })
  await runsSeen(app, '/', '/other')
  let run = 1
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
    status = 400
    await app.fastify.inject({ method, url: '/' })
    t.strictSame(await runsSeen(app, '/', '/other'), [run, 1], `${method} that failed`)
    status = 303
    await app.fastify.inject({ method, url: '/' })
    t.strictSame(await runsSeen(app, '/', '/other'), [++run, 1], method)
  }
})

t.test('so it does when its handler answers past Fastify', async t => {
  const app = await makeApp(t)
  count(app, '/', true)
  app.fastify.post('/', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(204).end()
  })
  app.fastify.put('/', (_request, reply) => {
    reply.raw.statusCode = 500
    reply.raw.end()
  })
  app.fastify.patch('/', (_request, reply) => { reply.raw.end() })
  t.strictSame(await runsSeen(app, '/', '/'), [1, 1])
  await app.fastify.inject({ method: 'PUT', url: '/' })
  t.strictSame(await runsSeen(app, '/'), [1])
  for (const [method, runs] of [['POST', 2], ['PATCH', 3]] as const) {
    await app.fastify.inject({ method, url: '/' })
    t.strictSame(await runsSeen(app, '/', '/'), [runs, runs])
  }
})

t.test('what is wrong with a request does not remove the answer that others have', async t => {
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: { ttl: '1h' } } }, async ({ headers }, reply) => {
    runs++
    const status = Number(headers['x-status'] ?? 200)
    return reply.code(status).send(String(status))
  })
  t.equal((await app.fastify.inject('/')).body, '200')
  for (const status of ['400', '401', '403', '406', '429']) {
    t.equal((await app.fastify.inject({ url: '/', headers: { 'cache-control': 'no-cache', 'x-status': status } })).body, status)
    t.match((await app.fastify.inject('/')).headers[STATUS], /hit/, status)
  }
  for (const status of ['404', '410']) {
    await app.fastify.inject({ url: '/', headers: { 'cache-control': 'no-cache', 'x-status': status } })
    t.notMatch((await app.fastify.inject('/')).headers[STATUS], /hit/, status)
  }
  t.equal(runs, 10)
})

t.test('tags remove the answers that have them', async t => {
  const app = await makeApp(t)
  count(app, '/fixed', { tags: ['links'] })
  app.fastify.get('/made/:id', { config: { cache: { tags: (request) => [`link:${(request.params as { id: string }).id}`] } } }, async () => ({ run: Math.random() }))
  const [one, two] = await runsSeen(app, '/made/1', '/made/2')
  t.strictSame(await runsSeen(app, '/fixed', '/made/1', '/made/2'), [1, one, two])
  await app.fastify.cache.invalidateTags('links', 'link:1')
  const [fixed, newOne, sameTwo] = await runsSeen(app, '/fixed', '/made/1', '/made/2')
  t.equal(fixed, 2)
  t.not(newOne, one)
  t.equal(sameTwo, two)
})

t.test('a key of one\'s own stands for the URL, or says that a request passes by', async t => {
  const app = await makeApp(t)
  count(app, '/', { key: (request: { query: { id?: string } }) => request.query.id })
  count(app, '/other', { key: () => 'a' })
  count(app, '/wrong', { key: () => 5 })
  count(app, '/later', { key: async () => { throw new Error('nobody hears of it') } })
  count(app, '/later-tags', { tags: async () => { throw new Error('nobody hears of it') } })
  t.strictSame(await runsSeen(app, '/?id=a', '/?id=a&utm=1', '/', '/', '/other'), [1, 1, 2, 3, 1])
  for (const [url, is] of [['/wrong', 5], ['/later', 'a promise']] as const) {
    t.match((await app.fastify.inject(url)).json(), { statusCode: 500, code: 'FST_SWOOLE_KEY_INVALID', message: new RegExp(` is ${is}, but must be a string`) })
  }
  t.equal((await app.fastify.inject('/later-tags')).statusCode, 200)
  t.match(app.logged.at(-1), /The tags of the cache are a promise/)
})

t.test('what a route says wrongly is an error when it is added', async t => {
  const { fastify } = await makeApp(t)
  const add = (cache: unknown, method = 'GET') => () => fastify.route({ method, url: '/', config: { cache: cache as boolean }, handler: async () => '' })
  for (const config of [{ time: 5 }, { tags: 'x' }, { tags: [''] }, { vary: 'origin' }, { vary: ['a b'] }, { key: 'x' }, 'yes', 5, []]) {
    t.throws(add(config), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /route GET \// }, JSON.stringify(config))
  }
  t.throws(add({ ttl: '5 apples' }), { code: 'FST_SWOOLE_DURATION_INVALID', message: /ttl in config.cache of the route GET \// })
  t.throws(add({ staleWhileRevalidate: -1 }), { code: 'FST_SWOOLE_DURATION_INVALID' })
  t.throws(add(true, 'POST'), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: 'config.cache of the route POST / can be kept for GET and HEAD only: leave it out' })
  t.doesNotThrow(add(false, 'POST'))
})

t.test('a damaged answer is a miss, is removed and logged', async t => {
  const app = await makeApp(t)
  count(app, '/', true)
  await runsSeen(app, '/')
  const key = 'http://localhost:80\n/'
  const { value } = app.store.look(app.store.answers, key, Date.now())!
  for (let at = 0; at < (value as Buffer).length; at += 7) {
    const damaged = Buffer.from(value as Buffer)
    damaged[at]! ^= 0x41
    app.store.write(app.store.answers, key, damaged, { nowMs: Date.now(), ttlMs: 60_000 })
    const { headers } = await app.fastify.inject('/')
    t.match(headers[STATUS], /uri-miss/, `at ${at}`)
  }
  for (const value of [Buffer.alloc(0), 'text', 5, null, { id: 'x' }]) {
    app.store.write(app.store.answers, key, value, { nowMs: Date.now(), ttlMs: 60_000 })
    t.match((await app.fastify.inject('/')).headers[STATUS], /uri-miss; stored/)
  }
  t.match(app.logged.join(''), /an answer in the cache is damaged/)
})
