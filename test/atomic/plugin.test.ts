import Fastify from 'fastify'
import t from 'tap'
import atomicPlugin from '../../plugins/atomic/index.ts'
import { createLocalMemory, memoryFor, useMemory } from '../../plugins/shared-memory/index.ts'
import swoole from '../../plugins/swoole.ts'

for (const [how, plugin] of [['alone', atomicPlugin], ['through the root plugin', swoole]] as const) {
  t.test(`registered ${how}, an application counts`, async t => {
    const fastify = Fastify()
    await fastify.register(plugin as typeof atomicPlugin)
    fastify.get('/', async () => ({ hits: fastify.atomic('hits').increment(), long: String(fastify.atomicLong('hits', -1n).increment()) }))
    await fastify.inject('/')
    t.same((await fastify.inject('/')).json(), { hits: 2, long: '1' })
    t.equal(fastify.atomic('hits'), fastify.atomic('hits'))
    const wait = fastify.atomic('never').wait()
    const rejected = t.rejects(wait, { code: 'FST_SWOOLE_CLOSED', statusCode: 503 })
    await fastify.close()
    await rejected
    await t.rejects(fastify.atomic('never').wait(), { code: 'FST_SWOOLE_CLOSED' })
  })
}

t.test('two applications in one process do not share', async t => {
  const [one, other] = [Fastify(), Fastify()]
  await Promise.all([one, other].map((fastify) => fastify.register(atomicPlugin).ready()))
  one.atomic('count').add(5)
  t.equal(other.atomic('count', 1).get(), 1)
  const wait = other.atomic('zero').wait()
  await one.close()
  other.atomic('zero').set(1)
  t.equal(await wait, true)
  await other.close()
})

t.test('two applications in one worker share, and one closes without the other', async t => {
  const memory = createLocalMemory(1024 * 1024)
  useMemory(memory)
  t.teardown(() => useMemory(undefined as never))
  const [one, other] = [Fastify(), Fastify()]
  await Promise.all([one, other].map((fastify) => fastify.register(atomicPlugin).ready()))
  one.atomic('count').add(5)
  t.equal(other.atomic('count').get(), 5)
  const [closing, staying] = [one.atomic('zero').wait(), other.atomic('zero').wait()]
  const rejected = t.rejects(closing, { code: 'FST_SWOOLE_CLOSED' })
  await one.close()
  await rejected
  t.notOk(memory.isClosed)
  t.equal(other.atomic('zero').wakeup(2), 1)
  t.equal(await staying, true)
  await other.close()
})

t.test('the memory of an application is one, whoever asks first', async t => {
  const key = {}
  t.equal(memoryFor(key), memoryFor(key))
  t.not(memoryFor(key), memoryFor({}))
})
