import fastifyCookie from '@fastify/cookie'
import Fastify from 'fastify'
import t from 'tap'
import session from '../../plugins/session/index.ts'
import swoole from '../../plugins/swoole.ts'
import { NEW_SECRET, SECRET, browser, clock, serve } from './app.ts'

t.test('a session begins when there is something in it, and its cookie comes once', async t => {
  const { fastify, get, jar } = await serve()
  t.equal((await get('/')).headers['set-cookie'], undefined)
  t.equal(fastify.sessions.stats().entries, 0)
  const first = await get('/count')
  t.match(first.headers['set-cookie'], /^sessionId=[\w-]{32}\.[^;]{43,50}; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Lax$/)
  const second = await get('/')
  t.same(second.json(), { n: 1 })
  t.equal(second.headers['set-cookie'], undefined)
  t.equal((await get('/count')).body, '2')
  t.equal(fastify.sessions.stats().entries, 1)
  t.equal(jar.size, 1)
  await fastify.close()
})

t.test('a session begins with whatever is put in it first, and says what cannot be', async t => {
  const { fastify, get, jar } = await serve()
  t.teardown(() => fastify.close())
  fastify.get('/bigint', async (request) => {
    await request.session.regenerate()
    request.session.id = 2n ** 60n
  })
  fastify.get('/id', async ({ session }) => String(session.id))
  fastify.get('/function', async ({ session }) => { session.text = (() => '') as never })
  fastify.get('/undefined', async ({ session }) => { session.text = undefined })
  t.match((await get('/function')).json(), { code: 'FST_SWOOLE_VALUE_INVALID', message: /text is a function/ })
  t.equal((await get('/undefined')).headers['set-cookie'], undefined)
  t.equal(jar.size, 0)
  t.equal((await get('/bigint')).statusCode, 200)
  t.equal((await get('/id')).body, String(2n ** 60n))
})

t.test('a change within a Map counts as one', async t => {
  const { fastify, get } = await serve()
  t.equal((await get('/visit')).body, '1')
  t.equal((await get('/visit')).body, '2')
  t.equal((await get('/visit')).body, '3')
  await fastify.close()
})

t.test('a session that is too large is answered with its error, and the one before stays', async t => {
  const { fastify, get } = await serve()
  await get('/count')
  const response = await get('/large')
  t.equal(response.statusCode, 500)
  t.match(response.json(), { code: 'FST_SWOOLE_SESSION_TOO_LARGE', message: /has 100\d{3} bytes, the most it can have is 65536/ })
  t.equal(response.headers['set-cookie'], undefined)
  t.equal((await get('/count')).body, '2')
  t.equal((await browser(fastify).get('/large')).json().code, 'FST_SWOOLE_SESSION_TOO_LARGE')
  await fastify.close()
})

t.test('what a session cannot hold is the fault of the application: 500', async t => {
  const log: string[] = []
  const { fastify, get } = await serve({}, log)
  fastify.get('/function', async ({ session }) => { session.run = () => {} })
  fastify.get('/save', async ({ session }) => {
    session.run = () => {}
    await session.save()
  })
  fastify.get('/regenerated', async ({ session }) => {
    session.run = () => {}
    await session.regenerate(['run'])
  })
  for (const url of ['/function', '/save', '/regenerated', '/count', '/function', '/save', '/regenerated']) {
    const answer = await get(url)
    if (url !== '/count') t.match([url, answer.statusCode, answer.json().code], [url, 500, 'FST_SWOOLE_VALUE_INVALID'])
  }
  t.match(log, Array(6).fill(/FST_SWOOLE_VALUE_INVALID/))
  await fastify.close()
})

t.test('who destroys a session has none, and who held it neither', async t => {
  const { fastify, get, jar } = await serve()
  await get('/count')
  const kept = browser(fastify, new Map(jar))
  t.equal((await get('/out')).statusCode, 200)
  t.same((await kept.get('/')).json(), { n: null })
  t.equal(kept.jar.size, 0)
  t.equal(fastify.sessions.stats().entries, 0)
  await fastify.close()
})

t.test('regenerate takes what it is told to another id', async t => {
  const { fastify, get, jar } = await serve()
  await get('/count')
  const old = browser(fastify, new Map(jar))
  const { body: id } = await get('/regenerate')
  t.ok(jar.get('sessionId')!.startsWith(`${id}.`))
  t.same((await get('/')).json(), { n: 1 })
  t.same((await old.get('/')).json(), { n: null })
  t.equal(fastify.sessions.stats().entries, 1)
  await fastify.close()
})

t.test('a client does not choose the id: neither a made-up one, nor a signed one that is not stored', async t => {
  const { fastify, get, jar } = await serve()
  const chosen = 'i'.repeat(32)
  for (const cookie of [chosen, `${chosen}.`, new fastifyCookie.Signer(SECRET).sign(chosen)]) {
    jar.set('sessionId', cookie)
    const response = await get('/count')
    t.equal(response.body, '1')
    t.notMatch(response.cookies[0]!.value, chosen)
    t.match(response.cookies[0]!.value, /^[\w-]{32}\./)
  }
  t.equal(fastify.sessions.stats().entries, 3)
  await fastify.close()
})

