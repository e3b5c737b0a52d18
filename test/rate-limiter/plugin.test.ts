import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply } from 'fastify'
import t from 'tap'
import rateLimiter from '../../plugins/rate-limiter/index.ts'
import { ReplyFields } from '../../plugins/rate-limiter/reply-fields.ts'
import { memoryFor } from '../../plugins/shared-memory/index.ts'
import swoole from '../../plugins/swoole.ts'

t.test('a route that says so is limited, and both kinds of fields tell how the client stands', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter, { maxRequests: 2, window: '1h' })
  fastify.get('/limited', { config: { rateLimiter: true } }, async () => 'yes')
  fastify.get('/free', async () => 'yes')
  t.match((await fastify.inject('/free')).headers, { ratelimit: undefined })
  const first = await fastify.inject('/limited')
  t.equal(first.statusCode, 200)
  t.match(first.headers, {
    'ratelimit-policy': '"default";q=2;w=3600',
    ratelimit: '"default";r=1;t=1800',
    'x-ratelimit-limit': '2',
    'x-ratelimit-remaining': '1',
    'x-ratelimit-reset': '1800'
  })
  await fastify.inject('/limited')
  const refused = await fastify.inject('/limited')
  t.equal(refused.statusCode, 429)
  t.match(refused.json(), { code: 'FST_SWOOLE_RATE_LIMITED', message: 'Too many requests: try again in 1800 s' })
  t.match(refused.headers, { 'retry-after': '1800', ratelimit: '"default";r=0;t=3600' })
  t.equal((await fastify.inject({ url: '/limited', remoteAddress: '192.0.2.9' })).statusCode, 200)
  await fastify.rateLimiter.reset('127.0.0.1')
  t.equal((await fastify.inject('/limited')).statusCode, 200)
  await fastify.close()
})

t.test('the fields are those that the plugin or the route asks for', async t => {
  const names = ['ratelimit-policy', 'ratelimit', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']
  const expected = { all: names, draft: names.slice(0, 2), legacy: names.slice(2), none: [] }
  for (const headers of ['all', 'draft', 'legacy', 'none'] as const) {
    const fastify = Fastify()
    await fastify.register(rateLimiter, { headers, maxRequests: 1, window: '1h' })
    fastify.get('/', { config: { rateLimiter: true } }, async () => 'yes')
    for (const own of ['all', 'draft', 'legacy', 'none'] as const) {
      fastify.get(`/${own}`, { config: { rateLimiter: { maxRequests: 1, headers: own } } }, async () => 'yes')
    }
    fastify.get('/undefined', { config: { rateLimiter: { maxRequests: 1, headers: undefined } } }, async () => 'yes')
    for (const [url, fields] of [['/', expected[headers]], ['/undefined', expected[headers]], ...Object.entries(expected).map(([own, fields]) => [`/${own}`, fields])] as Array<[string, string[]]>) {
      for (const status of [200, 429]) {
        const answer = await fastify.inject(url)
        t.equal(answer.statusCode, status)
        t.strictSame(Object.keys(answer.headers).filter(name => name.includes('ratelimit')), fields, `${url} of ${headers}`)
        t.equal(answer.headers['retry-after'], status === 429 ? '3600' : undefined)
      }
    }
    await fastify.close()
  }
})

t.test('global limits no route of health', async t => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(swoole, { health: { ready: '/ready' }, rateLimiter: { global: true, maxRequests: 3 } })
  fastify.get('/', async () => 'yes')
  const statuses = async (url: string) => {
    const found = []
    for (let request = 0; request < 5; request++) found.push((await fastify.inject(url)).statusCode)
    return found
  }
  t.strictSame(await statuses('/livez'), [200, 200, 200, 200, 200])
  t.strictSame(await statuses('/ready'), [200, 200, 200, 200, 200])
  t.strictSame(await statuses('/'), [200, 200, 200, 429, 429])
})

