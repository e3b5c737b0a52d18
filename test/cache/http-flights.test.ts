import { once } from 'node:events'
import { request } from 'node:http'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { get } from '../support/load.ts'
import { makeApp, setClock } from './http-app.ts'
import type { App } from './http-app.ts'

const STATUS = 'cache-status'

/** A door that all wait at until it is opened, and that tells when so many are there. */
function makeDoor () {
  const opened = Promise.withResolvers<void>()
  const arrivals: Array<{ count: number, reached: () => void }> = []
  let waiting = 0
  return {
    async pass () {
      waiting++
      for (const { count, reached } of arrivals) if (waiting >= count) reached()
      await opened.promise
    },
    arrived (count: number): Promise<void> {
      return new Promise((resolve) => {
        arrivals.push({ count, reached: resolve })
        if (waiting >= count) resolve()
      })
    },
    open: opened.resolve
  }
}

async function listen ({ fastify }: App): Promise<number> {
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  return (fastify.server.address() as AddressInfo).port
}

t.test('of all that ask at the same time one computes, and the others have its answer', async t => {
  const app = await makeApp(t)
  const door = makeDoor()
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async () => {
    await door.pass()
    return `run ${++runs}`
  })
  const answers = Promise.all(Array.from({ length: 50 }, () => app.fastify.inject('/')))
  await door.arrived(1)
  door.open()
  for (const { body } of await answers) t.equal(body, 'run 1')
  const statuses = (await answers).map(({ headers }) => String(headers[STATUS]).replace(/\d+$/, 'n'))
  t.equal(statuses.filter((status) => status === 'fastify-swoole; fwd=uri-miss; stored').length, 1)
  t.equal(statuses.filter((status) => status === 'fastify-swoole; fwd=uri-miss; collapsed; ttl=n').length, 49)
})

t.test('nobody waits one behind another for answers that are not kept', async t => {
  const app = await makeApp(t)
  const first = makeDoor()
  const others = makeDoor()
  let runs = 0
  app.fastify.get('/', { config: { cache: true } }, async (_request, reply) => {
    await (++runs === 1 ? first : others).pass()
    return reply.header('cache-control', 'private').send('mine')
  })
  const answers = Array.from({ length: 20 }, () => app.fastify.inject('/'))
  await first.arrived(1)
  first.open()
  await others.arrived(19)
  others.open()
  for (const { body } of await Promise.all(answers)) t.equal(body, 'mine')
  t.equal(runs, 20)
})

t.test('nor for one that its handler breaks off', async t => {
  const app = await makeApp(t)
  const breakOff: Record<string, (body: PassThrough, raw: ServerResponse) => unknown> = {
    '/thrown': (body) => body.destroy(new Error('broken')),
    '/short': (_body, raw) => raw.end(),
    '/destroyed': (_body, raw) => raw.destroy()
  }
  const doors = Object.fromEntries(Object.keys(breakOff).map((url) => [url, { asked: makeDoor(), first: makeDoor(), others: makeDoor(), runs: 0 }]))
  app.fastify.addHook('onRequest', ({ url }, _reply, done) => {
    doors[url]!.asked.pass()
    done()
  })
  for (const [url, at] of Object.entries(doors)) {
    app.fastify.get(url, { config: { cache: true } }, async (_request, reply) => {
      const body = new PassThrough()
      body.write('part')
      const door = ++at.runs === 1 ? at.first : at.others
      door.pass().then(() => breakOff[url]!(body, reply.raw))
      return reply.header('content-length', 100).send(body)
    })
  }
  const port = await listen(app)
  for (const [url, at] of Object.entries(doors)) {
    const answers = Promise.allSettled(Array.from({ length: 10 }, () => get(port, url)))
    await at.asked.arrived(10)
    await at.first.arrived(1)
    at.first.open()
    await at.others.arrived(9)
    at.others.open()
    t.ok((await answers).every(({ status }) => status === 'rejected'), url)
    t.equal(at.runs, 10)
  }
})