t.test('a new secret signs anew what the old one had signed, and without the old one that is worth nothing', async t => {
  const { fastify, get, jar } = await serve()
  await get('/count')
  const old = jar.get('sessionId')!
  const stored = await new Promise((resolve) => fastify.sessions.get(old.split('.')[0]!, (_error, session) => resolve(session)))
  await fastify.close()

  const rotated = await serve({ secret: [NEW_SECRET, SECRET] })
  rotated.fastify.sessions.set(old.split('.')[0]!, stored as object)
  rotated.jar.set('sessionId', old)
  const response = await rotated.get('/')
  t.same(response.json(), { n: 1 })
  t.equal(response.cookies.length, 1)
  t.ok(new fastifyCookie.Signer(NEW_SECRET).unsign(response.cookies[0]!.value).valid)
  t.equal((await rotated.get('/')).cookies.length, 0)

  const without = await serve({ secret: NEW_SECRET })
  without.fastify.sessions.set(old.split('.')[0]!, stored as object)
  without.jar.set('sessionId', old)
  t.same((await without.get('/')).json(), { n: null })
  await rotated.fastify.close()
  await without.fastify.close()
})

t.test('of two requests that overlap none loses what it changed', async t => {
  const { fastify, get } = await serve()
  const gate = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  fastify.get('/all', async ({ session: { n, slow } }) => ({ n, slow }))
  fastify.get('/slow', async ({ session }) => {
    session.slow = 'kept'
    arrived.resolve()
    await gate.promise
  })
  await get('/count')
  const slow = get('/slow')
  await arrived.promise
  await get('/count')
  gate.resolve()
  await slow
  t.same((await get('/all')).json(), { n: 2, slow: 'kept' })
  await fastify.close()
})

for (const end of ['/out', '/regenerate']) {
  t.test(`a request that overlaps with ${end} neither brings the session back nor its cookie`, async t => {
    const { fastify, get, jar } = await serve()
    const gate = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    fastify.get('/slow', async ({ session }) => {
      session.slow = 'too late'
      arrived.resolve()
      await gate.promise
    })
    await get('/count')
    const before = jar.get('sessionId')!
    const slow = get('/slow')
    await arrived.promise
    await get(end)
    gate.resolve()
    t.equal((await slow).headers['set-cookie'], undefined)
    t.same((await browser(fastify, new Map([['sessionId', before]])).get('/')).json(), { n: null })
    if (end === '/regenerate') t.same((await get('/')).json(), { n: 1 })
    await fastify.close()
  })
}

t.test('a session may be saved, reloaded and saved again within one request', async t => {
  const { fastify, get } = await serve()
  fastify.get('/twice', async (request) => {
    request.session.n = 10
    await request.session.save()
    request.session.n = 11
    await request.session.save()
    request.session.n = 12
    await request.session.reload()
    const { n } = request.session
    request.session.n = 13
    return n
  })
  t.equal((await get('/twice')).body, '11')
  t.same((await get('/')).json(), { n: 13 })
  await fastify.close()
})

t.test('the session is there in onResponse, and for the error handler', async t => {
  const { fastify, get } = await serve()
  const seen: unknown[] = []
  fastify.addHook('onResponse', async ({ session }) => { seen.push(session.n) })
  fastify.setErrorHandler((_error, { session }, reply) => reply.code(500).send(`n is ${session.n}`))
  fastify.get('/fails', async ({ session }) => { session.n = 5; throw new Error('no') })
  await get('/count')
  t.equal((await get('/fails')).body, 'n is 5')
  t.equal((await get('/large')).body, 'n is 5')
  t.strictSame(seen, [1, 5, 5])
  await fastify.close()
})

t.test('what a session sets on its cookie counts for that session', async t => {
  const { pass } = clock(t)
  const { fastify, get, jar } = await serve({ ttl: '1m', cookie: { sameSite: 'strict', domain: 'example.com' } })
  fastify.get('/remember', async ({ session }) => { session.cookie.maxAge = 86_400_000; return 'ok' })
  await get('/count')
  const cookie = (await get('/remember')).cookies[0]!
  t.ok(Number(cookie.expires) - Date.now() > 86_000_000)
  t.equal(cookie.domain, 'example.com')
  pass(3_600_000)
  t.same((await get('/')).json(), { n: 1 })
  t.equal(jar.size, 1)
  await fastify.close()
})

