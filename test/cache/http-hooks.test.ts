import { gunzipSync, gzipSync } from 'node:zlib'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import fp from 'fastify-plugin'
import t from 'tap'
import { makeApp } from './http-app.ts'
import type { App } from './http-app.ts'

const STATUS = 'cache-status'
const statusOf = async ({ fastify }: App, url = '/', headers = {}) => (await fastify.inject({ url, headers })).headers[STATUS]

t.test('nobody has a kept answer whom a hook refuses, whenever the hook was added', async t => {
  const app = await makeApp(t)
  const { fastify } = app
  const refuse = async (request: { headers: Record<string, unknown> }) => {
    if (request.headers['x-api-key'] !== 'secret') throw Object.assign(new Error('no'), { statusCode: 401 })
  }
  await fastify.register(fp(async (fastify) => {
    fastify.addHook('onRoute', function (route) {
      if (route.url === '/later') route.preHandler = [...[route.preHandler ?? []].flat(), refuse]
      if (route.url === '/set') this.after(() => { route.preHandler = [...[route.preHandler ?? []].flat(), refuse] })
      if (route.url === '/pushed') this.after(() => { (route.preHandler as unknown[]).push(refuse) })
    })
  }))
  fastify.get('/route', { config: { cache: true }, preHandler: refuse }, async () => '')
  for (const url of ['/later', '/set', '/pushed']) fastify.get(url, { config: { cache: true } }, async () => '')
  fastify.get('/schema', { config: { cache: true }, schema: { headers: { type: 'object', required: ['x-api-key'] } } }, async () => '')
  await fastify.register(async (fastify) => {
    fastify.addHook('preHandler', refuse)
    fastify.get('/instance', { config: { cache: true } }, async () => '')
  })
  for (const url of ['/route', '/later', '/set', '/pushed', '/instance', '/schema']) {
    await statusOf(app, url, { 'x-api-key': 'secret' })
    t.match(await statusOf(app, url, { 'x-api-key': 'secret' }), /hit/, url)
    t.match((await fastify.inject(url)).statusCode, /40[01]/, url)
  }
})

t.test('what hooks set for a request is its own; what the handler set or took away is kept', async t => {
  const app = await makeApp(t)
  let requests = 0
  app.fastify.addHook('onRequest', async (_request, reply) => {
    reply.headers({ 'x-request': ++requests, 'x-ratelimit-remaining': 10 - requests, 'cache-control': 'no-cache', 'x-frame-options': 'DENY' })
  })
  app.fastify.get('/', { config: { cache: true } }, async (_request, reply) => {
    reply.removeHeader('x-frame-options').headers({ 'cache-control': 'max-age=60', 'x-made': 'yes', 'retry-after': '5', connection: 'x-hop', 'x-hop': 'yes', 'ratelimit-policy': 'x', 'cache-status': 'upstream; hit' })
    return 'text'
  })
  const first = await app.fastify.inject('/')
  t.match(first.headers, { [STATUS]: 'upstream; hit, fastify-swoole; fwd=uri-miss; stored', 'x-request': '1', 'retry-after': '5' })
  const second = await app.fastify.inject('/')
  t.match(second.headers, { [STATUS]: /^fastify-swoole; hit/, 'x-request': '2', 'x-ratelimit-remaining': '8', 'cache-control': 'max-age=60', 'x-made': 'yes' })
  for (const name of ['x-frame-options', 'retry-after', 'x-hop', 'ratelimit-policy']) t.notOk(name in second.headers, name)
})