t.test('when the client of the one that computes leaves, another one computes', async t => {
  const app = await makeApp(t)
  const runs = [makeDoor(), makeDoor()]
  let run = 0
  app.fastify.get('/', { config: { cache: true } }, async () => {
    const number = run++
    await runs[number]!.pass()
    return `run ${number}`
  })
  const port = await listen(app)
  const leaving = request({ port, host: '127.0.0.1', path: '/' }).on('error', () => {}).end()
  await runs[0]!.arrived(1)
  const following = Array.from({ length: 5 }, () => get(port))
  const followingToo = request({ port, host: '127.0.0.1', path: '/' }).on('error', () => {}).end()
  await once(followingToo, 'socket')
  leaving.destroy()
  await runs[1]!.arrived(1)
  followingToo.destroy()
  runs[1]!.open()
  for (const { body, status } of await Promise.all(following)) t.match({ body, status }, { body: 'run 1', status: 200 })
  runs[0]!.open()
  t.equal((await get(port)).body, 'run 1', 'what comes late is not kept')
  t.equal(run, 2)
})

t.test('what is removed while it is computed is not kept', async t => {
  const app = await makeApp(t)
  let change: (() => Promise<unknown>) | undefined
  let runs = 0
  app.fastify.get('/', { config: { cache: { tags: ['tag'] } } }, async (_request, reply) => {
    await change?.()
    return reply.header('vary', runs > 2 ? 'accept' : '').send(`run ${++runs}`)
  })
  app.fastify.post('/', async () => '')
  const body = async () => (await app.fastify.inject('/')).body
  for (const removal of [() => app.fastify.inject({ method: 'POST', url: '/' }), () => app.fastify.cache.invalidateTags('tag')]) {
    for (const n of [1, 2]) {
      change = removal
      const made = await body()
      change = undefined
      t.not(await body(), made, `when it varies and when not: ${n}`)
      await app.fastify.cache.invalidateTags('tag')
    }
  }
})

