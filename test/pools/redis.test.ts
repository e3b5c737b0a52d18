import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import t from 'tap'
import type { RedisPool } from '../../plugins/pools/index.ts'
import { eventually } from '../support/processes.ts'
import { observe, openSubject } from './subjects.ts'
import type { Server, Test } from './subjects.ts'

const prefix = `fastify-swoole:test:${randomBytes(6).toString('hex')}`
const observer = await observe(t, 'redis')
const key = (name: string) => `${prefix}:${name}`

async function open (t: Test, options: object = {}, server: Server = observer.server): Promise<RedisPool<Redis>> {
  const { pool } = await openSubject(t, 'redis', server, { ...observer.options, poolSize: 3, ...options })
  return pool as RedisPool<Redis>
}

/** Passes everything on, and keeps what came in one piece from the client. `inject` says something that the server has not said. */
async function startRelay (t: Test, { host, port }: Server): Promise<{ port: number, writes: Buffer[], inject: (answer: string) => void }> {
  const writes: Buffer[] = []
  const clients = new Set<Socket>()
  const relay = createServer((inbound) => {
    clients.add(inbound)
    const outbound = createConnection({ host, port })
    inbound.on('data', (chunk: Buffer) => { writes.push(chunk) })
    inbound.pipe(outbound).pipe(inbound)
    for (const socket of [inbound, outbound]) socket.on('error', () => { inbound.destroy(); outbound.destroy() })
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.teardown(() => relay.close())
  return { port: (relay.address() as AddressInfo).port, writes, inject: (answer) => clients.forEach((client) => client.write(answer)) }
}

t.teardown(async () => {
  const client = new Redis({ ...observer.server, lazyConnect: true } as object)
  await client.connect()
  const keys = await client.keys(`${prefix}:*`)
  if (keys.length > 0) await client.del(...keys)
  client.disconnect()
})

t.test('the documented methods', async t => {
  const pool = await open(t)

  t.equal(await pool.getValue(key('a')), null)
  t.equal(await pool.set(key('a'), 'value'), undefined)
  t.equal(await pool.getValue(key('a')), 'value')
  t.equal(await pool.exists(key('a')), true)
  t.equal(await pool.exists(key('b')), false)
  await pool.set(key('bytes'), Buffer.from([0, 255, 13, 10]))
  t.same(await pool.shared.getBuffer(key('bytes')), Buffer.from([0, 255, 13, 10]))

  t.equal(await pool.ttl(key('a')), -1)
  t.equal(await pool.ttl(key('none')), -2)
  await pool.set(key('short'), 'x', { ttl: '1m' })
  const left = await pool.ttl(key('short'))
  t.ok(left > 59_000 && left <= 60_000, 'milliseconds')
  t.equal(await pool.expire(key('a'), '1.5s'), true)
  t.ok(await pool.ttl(key('a')) <= 1500)
  t.equal(await pool.expire(key('none'), '1s'), false)
  await pool.set(key('a'), 'again')
  t.equal(await pool.ttl(key('a')), -1, 'a value without a ttl stays')
  for (const ttl of [0, '0ms', 0.2, -1, 'soon', NaN, null]) await t.rejects(pool.set(key('a'), 'x', { ttl: ttl as never }), String(ttl))
  await t.rejects(pool.expire(key('a'), 0), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  await t.rejects(pool.set(key('a'), 'x', { ex: 5 } as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' })

  t.equal(await pool.incr(key('n')), 1)
  t.equal(await pool.incr(key('n')), 2)
  t.equal(await pool.decr(key('n')), 1)
  await t.rejects(pool.incr(key('a')), { message: /not an integer/ })

  t.equal(await pool.hset(key('h'), 'one', '1'), 1)
  t.equal(await pool.hset(key('h'), 'one', '2'), 0)
  t.equal(await pool.hset(key('h'), '__proto__', '3'), 1)
  t.equal(await pool.hget(key('h'), 'one'), '2')
  t.equal(await pool.hget(key('h'), 'none'), null)
  t.same(Object.entries(await pool.hgetall(key('h'))).sort(), [['__proto__', '3'], ['one', '2']])
  t.same(await pool.hgetall(key('none')), {})

  t.equal(await pool.lpush(key('l'), 'a', 'b'), 2)
  t.equal(await pool.rpop(key('l')), 'a')
  t.equal(await pool.rpop(key('l')), 'b')
  t.equal(await pool.rpop(key('l')), null)

  t.equal(await pool.delete(key('a'), key('n'), key('none')), 2)
  t.equal(await pool.delete(), 0)
  await t.rejects(pool.hget(key('bytes'), 'a'), { message: /WRONGTYPE/ })
})

t.test('any command by its name', async t => {
  const pool = await open(t)
  t.equal(await pool.command('SET', key('c'), 7), 'OK')
  t.equal(await pool.command('getrange', key('c'), 0, Buffer.from('-1')), '7')
  t.equal(await pool.command('eval', 'return {KEYS[1], ARGV[1], redis.call("get", KEYS[1])}', 1, key('c'), 'x').then(String), `${key('c')},x,7`)
  await t.rejects(pool.command('nonsense'), { message: /unknown command/ })
  await t.rejects(pool.command('get'), { message: /wrong number/ })
  for (const args of [[''], [undefined], ['get', undefined], ['get', null], ['set', key('c'), {}], ['set', key('c'), ['a']], ['set', key('c'), true]]) {
    await t.rejects(pool.command(...args as [string]), { code: 'FST_SWOOLE_OPTIONS_INVALID' }, JSON.stringify(args))
  }
  t.equal(await pool.getValue(key('c')), '7')
})

t.test('what would change or block the connection that all share is refused', async t => {
  const pool = await open(t)
  for (const command of [
    ['multi'], ['MULTI'], ['exec'], ['discard'], ['watch', 'a'], ['unwatch'], ['select', 1], ['SELECT', '1'], ['auth', 'a'], ['hello', 3], ['reset'], ['quit'], ['monitor'], ['subscribe', 'a'], ['psubscribe', 'a*'],
    ['ssubscribe', 'a'], ['unsubscribe'], ['blpop', 'a', 0], ['BRPOP', 'a', 0], ['blmove', 'a', 'b', 'LEFT', 'LEFT', 0], ['bzpopmin', 'a', 0], ['wait', 1, 0],
    ['client', 'reply', 'off'], ['CLIENT', 'REPLY', 'SKIP'], ['client', Buffer.from('reply'), 'off'], ['client', 'tracking', 'on'], ['client', 'setname', 'x'], ['client', 'no-evict', 'on'],
    ['xread', 'BLOCK', 0, 'streams', 'a', '$'], ['xreadgroup', 'group', 'g', 'c', 'block', '0', 'streams', 'a', '>'], ['xread', Buffer.from('block'), 0, 'streams', 'a', '$'], ['readonly'], ['script', 'debug', 'yes'], ['sync']
  ] as Array<[string]>) {
    await t.rejects(pool.command(...command), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /withConnection/ }, command.join(' '))
  }
  t.match(await pool.command('client', 'id'), Number)
  t.equal(await pool.command('xread', 'count', 1, 'streams', key('none'), '0'), null)
})

t.test('a pipeline is one write, and answers in its order', async t => {
  const { port, writes } = await startRelay(t, observer.server)
  const pool = await open(t, {}, { ...observer.server, host: '127.0.0.1', port })
  const before = writes.length
  const answers = await pool.pipeline((pipe) => {
    for (let n = 0; n < 100; n++) pipe.set(key(`p${n}`), n)
    pipe.incr(key('p5')).hget(key('p6'), 'field').call('echo', 'last')
  })
  t.equal(writes.length - before, 1)
  t.equal(answers.length, 103)
  t.same(answers.slice(0, 100), Array(100).fill('OK'))
  t.equal(answers[100], 6)
  t.match(answers[101], { name: 'ReplyError', message: /WRONGTYPE/ })
  t.ok(answers[101] instanceof Error, 'what fails is an error in its place')
  t.equal(answers[102], 'last')
  t.same(await pool.pipeline(() => {}), [])
})

t.test('a pipeline that is built in more than one turn, and a transaction in one', async t => {
  const pool = await open(t)
  t.same(await pool.pipeline(async (pipe) => {
    pipe.set(key('q'), 1)
    await null
    pipe.incr(key('q'))
  }), ['OK', 2])
  t.same(await pool.pipeline((pipe) => { pipe.multi().incr(key('q')).exec() }), ['OK', 'QUEUED', [3]])
  const error = new Error('no')
  await t.rejects(pool.pipeline((pipe) => { pipe.incr(key('q')); throw error }), error)
  t.equal(await pool.getValue(key('q')), '3', 'nothing was sent')
  await t.rejects(pool.pipeline('get' as never), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
})

t.test('nor does a pipeline change the connection that all share', async t => {
  const pool = await open(t)
  for (const build of [
    (pipe: any) => pipe.select(1), (pipe: any) => pipe.call('SELECT', 1), (pipe: any) => pipe.blpop('a', 0), (pipe: any) => pipe.set(key('r'), 1).multi(), (pipe: any) => pipe.watch('a'),
    (pipe: any) => pipe.client('REPLY', 'OFF'), (pipe: any) => pipe.multi().incr(key('r')), (pipe: any) => pipe.multi().exec().multi(), (pipe: any) => pipe.subscribe('a')
  ]) await t.rejects(pool.pipeline((pipe) => { build(pipe) }), { code: 'FST_SWOOLE_OPTIONS_INVALID' }, build.toString())
  t.equal(await pool.getValue(key('r')), null, 'nothing was sent')
  t.match(await pool.command('client', 'info'), / db=0 .* multi=-1 /)
})

for (const [what, leave] of [
  ['another database', (client) => client.select(3)],
  ['another database, by its name', (client) => client.call('SELECT', '3')],
  ['keys that are watched', (client) => client.watch(key('w'))],
  ['keys that are watched, by its name', (client) => client.call('WATCH', key('w'))],
  ['a transaction', async (client) => { await client.call('MULTI'); await client.call('set', key('w'), 'left') }],
  ['a transaction of a multi without a pipeline', (client) => client.multi({ pipeline: false })],
  ['a subscription', (client) => client.subscribe(key('channel'))],
  ['another name', (client) => client.client('SETNAME', 'x')],
  ['a command that blocks, for which it does not wait', async (client) => { client.blpop(key('none'), 30).catch(() => {}) }],
  ['answers that are turned off', (client) => { client.call('CLIENT', 'REPLY', 'OFF').catch(() => {}) }]
] as Array<[string, (client: Redis) => unknown]>) {
  t.test(`a borrower leaves ${what}, and the next one finds nothing of it`, async t => {
    const pool = await open(t, { poolSize: 2 })
    await pool.withConnection(async (client) => { await leave(client) })
    await pool.withConnection(async (client) => {
      t.match(await client.client('INFO'), new RegExp(` name=fastify-swoole:${observer.options.name} .* db=0 sub=0 psub=0 .* multi=-1 `))
      t.same(await client.multi().set(key('w'), 'next').exec(), [[null, 'OK']])
    })
    // Another's change of a key that nobody watches any more is no reason to refuse.
    await pool.withConnection(async (client) => {
      await pool.set(key('w'), 'other')
      t.same(await client.multi().get(key('w')).exec(), [[null, 'other']])
    })
    await eventually('the server has two connections at most', async () => (await observer.connections()).length <= 2)
  })
}

t.test('a connection that was only used is lent again', async t => {
  const pool = await open(t, { poolSize: 2 })
  const ids = new Set<unknown>()
  for (let n = 0; n < 5; n++) {
    await pool.withConnection(async (client) => {
      ids.add(await client.client('ID').catch(() => {}))
    })
  }
  await pool.withConnection(async (client) => { await client.watch(key('x')); await client.multi().set(key('x'), 1).exec() })
  await pool.withConnection((client) => client.blpop(key('none'), 0.01))
  const { opened } = pool.getStats()
  await pool.withConnection((client) => client.get(key('x')))
  t.equal(pool.getStats().opened, opened)
})

t.test('a signal cuts what blocks a connection', async t => {
  const pool = await open(t, { poolSize: 2 })
  const controller = new AbortController()
  const blocked = pool.withConnection((client) => client.blpop(key('none'), 0), { signal: controller.signal })
  blocked.catch(() => {})
  await eventually('the server waits', async () => (await observer.sleeping()).length === 1)
  controller.abort(new Error('enough'))
  await t.rejects(blocked, { message: 'enough' })
  await eventually('the server has left it', async () => (await observer.sleeping()).length === 0)
  t.equal(await pool.withConnection((client) => client.ping()), 'PONG')
})

t.test('the connection that all share cannot be put back, and is that of the decorator', async t => {
  const { pool, fastify } = await openSubject(t, 'redis', observer.server, { poolSize: 2 }) as any
  t.equal(fastify.redis, pool.shared)
  t.throws(() => pool.put(pool.shared), { code: 'FST_SWOOLE_POOL_NOT_BORROWED' })
  t.match(pool.getStats(), { size: 2, current: 1, inUse: 1, available: 0 })
  const commands = Promise.all(Array.from({ length: 100 }, (_, n) => pool.command('echo', n)))
  const closed = pool.close()
  t.same(await commands, Array.from({ length: 100 }, (_, n) => String(n)), 'what was asked before the close is answered')
  await closed
  await t.rejects(pool.getValue('a'), { code: 'FST_SWOOLE_POOL_CLOSED' })
  await t.rejects(pool.pipeline(() => {}), { code: 'FST_SWOOLE_POOL_CLOSED' })
  await t.rejects(pool.get(), { code: 'FST_SWOOLE_POOL_CLOSED' })
})

t.test('answers that nobody has asked for, null as well, end their connection and nothing else', async t => {
  for (const stray of ['$-1', '_', '*-1', ':1', '+OK', '$3\r\nabc', '-ERR what']) {
    const { port, inject } = await startRelay(t, observer.server)
    const pool = await open(t, { timeout: 5000 }, { ...observer.server, host: '127.0.0.1', port })
    t.equal(await pool.command('echo', 'before'), 'before')
    const lost = new Promise((resolve) => pool.shared.once('close', resolve))
    inject(`${stray}\r\n`)
    await lost
    t.equal(await pool.command('echo', stray), stray)
  }
})