t.test('each answer has its own fields, and hooks see and change them, at the first request and after it', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter, { maxRequests: 600, window: '1h' })
  fastify.get('/', {
    config: { rateLimiter: true },
    onSend: async (_request, reply, payload) => {
      reply.header('seen', reply.getHeader('X-RateLimit-Remaining'))
      reply.removeHeader('X-RateLimit-Limit')
      return payload
    }
  }, async () => 'yes')
  // One of them has taken more than what is remembered of, the other has not.
  for (const [remoteAddress, before] of [['192.0.2.1', 0], ['192.0.2.2', 500]] as const) {
    if (before > 0) await fastify.rateLimiter.isAllowed(remoteAddress, before)
    for (let taken = before + 1; taken <= before + 3; taken++) {
      const { headers } = await fastify.inject({ url: '/', remoteAddress })
      t.match(headers, {
        ratelimit: `"default";r=${600 - taken};t=${taken * 6}`,
        'x-ratelimit-remaining': String(600 - taken),
        'x-ratelimit-reset': String(taken * 6),
        seen: String(600 - taken)
      })
      t.notOk('x-ratelimit-limit' in headers)
    }
  }
  await fastify.close()
})

t.test('what is told of a bucket that fills again is told anew', async t => {
  let nowMs = Date.now()
  t.intercept(Date, 'now', { value: () => nowMs })
  const fastify = Fastify()
  await fastify.register(rateLimiter, { maxRequests: 2, window: '10s' })
  fastify.get('/', { config: { rateLimiter: true } }, async () => 'yes')
  const told = async () => {
    const { headers } = await fastify.inject('/')
    return [headers['ratelimit'], headers['x-ratelimit-remaining'], headers['x-ratelimit-reset']].join(' ')
  }
  t.equal(await told(), '"default";r=1;t=5 1 5')
  nowMs += 3000
  t.equal(await told(), '"default";r=0;t=7 0 7')
  nowMs += 5000
  t.equal(await told(), '"default";r=0;t=7 0 7')
  nowMs += 60_000
  t.equal(await told(), '"default";r=1;t=5 1 5')
  nowMs += 3500
  t.equal(await told(), '"default";r=0;t=7 0 7')
  await fastify.close()
})

t.test('a Fastify that keeps the fields of a reply elsewhere is given them by its method', t => {
  const replyFields = new ReplyFields()
  for (let n = 0; n < 3; n++) {
    const given: Array<Record<string, string>> = []
    const reply = { [Symbol('others')]: { 'x-ratelimit-limit': 'other' }, headers: (fields: Record<string, string>) => { given.push(fields) } } as unknown as FastifyReply
    t.equal(replyFields.of(reply), undefined)
    replyFields.set(reply, { 'x-ratelimit-limit': '2' })
    t.strictSame(given, [{ 'x-ratelimit-limit': '2' }])
  }
  t.end()
})

t.test('a route has limits, clients and costs of its own', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter, { global: true, maxRequests: 5, window: '1h' })
  const keyGenerator = (request: { headers: Record<string, unknown> }) => request.headers['x-user'] as string | undefined
  fastify.get('/own', { config: { rateLimiter: { maxRequests: 10, keyGenerator, cost: 5 } } }, async () => 'yes')
  fastify.get('/never', { config: { rateLimiter: false } }, async () => 'yes')
  const status = async (headers: object) => (await fastify.inject({ url: '/own', headers: { ...headers } })).statusCode
  t.strictSame([await status({ 'x-user': 'a' }), await status({ 'x-user': 'a' }), await status({ 'x-user': 'a' }), await status({ 'x-user': 'b' })], [200, 200, 429, 200])
  t.equal(await status({}), 200, 'without a key it is not limited')
  t.equal((await fastify.inject({ method: 'HEAD', url: '/own', headers: { 'x-user': 'a' } })).statusCode, 429, 'HEAD takes from the same bucket')
  for (let n = 0; n < 20; n++) t.equal((await fastify.inject('/never')).statusCode, 200)
  await fastify.close()
})