t.test('streams of all kinds are kept as they pass', async t => {
  const app = await makeApp(t)
  const parts = ['one ', 'two ', 'three']
  let runs = 0
  const bodies = {
    node: () => Readable.from(parts.map((part) => Buffer.from(part))),
    empty: () => Readable.from([]),
    web: () => Readable.toWeb(Readable.from(parts.map((part) => Buffer.from(part)))),
    response: () => new Response(parts.join(''), { headers: { 'x-made': 'yes' } }),
    buffer: () => Buffer.from(parts.join(''))
  }
  for (const [name, make] of Object.entries(bodies)) {
    app.fastify.get(`/${name}`, { config: { cache: true } }, async (_request, reply) => {
      runs++
      return reply.type('text/plain').send(make())
    })
  }
  app.fastify.get('/hijacked', { config: { cache: true } }, (_request, reply) => {
    runs++
    reply.hijack()
    reply.raw.write(Buffer.from(parts.join('')).toString('base64'), 'base64')
    reply.raw.end()
  })
  const port = await listen(app)
  for (const name of [...Object.keys(bodies), 'hijacked']) {
    const first = await get(port, `/${name}`)
    const second = await get(port, `/${name}`)
    t.equal(first.body, name === 'empty' ? '' : parts.join(''), name)
    t.equal(second.body, first.body, name)
    t.match(second.headers, { [STATUS]: /hit/, etag: /^W\/"/, 'content-length': String(first.body.length) }, name)
  }
  t.equal((await get(port, '/response')).headers['x-made'], 'yes')
  t.equal(runs, 6)
})

t.test('what is too large is passed on whole and not kept, and one that breaks is not kept', async t => {
  const app = await makeApp(t)
  const part = Buffer.alloc(64 * 1024, 'x')
  const parts = Math.ceil(app.store.maxBytes / part.length) + 1
  app.fastify.get('/large', { config: { cache: true } }, async (_request, reply) => reply.send(Readable.from(Array.from({ length: parts }, () => part))))
  app.fastify.get('/told', { config: { cache: true } }, async () => 'x'.repeat(parts * part.length))
  app.fastify.get('/broken', { config: { cache: true } }, async (_request, reply) => reply.send(Readable.from((async function * () {
    yield part
    throw new Error('broken')
  })())))
  app.fastify.get('/short', { config: { cache: true } }, async (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-length': 10 })
    reply.raw.write('short')
    reply.raw.destroy()
  })
  const port = await listen(app)
  for (let n = 0; n < 2; n++) {
    const { body, headers } = await get(port, '/large')
    t.equal(body.length, parts * part.length)
    t.notMatch(headers[STATUS], /hit/)
    t.notMatch((await get(port, '/told')).headers[STATUS], /hit|stored/, 'its length is known before')
    await t.rejects(get(port, '/broken'))
    await t.rejects(get(port, '/short'))
  }
  t.match((await get(port, '/large')).headers, { [STATUS]: 'fastify-swoole; fwd=miss' }, 'and others do not wait for the next')
})

t.test('a client that does not read holds nobody up, nor makes an answer younger than it is', async t => {
  const app = await makeApp(t)
  const part = Buffer.alloc(64 * 1024, 'x')
  // More than sockets hold, and less than a quarter of the cache.
  const parts = Math.floor(app.store.maxBytes / part.length) - 1
  let runs = 0
  const door = makeDoor()
  let begun = Promise.withResolvers<void>()
  app.fastify.get('/stream', { config: { cache: true } }, async (_request, reply) => {
    runs++
    begun.resolve()
    return reply.send(Readable.from(Array.from({ length: parts }, () => part)))
  })
  app.fastify.get('/poll', async () => { await door.pass(); return 'polled' })
  const port = await listen(app)
  for (const before of ['', 'GET /poll HTTP/1.1\r\nhost: a\r\n\r\n']) {
    app.store.delete(app.store.answers, `http://127.0.0.1:${port}\n/stream`)
    const socket = connect(port, '127.0.0.1').pause()
    socket.write(`${before}GET /stream HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`)
    await begun.promise
    begun = Promise.withResolvers()
    const asked = runs
    const { body, headers } = await get(port, '/stream')
    t.equal(body.length, parts * part.length)
    t.match(headers[STATUS], /hit|collapsed/)
    t.equal(runs, asked)
    socket.destroy()
  }
  door.open()
})

t.test('an answer is as old as its head, however long its body took', async t => {
  const clock = setClock(t)
  const app = await makeApp(t)
  const bodies: PassThrough[] = []
  app.fastify.get('/', { config: { cache: { ttl: '60s' } } }, async (_request, reply) => {
    const body = new PassThrough()
    bodies.push(body)
    return reply.send(body)
  })
  const port = await listen(app)
  for (const [seconds, status] of [[20, /hit; ttl=(39|40)$/], [70, /uri-miss; stored/]] as const) {
    app.store.delete(app.store.answers, `http://127.0.0.1:${port}\n/`)
    const first = get(port, '/')
    const had = bodies.length
    while (bodies.length === had) await turn()
    bodies.at(-1)!.write('begun, ')
    await sleep(50)
    clock.advance(seconds * 1000)
    bodies.at(-1)!.end('ended')
    t.equal((await first).body, 'begun, ended')
    const second = get(port, '/')
    await sleep(50)
    bodies.at(-1)!.end()
    t.match((await second).headers, { [STATUS]: status, ...(seconds === 20 && { age: /^20|21$/ }) })
  }
})

t.test('what is wrong with the tags of an answer does not make those who wait go one by one', async t => {
  const app = await makeApp(t)
  const door = makeDoor()
  app.fastify.get('/', { config: { cache: { tags: (async () => ['a']) as never } } }, async () => { await door.pass(); return 'made' })
  const port = await listen(app)
  const answers = Array.from({ length: 5 }, () => get(port, '/'))
  await door.arrived(1)
  await sleep(100)
  door.open()
  for (const { body } of await Promise.all(answers)) t.equal(body, 'made')
  t.match(app.logged.join(''), /could not be kept/)
})

t.test('what has trailers or no end is not kept, nor waited for', async t => {
  const app = await makeApp(t)
  const events = makeDoor()
  app.fastify.get('/trailers', { config: { cache: true } }, async (_request, reply) => {
    reply.trailer('x-sum', (_reply, _payload, done) => done(null, '5'))
    return 'text'
  })
  app.fastify.get('/events', { config: { cache: true } }, (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    reply.raw.write('data: 1\n\n')
    events.pass().then(() => reply.raw.end())
  })
  const port = await listen(app)
  for (let n = 0; n < 2; n++) t.notMatch((await get(port, '/trailers')).headers[STATUS], /hit|stored/)
  const streams = [get(port, '/events'), get(port, '/events')]
  await events.arrived(2)
  events.open()
  for (const { body } of await Promise.all(streams)) t.equal(body, 'data: 1\n\n')
})
