import t from 'tap'
import { clock, serve } from './app.ts'

t.test('an active session never ends, in the store as in the browser; one that is left does', async t => {
  const { pass } = clock(t)
  const { fastify, get, jar } = await serve({ ttl: '1m' })
  await get('/count')
  let cookies = 0
  for (let n = 0; n < 100; n++) {
    pass(500)
    const response = await get('/')
    t.same(response.json(), { n: 1 })
    cookies += response.cookies.length
  }
  t.ok(cookies > 20 && cookies < 50, `${cookies} cookies with 100 answers`)
  pass(59_000)
  t.same((await get('/')).json(), { n: 1 })
  pass(60_001)
  t.same((await get('/')).json(), { n: null })
  t.equal(jar.size, 0, 'its cookie is taken away')
  await fastify.close()
})

t.test('a request that takes longer than a session lives ends none that others have kept alive', async t => {
  const { pass } = clock(t)
  const { fastify, get, jar } = await serve({ ttl: '1m' })
  const gate = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  fastify.get('/slow', async ({ session }) => {
    arrived.resolve()
    await gate.promise
    session.slow = true
  })
  await get('/count')
  const slow = get('/slow')
  await arrived.promise
  for (let n = 0; n < 3; n++) {
    pass(40_000)
    await get('/count')
  }
  gate.resolve()
  await slow
  t.equal(jar.size, 1)
  pass(50_000)
  t.equal((await get('/count')).body, '5')
  await fastify.close()
})

t.test('a session does not end during a request that began with little of its life left', async t => {
  const { pass } = clock(t)
  const { fastify, get } = await serve({ ttl: '1m' })
  fastify.get('/slow', async ({ session }) => {
    pass(29_000)
    session.n = (session.n ?? 0) + 10
  })
  await get('/count')
  pass(59_900)
  await get('/slow')
  t.same((await get('/')).json(), { n: 11 })
  await fastify.close()
})

t.test('what a request changed of a session that ended meanwhile is dropped, and that is logged', async t => {
  const { pass } = clock(t)
  for (const [rolling, before, during] of [[true, 20_000, 41_000], [false, 59_000, 2000]] as const) {
    const log: string[] = []
    const { fastify, get } = await serve({ ttl: '1m', rolling }, log)
    fastify.get('/slow', async ({ session }) => {
      pass(during)
      session.n = 10
    })
    await get('/count')
    pass(before)
    t.equal((await get('/slow')).statusCode, 200)
    t.match(log, [/a session ended while a request changed it/])
    t.same((await get('/')).json(), { n: null })
    await fastify.close()
  }
})

t.test('without rolling only a change moves the end', async t => {
  const { pass } = clock(t)
  const { fastify, get } = await serve({ ttl: '1m', rolling: false })
  await get('/count')
  pass(30_000)
  t.equal((await get('/')).cookies.length, 0)
  pass(20_000)
  t.equal((await get('/count')).cookies.length, 1)
  pass(50_000)
  t.same((await get('/')).json(), { n: 2 })
  pass(10_001)
  t.same((await get('/')).json(), { n: null })
  await fastify.close()
})
