import Fastify from 'fastify'
import t from 'tap'
import queuePlugin from '../../plugins/queue/index.ts'
import { createLocalMemory, useMemory } from '../../plugins/shared-memory/index.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

function logged (lines: string[]) {
  return { level: 'warn', stream: { write (line: string) { lines.push(line) } } }
}

t.test('an application has queues by name', async t => {
  const fastify = Fastify()
  await fastify.register(queuePlugin)
  fastify.post('/', async (request) => fastify.queue('jobs', { capacity: 1 }).push(request.body))
  fastify.get('/', async () => fastify.queue('jobs').pop())
  t.equal((await fastify.inject({ method: 'POST', url: '/', body: { id: 1 } })).body, 'true')
  t.equal((await fastify.inject({ method: 'POST', url: '/', body: { id: 2 } })).body, 'false')
  t.same((await fastify.inject('/')).json(), { id: 1 })
  t.equal(fastify.queue('jobs'), fastify.queue('jobs', { capacity: 1 }))
  t.throws(() => fastify.queue('jobs', { capacity: 2 }), { code: 'FST_SWOOLE_SCHEMA_MISMATCH' })
  t.throws(() => fastify.queue('other', { capacity: -2 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  const pop = t.rejects(fastify.queue('jobs').pop({ timeout: '1m' }), { code: 'FST_SWOOLE_CLOSED' })
  await fastify.close()
  await pop
})

t.test('the close waits for the handlers that run, and what they use is still there', async t => {
  const fastify = Fastify()
  await fastify.register(queuePlugin)
  let isUsable = true
  fastify.addHook('onClose', async () => { isUsable = false })
  await fastify.ready()
  const queue = fastify.queue<string>('jobs')
  const ended: boolean[] = []
  let end = () => {}
  queue.consume(async () => {
    await new Promise<void>((resolve) => { end = resolve })
    await queue.push('follow-up')
    ended.push(isUsable)
  })
  await queue.push('item')
  while ((await queue.getStats()).inFlight === 0) await turn()
  const closed = fastify.close()
  await turn()
  t.same(ended, [])
  end()
  await closed
  t.same(ended, [true])
})

t.test('a failure is logged with the queue and the attempt, and without the item', async t => {
  const lines: string[] = []
  const fastify = Fastify({ logger: logged(lines) })
  await fastify.register(queuePlugin)
  const queue = fastify.queue<string>('jobs', { maxAttempts: 2, backoff: 0 })
  queue.consume(() => { throw new Error('of no use') })
  await queue.push('a secret')
  while ((await queue.getStats()).dead === 0) await turn()
  await fastify.close()
  t.match(lines.map((line) => JSON.parse(line)), [
    { level: 40, queue: 'jobs', attempt: 1, err: { message: 'of no use' } },
    { level: 50, queue: 'jobs', attempt: 2, err: { message: 'of no use' } }
  ])
  t.notMatch(lines.join(''), 'secret')
})

t.test('two applications in one worker share a queue, and one closes without the other', async t => {
  const memory = createLocalMemory(1024 * 1024)
  useMemory(memory)
  t.teardown(() => useMemory(undefined as never))
  const [one, other] = [Fastify(), Fastify()]
  await Promise.all([one, other].map((fastify) => fastify.register(queuePlugin).ready()))
  await one.queue('jobs').push(1)
  const closing = t.rejects(one.queue('empty').pop({ timeout: '1m' }), { code: 'FST_SWOOLE_CLOSED' })
  const staying = other.queue('empty').pop({ timeout: '1m' })
  await one.close()
  await closing
  t.equal(await other.queue('jobs').pop(), 1)
  await other.queue('empty').push(2)
  t.equal(await staying, 2)
  await other.close()
})

t.test('a frozen error, which the logger cannot take apart, is logged by its message', async t => {
  const lines: string[] = []
  const fastify = Fastify({ logger: logged(lines) })
  await fastify.register(queuePlugin)
  const queue = fastify.queue<number>('jobs', { maxAttempts: 1 })
  queue.consume(() => { throw Object.freeze(new Error('frozen')) })
  await queue.push(1)
  while ((await queue.getStats()).dead === 0) await turn()
  await fastify.close()
  t.match(lines.join(), /frozen/)
})
