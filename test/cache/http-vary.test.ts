import t from 'tap'
import { acceptedCodings } from '../../plugins/cache/http/keys.ts'
import { makeApp } from './http-app.ts'
import type { App } from './http-app.ts'

async function bodies ({ fastify }: App, url: string, ...headers: Array<Record<string, string>>): Promise<string[]> {
  const seen: string[] = []
  for (const one of headers) seen.push((await fastify.inject({ url, headers: one })).body)
  return seen
}

const language = (value: string) => ({ 'accept-language': value })

t.test('answers that vary are kept for each of what they vary by', async t => {
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async (request, reply) => reply.header('vary', 'Accept-Language').send(`${request.headers['accept-language']} ${++runs}`))
  t.strictSame(await bodies(app, '/', language('de'), language('en'), language('de'), language('en'), {}, {}), ['de 1', 'en 2', 'de 1', 'en 2', 'undefined 3', 'undefined 3'])
  t.match((await app.fastify.inject({ url: '/', headers: language('fr') })).headers, { 'cache-status': 'fastify-swoole; fwd=vary-miss; stored' })
})

t.test('config.vary tells answers apart, and the caches behind are told', async t => {
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: { vary: ['X-Country'] } } }, async (_request, reply) => reply.header('vary', 'origin').send(`${++runs}`))
  t.strictSame(await bodies(app, '/', { 'x-country': 'at' }, { 'x-country': 'ch' }, { 'x-country': 'at' }), ['1', '2', '1'])
  t.equal((await app.fastify.inject({ url: '/', headers: { 'x-country': 'at' } })).headers.vary, 'origin, x-country')
  t.equal((await app.fastify.inject({ url: '/', headers: { cookie: 'a=1' } })).headers.vary, 'origin, x-country', 'with an answer that passes by, too')
})

t.test('an answer that varies by more than the ones before it loses none of the distinctions', async t => {
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async (request, reply) => {
    reply.header('vary', request.headers['accept-language'] === 'de' ? 'accept-language, x-dialect' : 'accept-language')
    return reply.send(`${++runs}`)
  })
  const dialect = (value: string) => ({ ...language('de'), 'x-dialect': value })
  t.strictSame(await bodies(app, '/', language('en'), dialect('a'), dialect('b'), dialect('a'), language('en'), language('en'), dialect('b')), ['1', '2', '3', '2', '4', '4', '3'])
})

t.test('a change at the URL removes all that vary there', async t => {
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: { vary: ['accept-language'] } } }, async () => `${++runs}`)
  app.fastify.put('/', async () => '')
  await bodies(app, '/', language('de'), language('en'))
  await app.fastify.inject({ method: 'PUT', url: '/' })
  t.strictSame(await bodies(app, '/', language('de'), language('en')), ['3', '4'])
})

t.test('what does not change which codings a client takes makes no answers of its own', async t => {
  t.equal(acceptedCodings('gzip, deflate, br'), acceptedCodings('br;q=1.0, GZIP;q=0.2 , deflate'))
  t.equal(acceptedCodings('gzip'), 'gzip,identity')
  t.equal(acceptedCodings('x-gzip, unknown'), 'gzip,identity,unknown', 'its handler may know it')
  t.not(acceptedCodings('gzip'), acceptedCodings('compress, gzip'))
  t.equal(acceptedCodings('gzip;q=0, br'), 'br,identity')
  t.equal(acceptedCodings('*'), '*,identity')
  t.equal(acceptedCodings('gzip;q=0, *'), '*,identity,no gzip')
  t.equal(acceptedCodings('*;q=0, br'), 'br')
  t.equal(acceptedCodings('gzip, identity;q=0'), 'gzip')
  t.equal(acceptedCodings(''), 'identity')
  for (const field of ['gzip;q=1;x=1', 'gzip;q=1e0', 'gzip; q=1 ;', 'gzip;q=1x', 'gzip;q=0.5.5', 'gzip;;q=1', 'gzip;q=', 'gzip br']) t.equal(acceptedCodings(field), field, 'others may read it otherwise')
  const app = await makeApp(t)
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async (_request, reply) => reply.header('vary', 'accept-encoding').send(`${++runs}`))
  t.strictSame(await bodies(app, '/', { 'accept-encoding': 'gzip, br' }, { 'accept-encoding': 'br,gzip' }, {}, { 'accept-encoding': 'gzip' }), ['1', '1', '2', '3'])
})

t.test('routes of one URL that their constraints tell apart have answers of their own', async t => {
  const app = await makeApp(t)
  for (const version of ['1.0.0', '2.0.0']) {
    app.fastify.get('/', { constraints: { version }, config: { cache: true } }, async () => version)
  }
  app.fastify.get('/', { config: { cache: true } }, async () => 'none')
  const version = (value: string) => ({ 'accept-version': value })
  for (let n = 0; n < 2; n++) t.strictSame(await bodies(app, '/', {}, version('1.0.0'), version('2.0.0'), version('1.x')), ['none', '1.0.0', '2.0.0', '1.0.0'])
  t.match((await app.fastify.inject({ url: '/', headers: version('2.0.0') })).headers, { 'cache-status': /hit/ })
})