t.test('a cookie is never kept, in whichever hook it is set', async t => {
  const app = await makeApp(t, { first: (fastify) => fastify.register(cookie) })
  const { fastify } = app
  await fastify.register(session, { secret: 'x'.repeat(32), cookie: { secure: false } })
  await fastify.register(fp(async (fastify) => {
    fastify.addHook('onRoute', (route) => {
      if (route.url !== '/later') return
      route.onSend = [...[route.onSend ?? []].flat(), async (_request: unknown, reply: { header (name: string, value: string): void }) => { reply.header('set-cookie', 'late=1') }]
    })
  }))
  fastify.get('/later', { config: { cache: true } }, async () => '')
  fastify.get('/session', { config: { cache: true } }, async (request) => {
    request.session.set('seen' as never, true as never)
    return ''
  })
  fastify.get('/cookie', { config: { cache: true } }, async (_request, reply) => reply.setCookie('a', '1').send(''))
  fastify.get('/raw', { config: { cache: true } }, (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']).end('')
  })
  for (const url of ['/later', '/session', '/cookie', '/raw']) {
    for (let n = 0; n < 3; n++) {
      const { headers } = await fastify.inject(url)
      t.ok(headers['set-cookie'], url)
      t.notMatch(headers[STATUS], /hit|stored/, url)
    }
  }
})

t.test('what middlewares set as the head goes out is seen', async t => {
  const app = await makeApp(t)
  const { fastify } = app
  // As the package on-headers does, for express-session and others.
  fastify.addHook('onRequest', async ({ headers }, { raw }) => {
    const { writeHead } = raw
    raw.writeHead = function (...args: Parameters<typeof writeHead>) {
      const name = headers['x-late']
      if (typeof name === 'string') raw.setHeader(name, name === 'cache-control' ? 'private' : 'session=of-ann')
      return writeHead.apply(raw, args)
    } as typeof writeHead
  })
  fastify.get('/', { config: { cache: true } }, async ({ headers }) => `of ${headers['x-user']}`)
  for (const late of ['set-cookie', 'cache-control']) {
    const ann = await fastify.inject({ url: '/', headers: { 'x-late': late, 'x-user': 'ann' } })
    t.hasProp(ann.headers, late)
    t.notMatch((await fastify.inject({ url: '/', headers: { 'x-user': 'bob' } })).body, 'ann')
    await app.store.delete(app.store.answers, 'http://localhost:80\n/')
  }
  const { headers: { etag } } = await fastify.inject({ url: '/', headers: { 'x-user': 'ann' } })
  await app.store.delete(app.store.answers, 'http://localhost:80\n/')
  const unchanged = await fastify.inject({ url: '/', headers: { 'x-user': 'ann', 'x-late': 'set-cookie', 'if-none-match': String(etag) } })
  t.match(unchanged, { statusCode: 304, headers: { 'set-cookie': 'session=of-ann' } })
  t.equal((await fastify.inject({ url: '/', headers: { 'x-user': 'bob' } })).body, 'of bob')
})

t.test('an answer is kept as it went out, whichever hook compressed it, and for those who take that', async t => {
  const app = await makeApp(t)
  let runs = 0
  app.fastify.addHook('onSend', async (request, reply, payload) => {
    reply.header('vary', 'accept-encoding')
    if (request.headers['accept-encoding'] !== 'gzip') return payload
    reply.header('content-encoding', 'gzip').removeHeader('content-length')
    return gzipSync(payload as string)
  })
  app.fastify.get('/', { config: { cache: true } }, async () => `text ${++runs}`)
  for (const status of [/stored/, /hit/]) {
    const { rawPayload, headers } = await app.fastify.inject({ url: '/', headers: { 'accept-encoding': 'gzip' } })
    t.equal(gunzipSync(rawPayload).toString(), 'text 1')
    t.match(headers, { [STATUS]: status, 'content-encoding': 'gzip', 'content-length': String(rawPayload.length) })
  }
  const plain = await app.fastify.inject('/')
  t.equal(plain.body, 'text 2')
  t.notOk('content-encoding' in plain.headers)
})

t.test('a kept answer is logged and counted as any other', async t => {
  const app = await makeApp(t)
  const responses: number[] = []
  app.fastify.addHook('onResponse', async (_request, reply) => { responses.push(reply.statusCode) })
  app.fastify.get('/', { config: { cache: true } }, async () => 'text')
  const { etag } = (await app.fastify.inject('/')).headers
  await app.fastify.inject('/')
  await app.fastify.inject({ url: '/', headers: { 'if-none-match': String(etag) } })
  t.strictSame(responses, [200, 200, 304])
})