t.test('a cookie that ends with the browser is of a session that lasts its ttl', async t => {
  const { pass } = clock(t)
  const { fastify, get } = await serve({ ttl: '1m', cookie: { persistent: false, partitioned: true } })
  const first = await get('/count')
  t.equal(first.cookies[0]!.expires, undefined)
  t.match(first.headers['set-cookie'], /Partitioned/)
  pass(50_000)
  t.same((await get('/')).json(), { n: 1 })
  pass(50_000)
  t.same((await get('/')).json(), { n: 1 })
  pass(60_001)
  t.same((await get('/')).json(), { n: null })
  await fastify.close()
})

t.test('secure is as the request is, or as it is said', async t => {
  const auto = await serve()
  t.match((await auto.get('/count', { 'x-forwarded-proto': 'https' })).headers['set-cookie'], /Secure/)
  t.notMatch((await browser(auto.fastify).get('/count')).headers['set-cookie'], /Secure/)
  const always = await serve({ cookie: { secure: true } })
  t.equal((await always.get('/count')).headers['set-cookie'], undefined, 'not over HTTP')
  t.equal(always.fastify.sessions.stats().entries, 0)
  t.match((await always.get('/count', { 'x-forwarded-proto': 'https' })).headers['set-cookie'], /Secure/)
  await auto.fastify.close()
  await always.fastify.close()
})

t.test('with saveUninitialized a session begins with the first request, and below its path only', async t => {
  const { fastify, get } = await serve({ saveUninitialized: true, cookieName: 'sid', cookie: { path: '/app' } })
  fastify.get('/app/x', async ({ session }) => session.sessionId)
  t.equal((await get('/')).cookies.length, 0)
  const { body, cookies: [cookie] } = await get('/app/x')
  t.match(cookie, { name: 'sid', path: '/app' })
  t.equal((await get('/app/x')).body, body)
  await fastify.close()
})

t.test('a full memory lets sessions go, and the log says so', async t => {
  const log: string[] = []
  const { fastify, get } = await serve({ size: '256kb', maxBytes: '32kb' }, log)
  fastify.get('/fill', async ({ session }) => { session.text = 'x'.repeat(30_000) })
  await get('/count')
  for (let n = 0; n < 20; n++) await browser(fastify).get('/fill')
  t.same((await get('/')).json(), { n: null })
  t.ok(fastify.sessions.stats().evictions >= 10)
  t.equal(log.length, 1)
  t.match(JSON.parse(log[0]!), { level: 40, sessions: Number, msg: /session\.size/ })
  await fastify.close()
})

t.test('the options of the root plugin make it, and without them there is none', async t => {
  const fastify = Fastify()
  await fastify.register(fastifyCookie, { parseOptions: { path: '/' } })
  await fastify.register(swoole, { session: { secret: SECRET, ttl: '2h' } })
  fastify.get('/', async ({ session }) => { session.n = 1; return session.cookie.originalMaxAge })
  t.equal((await fastify.inject('/')).body, '7200000')
  t.equal(fastify.swoole.options.session !== false && fastify.swoole.options.session.ttl, 7_200_000)
  await fastify.close()
  const without = Fastify()
  await without.register(swoole)
  t.notOk(without.hasDecorator('sessions'))
  await without.close()
})

t.test('what is missing or wrong is an error at once', async t => {
  const register = async (options: object) => { await Fastify().register(session, options) }
  await t.rejects(register({}), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /session\.secret is missing.*FASTIFY_SWOOLE_SESSION_SECRET/ })
  await t.rejects(register({ secret: 'short' }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /session\.secret is \[hidden\], but must be a string of at least 32 characters/ })
  await t.rejects(register({ secret: [] }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  await t.rejects(register({ secret: [SECRET, 'short'] }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /session\.secret\[1\] is \[hidden\]/ })
  await t.rejects(register({ secret: SECRET, maxAge: 5 }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /session\.maxAge is not an option/ })
  for (const cookie of [{ path: '/a;b' }, { path: '/\u00e9' }, { domain: 'a;b' }, { domain: 'ex ample' }, { domain: '' }]) {
    await t.rejects(register({ secret: SECRET, cookie }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: `session.cookie.${Object.keys(cookie)[0]!} is "` }, JSON.stringify(cookie))
  }
  for (const options of [{ cookie: { secure: false, sameSite: 'none' } }, { cookie: { secure: false, partitioned: true } }, { cookieName: '__Secure-a', cookie: { secure: false } }, { cookieName: '__Host-a', cookie: { path: '/a' } }, { cookieName: '__Host-a', cookie: { domain: 'example.com' } }] as const) {
    await t.rejects(register({ secret: SECRET, ...options }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /for which browsers want session\.cookie/ }, JSON.stringify(options))
  }
  for (const cookie of [{ path: '/a/b c' }, { domain: '.sub.example.com' }, { sameSite: 'none', secure: true }] as const) await t.resolves(register({ secret: SECRET, cookie }), JSON.stringify(cookie))
  await t.rejects(register({ secret: SECRET, maxBytes: '3mb' }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /a quarter of session\.size/ })
  await t.rejects(register({ secret: SECRET, size: '1gb' }), { code: 'FST_SWOOLE_MEMORY_FULL' })
})
