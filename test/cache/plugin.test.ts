import Fastify from 'fastify'
import t from 'tap'
import plugin from '../../plugins/swoole.ts'
import cache from '../../plugins/cache/index.ts'
import { get } from '../support/load.ts'
import { eventually, isRunning } from '../support/processes.ts'
import { makeProject, run, start, status, swoole } from '../support/project.ts'

t.test('the cache can be registered alone, with sizes and times in any form', async t => {
  const fastify = Fastify()
  await fastify.register(cache, { size: '1mb', ttl: '5m' })
  t.equal(await fastify.cache.get('a', async () => 'computed'), 'computed')
  const { capacity } = fastify.cache.stats()
  t.ok(capacity > 900_000 && capacity < 1024 * 1024)
  await fastify.close()
})

t.test('without a size it has a quarter of the memory', async t => {
  const fastify = Fastify()
  await fastify.register(cache)
  const { capacity } = fastify.cache.stats()
  t.ok(capacity > 15 * 1024 * 1024 && capacity < 16 * 1024 * 1024)
  await fastify.close()
})

t.test('options that cannot be are refused when it is registered', async t => {
  const register = (options: object) => async () => { await Fastify().register(cache, options) }
  await t.rejects(register({ size: '64mb' }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /cache.size is "64mb".*67108864 bytes/ })
  await t.rejects(register({ size: 1000 }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  await t.rejects(register({ size: 'large' }), { code: 'FST_SWOOLE_OPTIONS_INVALID' })
  for (const options of [{ ttl: 'soon' }, { ttl: 0 }, { computeTimeout: 0 }, { clearOnReload: 'no' }, { tll: '5m' }]) {
    await t.rejects(register(options), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: `cache.${Object.keys(options)[0]!}` }, JSON.stringify(options))
  }
  await t.resolves(register({ size: undefined, ttl: undefined, computeTimeout: undefined }))
})

const app = (version: string, options = '{}') => `
  import swoole from '${swoole}'
  export default async function (fastify) {
    await fastify.register(swoole, { cache: ${options} })
    fastify.get('/get', async () => ({ value: await fastify.cache.get('key') ?? null, worker: fastify.swoole.workerId }))
    fastify.get('/set', async (request) => { await fastify.cache.set('key', request.query.value) })
    fastify.get('/version', async () => '${version}')
  }`

/** What so many workers say, each on a connection of its own. */
async function valueIn (port: number): Promise<unknown[]> {
  const values = new Set<unknown>()
  for (let n = 0; n < 8; n++) values.add(JSON.parse((await get(port, '/get')).body).value)
  return [...values]
}

t.test('all workers have the same values, after a reload and the death of all of them as well, until they are cleared', { timeout: 90_000 }, async t => {
  const folder = makeProject(t, { 'app.js': app('one') })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  await get(port, '/set?value=some')
  t.strictSame(await valueIn(port), ['some'])

  t.equal((await run(folder, ['reload'])).code, 0)
  t.strictSame(await valueIn(port), ['some'], 'after a reload')

  const { workers } = await status(folder)
  for (const { pid } of workers) process.kill(pid, 'SIGKILL')
  await eventually('other workers serve', async () => {
    const now = (await status(folder)).workers
    return now.length === 2 && now.every(({ pid, state }) => state === 'ready' && isRunning(pid) && !workers.some((old) => old.pid === pid))
  })
  t.strictSame(await valueIn(port), ['some'], 'after kill -9')

  t.equal((await run(folder, ['reload', '--only-cache'])).code, 0)
  t.strictSame(await valueIn(port), [null], 'after it was cleared')
})

t.test('with clearOnReload a reload clears it, unless it is told not to', { timeout: 60_000 }, async t => {
  const folder = makeProject(t, { 'app.js': app('one', '{ clearOnReload: true }') })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  await get(port, '/set?value=some')
  await run(folder, ['reload', '--no-cache-clear'])
  t.strictSame(await valueIn(port), ['some'])
  await run(folder, ['reload'])
  t.strictSame(await valueIn(port), [null])
})

t.test('with memory.file the values outlive a stop', { timeout: 60_000 }, async t => {
  const folder = makeProject(t, { 'app.js': app('one'), 'swoole.config.js': "export default { memory: { file: 'memory' } }" })
  const first = await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  await get(first.port, '/set?value=some')
  t.equal((await run(folder, ['stop'])).code, 0)
  const second = await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  t.strictSame(await valueIn(second.port), ['some'])
})

t.test('a worker whose stack was full in the middle of the cache, and that goes on, stops no other one', { timeout: 60_000 }, async t => {
  const source = `import swoole from ${JSON.stringify(swoole)}
    export default async function (fastify) {
      await fastify.register(swoole)
      const { cache } = fastify
      process.on('unhandledRejection', () => {})
      const fill = (depth) => { void cache.set('a', { depth }); return fill(depth + 1) + 1 }
      fastify.get('/full', async () => { try { fill(0) } catch (error) { return { pid: process.pid, name: error.name } } })
      // Who was inside mends it when it comes again: only others are to.
      fastify.get('/set/:not', async ({ params }) => { if (process.pid !== Number(params.not)) await cache.set('a', 'set'); return { pid: process.pid } })
    }`
  const folder = makeProject(t, { 'app.js': source })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  const workers = (await status(folder)).workers.map(({ pid }) => pid)
  for (let round = 0; round < 2; round++) {
    const { pid, name } = JSON.parse((await get(port, '/full')).body)
    t.equal(name, 'RangeError')
    const others = new Set<number>()
    await eventually('another one has set it', async () => {
      others.add(JSON.parse((await get(port, `/set/${pid}`)).body).pid)
      return others.size === 2
    })
  }
  t.strictSame((await status(folder)).workers.map(({ pid }) => pid), workers)
})

t.test('what is asked for has to fit into the memory together', async t => {
  const SECRET = 'a secret of at least 32 characters'
  const register = async (options: object) => {
    const fastify = Fastify()
    t.teardown(() => fastify.close())
    await fastify.register(plugin, { memory: { size: '8mb' }, ...options })
  }
  await t.rejects(register({ cache: { size: '5mb' }, session: { secret: SECRET, size: '3mb' } }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: 'memory.size is 8388608 bytes, but cache.size takes 5242880 of them and session.size takes 3145728 of them: raise memory.size' })
  await t.rejects(register({ rateLimiter: { maxKeys: 10_000_000 } }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /rateLimiter\.maxKeys takes 480000000 of them/ })
  await t.resolves(register({ cache: { size: '4mb' }, session: { secret: SECRET, size: '1mb' }, rateLimiter: { maxKeys: 10_000 } }))
  await t.resolves(register({ memory: { size: '2mb' } }), 'what is never used may be larger')
})