t.test('what a route says wrongly is an error when it is added', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter)
  const add = (config: object) => () => fastify.get('/', { config: { rateLimiter: config } }, async () => '')
  t.throws(add({ max: 5 }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /route GET \// })
  t.throws(add({ cost: 0 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.throws(add({ cost: 101 }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /cost .* is 101, but must be at most the 100 tokens/ })
  t.throws(add({ cost: 6, maxRequests: 5 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.throws(add({ headers: 'drafts' }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /headers .* is "drafts", but must be one of all, draft, legacy, none/ })
  t.throws(add({ keyGenerator: 'ip' }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  t.throws(add({ maxRequests: -1 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  await fastify.close()
  const register = (options: object) => async () => { await Fastify().register(rateLimiter, options) }
  for (const options of [{ maxKeys: 0 }, { maxRequest: 5 }, { enabled: 'no' }, { global: 'yes' }, { window: '1x' }, { headers: 'some' }]) {
    await t.rejects(register(options), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: `rateLimiter.${Object.keys(options)[0]!}` }, JSON.stringify(options))
  }
  await t.resolves(register({ maxRequests: undefined, window: undefined, maxKeys: undefined }))
})

t.test('routes of one URL that differ in their constraints have limits of their own', async t => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(rateLimiter)
  for (const [version, maxRequests] of [['1.0.0', 1], ['2.0.0', 2]] as const) {
    fastify.get('/', { constraints: { version }, config: { rateLimiter: { maxRequests } } }, async () => version)
  }
  const status = async (version: string) => (await fastify.inject({ url: '/', headers: { 'accept-version': version } })).statusCode
  t.strictSame([await status('1.0.0'), await status('1.0.0'), await status('2.0.0'), await status('2.0.0'), await status('2.0.0')], [200, 429, 200, 200, 429])
})

t.test('HEAD takes from the bucket of GET, also where a route has more methods', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter)
  const limited = { config: { rateLimiter: { maxRequests: 2, window: '1h' } }, handler: async () => 'yes' } as const
  fastify.route({ method: 'GET', url: '/one', ...limited })
  fastify.route({ method: ['GET', 'POST'], url: '/more', ...limited })
  for (const url of ['/one', '/more']) {
    const statuses = []
    for (const method of ['GET', 'HEAD', 'HEAD', 'GET'] as const) statuses.push((await fastify.inject({ method, url })).statusCode)
    t.strictSame(statuses, [200, 200, 429, 429], url)
  }
  await fastify.close()
})

t.test('HEAD has buckets of its own where its limit is another, whichever is added first', async t => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(rateLimiter)
  const limited = (maxRequests: number) => ({ config: { rateLimiter: { maxRequests, window: '1h' } }, handler: async () => 'yes' }) as const
  fastify.route({ method: 'GET', url: '/get-first', exposeHeadRoute: false, ...limited(2) })
  fastify.route({ method: 'HEAD', url: '/get-first', ...limited(1) })
  fastify.route({ method: 'HEAD', url: '/head-first', ...limited(1) })
  fastify.route({ method: 'GET', url: '/head-first', ...limited(2) })
  fastify.route({ method: 'HEAD', url: '/alike', ...limited(2) })
  fastify.route({ method: 'GET', url: '/alike', ...limited(2) })
  t.throws(() => fastify.head('/', limited(0)), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  const statuses = async (url: string) => {
    const found = []
    for (const method of ['GET', 'HEAD', 'HEAD', 'GET', 'GET'] as const) found.push((await fastify.inject({ method, url })).statusCode)
    return found
  }
  t.strictSame(await statuses('/get-first'), [200, 200, 429, 200, 429])
  t.strictSame(await statuses('/head-first'), [200, 200, 429, 200, 429])
  t.strictSame(await statuses('/alike'), [200, 200, 429, 429, 429])
  t.match((await fastify.inject({ method: 'HEAD', url: '/head-first' })).headers, { 'ratelimit-policy': '"HEAD /head-first";q=1;w=3600' })
})

t.test('memory that a limit cannot have is told of at the start', async t => {
  const begin = async (use: (fastify: FastifyInstance) => unknown, maxKeys?: number) => {
    const fastify = Fastify()
    t.teardown(() => fastify.close())
    memoryFor(fastify.server, 1024 * 1024)
    await fastify.register(rateLimiter, { maxKeys })
    await use(fastify)
    await fastify.ready()
  }
  const full = { code: 'FST_SWOOLE_MEMORY_FULL', message: /raise memory\.size/ }
  const limited = (fastify: FastifyInstance) => fastify.get('/', { config: { rateLimiter: true } }, async () => 'yes')
  await t.rejects(begin(limited, 100_000), full)
  await t.rejects(begin((fastify) => fastify.register(rateLimit, { store: fastify.rateLimiter.Store }), 100_000), full)
  await t.resolves(begin(() => {}, 100_000), 'without a limit none is taken')
  await t.resolves(begin(limited), 'by default, as many keys are remembered as fit')
})

t.test('in a small memory all that has its defaults fits together', async t => {
  for (const size of ['2mb', '16mb']) {
    const fastify = Fastify()
    t.teardown(() => fastify.close())
    await fastify.register(swoole, { memory: { size }, session: { secret: 'a secret of at least 32 characters' }, rateLimiter: { global: true } })
    fastify.get('/', async () => await fastify.cache.get('key', async () => 'yes'))
    t.equal((await fastify.inject('/')).body, 'yes', size)
  }
})

t.test('a key may come later; one that fails, or is none, is the fault of the application', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter, { maxRequests: 1, window: '1h' })
  const keys: Record<string, (request: { headers: Record<string, unknown> }) => unknown> = {
    '/later': async ({ headers }) => headers.id,
    '/fails': async () => { throw new Error('no such user') },
    '/throws': () => { throw new Error('no such user') },
    '/number': () => 5,
    '/later-null': async () => null
  }
  for (const [url, keyGenerator] of Object.entries(keys)) {
    fastify.get(url, { config: { rateLimiter: { keyGenerator: keyGenerator as () => string } } }, async () => 'yes')
  }
  const status = async (url: string, headers: Record<string, string> = {}) => (await fastify.inject({ url, headers })).statusCode
  t.strictSame([await status('/later', { id: 'a' }), await status('/later', { id: 'a' }), await status('/later', { id: 'b' }), await status('/later'), await status('/later')], [200, 429, 200, 200, 200])
  for (const url of ['/fails', '/throws', '/number', '/later-null']) t.equal(await status(url), 500, url)
  t.match((await fastify.inject('/number')).json(), { code: 'FST_SWOOLE_VALUE_INVALID' })
  await fastify.close()
})

t.test('over a Unix socket all are one client', async t => {
  const fastify = Fastify()
  // The name of a socket has a hundred characters at most.
  const folder = await mkdtemp(join(tmpdir(), 'swoole-'))
  t.teardown(() => rm(folder, { recursive: true }))
  t.teardown(() => fastify.close())
  await fastify.register(rateLimiter, { maxRequests: 2, window: '1h' })
  fastify.get('/', { config: { rateLimiter: true } }, async () => 'yes')
  const path = join(folder, 'socket')
  await fastify.listen({ path })
  const status = async () => {
    const asked = request({ socketPath: path, path: '/', agent: false }).end()
    const [answer] = await once(asked, 'response') as [IncomingMessage]
    answer.resume()
    return answer.statusCode
  }
  t.strictSame([await status(), await status(), await status()], [200, 200, 429])
})

t.test('@fastify/rate-limit counts in our store', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter)
  await fastify.register(rateLimit, { max: 2, timeWindow: '1 hour', store: fastify.rateLimiter.Store })
  fastify.get('/', async () => 'yes')
  fastify.get('/own', { config: { rateLimit: { max: 1 } } }, async () => 'yes')
  const status = async (url: string) => (await fastify.inject(url)).statusCode
  t.strictSame([await status('/'), await status('/'), await status('/'), await status('/own'), await status('/own')], [200, 200, 429, 200, 429])
  t.ok(fastify.rateLimiter.stats().records >= 2)
  await fastify.close()
})

t.test('@fastify/rate-limit counts routes of one URL with other constraints by themselves', async t => {
  const fastify = Fastify()
  await fastify.register(rateLimiter)
  await fastify.register(rateLimit, { global: false, store: fastify.rateLimiter.Store })
  for (const host of ['a.example', 'b.example']) fastify.get('/', { constraints: { host }, config: { rateLimit: { max: 1, timeWindow: '1 hour' } } }, async () => host)
  const status = async (host: string) => (await fastify.inject({ url: '/', headers: { host } })).statusCode
  t.strictSame([await status('a.example'), await status('a.example'), await status('b.example'), await status('b.example')], [200, 429, 200, 429])
  await fastify.close()
})

t.test('Retry-After has no second for what is but a rounding', async t => {
  let nowMs = Date.UTC(2026, 10, 29)
  t.intercept(Date, 'now', { value: () => nowMs })
  const fastify = Fastify()
  await fastify.register(rateLimiter, { maxRequests: 3, window: '1m' })
  fastify.get('/', { config: { rateLimiter: true } }, async () => 'yes')
  for (let n = 0; n < 200; n++) {
    nowMs += 3_600_000 + n * 7
    for (let taken = 0; taken < 3; taken++) await fastify.inject('/')
    nowMs += 17_000
    t.equal((await fastify.inject('/')).headers['retry-after'], '3')
  }
  await fastify.close()
})
