import Fastify from 'fastify'
import t from 'tap'
import lockPlugin from '../../plugins/lock/index.ts'
import { createLocalMemory, useMemory } from '../../plugins/shared-memory/index.ts'

const start = async () => {
  const fastify = Fastify()
  await fastify.register(lockPlugin)
  return fastify
}

t.test('requests of an application take turns', async t => {
  const fastify = await start()
  let inside = 0
  fastify.get('/', () => fastify.lock('turn').synchronized(async ({ fencingToken }) => {
    if (++inside !== 1) throw new Error('two are inside')
    await new Promise((resolve) => setImmediate(resolve))
    inside--
    return { fencingToken }
  }))
  const answers = await Promise.all([1, 2, 3].map(() => fastify.inject('/')))
  t.same(answers.map((answer) => answer.json().fencingToken).sort(), [1, 2, 3])
  await fastify.close()
})

t.test('a time-out answers 503', async t => {
  const fastify = await start()
  fastify.get('/', () => fastify.lock('taken').synchronized(() => 'never', { timeout: 1 }))
  fastify.lock('taken').trylock()
  const answer = await fastify.inject('/')
  t.equal(answer.statusCode, 503)
  t.equal(answer.json().code, 'FST_SWOOLE_LOCK_TIMEOUT')
  await fastify.close()
})

t.test('one name is one lock; a later call may leave its options out, but not ask for others', async t => {
  const fastify = await start()
  const lock = fastify.lock('pool', { type: 'semaphore', permits: 3 })
  t.equal(fastify.lock('pool'), lock)
  t.equal(fastify.lock('pool', { type: 'semaphore', permits: 3 }), lock)
  t.throws(() => fastify.lock('pool', { type: 'semaphore', permits: 4 }), { code: 'FST_SWOOLE_SCHEMA_MISMATCH' })
  t.throws(() => fastify.lock('pool', { type: 'mutex' }), { code: 'FST_SWOOLE_SCHEMA_MISMATCH', message: /The lock "pool"/ })
  t.throws(() => fastify.lock('other', { type: 'sem' as 'mutex' }), { code: 'FST_SWOOLE_LOCK_TYPE' })
  t.throws(() => fastify.lock('pool', { deadlockTimeout: 'soon' }), { code: 'FST_SWOOLE_DURATION_INVALID' })
  t.equal(fastify.lock('pool', { deadlockTimeout: false }), lock)
  t.ok(fastify.lock('other').trylock(), 'what was refused has left nothing behind')
  await fastify.close()
})

t.test('when an application closes, its waiters are rejected and its locks are free for the others of the worker', async t => {
  const memory = createLocalMemory(1024 * 1024)
  useMemory(memory)
  t.teardown(() => useMemory(undefined as never))
  const [one, other] = [await start(), await start()]
  const held = one.lock('x').trylock()!
  const [closing, staying] = [one.lock('x').lock(), other.lock('x').lock()]
  const rejected = t.rejects(closing, { code: 'FST_SWOOLE_CLOSED' })
  await one.close()
  await rejected
  const handle = await staying
  t.equal(handle.abandoned, true)
  t.throws(() => held.unlock(), { code: 'FST_SWOOLE_LOCK_NOT_HELD' })
  await t.rejects(one.lock('x').lock(), { code: 'FST_SWOOLE_CLOSED' })
  handle.unlock()
  await other.close()
})
