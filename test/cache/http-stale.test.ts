import t from 'tap'
import { eventually } from '../support/processes.ts'
import { makeApp, setClock } from './http-app.ts'
import type { App } from './http-app.ts'

const STATUS = 'cache-status'

async function isRenewed ({ fastify }: App, body: string): Promise<void> {
  await eventually(`the answer is "${body}"`, async () => (await fastify.inject('/')).body === body, 5000)
}

t.test('a stale answer is given at once, and one new one is made behind it', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: { ttl: '10s', staleWhileRevalidate: '1m', vary: ['accept-language'] } } }, async (request) => {
    runs++
    return `${request.headers['accept-language']} ${request.headers['if-none-match']} ${request.host} ${runs}`
  })
  const ask = () => app.fastify.inject({ url: '/', headers: { 'accept-language': 'de', 'if-none-match': '"x"' } })
  t.equal((await ask()).body, 'de undefined localhost:80 1')
  clock.advance(15_000)
  const stale = await Promise.all([ask(), ask(), ask()])
  for (const { body, headers } of stale) {
    t.equal(body, 'de undefined localhost:80 1')
    t.match(headers, { age: '15', [STATUS]: /^fastify-swoole; hit; ttl=-\d$/ })
  }
  await eventually('the answer is new', async () => (await ask()).body.endsWith('2'), 5000)
  t.match((await ask()).headers, { age: '0', [STATUS]: 'fastify-swoole; hit; ttl=9' })
  t.equal(runs, 2)
})

t.test('a stale answer is renewed where URLs are rewritten', async t => {
  const clock = setClock(t)
  const app = await makeApp(t, { rewriteUrl: ({ url }) => url === '/' ? '/v1' : `/again${url}` })
  let runs = 0
  app.fastify.get('/v1', { config: { cache: { ttl: '10s', staleWhileRevalidate: '1m' } } }, async () => `${++runs}`)
  t.equal((await app.fastify.inject('/')).body, '1')
  clock.advance(15_000)
  t.equal((await app.fastify.inject('/')).body, '1')
  await isRenewed(app, '2')
  t.strictSame(app.logged, [])
})

t.test('when making a new one fails, the stale one is given on until its time is over, and that is logged', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: { ttl: '10s', staleWhileRevalidate: '1m' } } }, async () => {
    if (++runs > 1) throw Object.assign(new Error('broken'), { statusCode: runs === 3 ? 406 : 500 })
    return 'old'
  })
  await app.fastify.inject('/')
  clock.advance(15_000)
  for (const failures of [1, 2]) {
    await eventually('it has failed', async () => {
      t.equal((await app.fastify.inject('/')).body, 'old')
      return app.logged.join('').split('a stale answer could not be renewed').length > failures
    }, 5000)
    for (let n = 0; n < 20; n++) t.equal((await app.fastify.inject('/')).body, 'old')
    t.equal(runs, failures + 1, 'it is left alone for a while')
  }
  clock.advance(60_000)
  t.equal((await app.fastify.inject('/')).statusCode, 500)
})

t.test('when the new one may not be kept, the stale one is not given any more', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: { ttl: '10s', staleWhileRevalidate: '1m' } } }, async (_request, reply) => {
    if (++runs > 1) reply.header('cache-control', 'private')
    return runs > 1 ? 'private' : 'old'
  })
  await app.fastify.inject('/')
  clock.advance(15_000)
  t.equal((await app.fastify.inject('/')).body, 'old')
  await isRenewed(app, 'private')
})

t.test('the request for a new one is admitted as the one that met the stale one', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  app.fastify.addHook('onRequest', async (request) => {
    if (request.headers['x-api-key'] !== 'secret') throw Object.assign(new Error('no'), { statusCode: 401 })
  })
  let runs = 0
  app.fastify.get('/', { config: { cache: { ttl: '10s', staleWhileRevalidate: '1m' } } }, async (request) => `${++runs} ${Object.keys(request.headers).join()}`)
  const ask = () => app.fastify.inject({ url: '/', headers: { 'x-api-key': 'secret' } })
  const first = (await ask()).body
  clock.advance(15_000)
  await ask()
  await eventually('the answer is new', async () => (await ask()).body.startsWith('2'), 5000)
  t.equal((await ask()).body.split(' ')[1]!.split(',').sort().join(), first.split(' ')[1]!.split(',').sort().join(), 'with the same fields')
})

t.test('one who asks for a newer answer, or a fresh one, does not get a stale one', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: { ttl: '10s', staleWhileRevalidate: '1m' } } }, async () => `${++runs}`)
  await app.fastify.inject('/')
  clock.advance(15_000)
  t.equal((await app.fastify.inject({ url: '/', headers: { 'cache-control': 'max-age=3600' } })).body, '2')
  t.equal((await app.fastify.inject('/')).body, '2')
})

t.test('stale-if-error lets a stale answer stand for an error', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async (_request, reply) => {
    if (++runs > 1) throw Object.assign(new Error('broken'), { statusCode: 503 })
    return reply.headers({ 'cache-control': 'max-age=10, stale-if-error=60', 'x-made': 'yes' }).send('old')
  })
  await app.fastify.inject('/')
  clock.advance(15_000)
  const answers = await Promise.all([1, 2, 3].map(() => app.fastify.inject('/')))
  for (const answer of answers) t.match(answer, { statusCode: 200, body: 'old', headers: { age: '15', 'x-made': 'yes', 'content-length': '3', 'content-type': 'text/plain; charset=utf-8' } })
  t.match(answers[0]!.headers, { [STATUS]: 'fastify-swoole; fwd=stale; fwd-status=503' })
  t.equal(runs, 2)
  clock.advance(60_000)
  t.equal((await app.fastify.inject('/')).statusCode, 503)
})

t.test('nobody outside can ask for a new one in the application\'s name', async t => {
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async () => `${++runs}`)
  for (let n = 0; n < 3; n++) t.equal((await app.fastify.inject({ url: '/', headers: { 'x-fastify-swoole-refresh': 'x' } })).body, '1')
})
