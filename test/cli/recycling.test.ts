import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { once } from 'node:events'
import { get, startLoad } from '../support/load.ts'
import { eventually, isRunning } from '../support/processes.ts'
import { makeProject, run, start, status, swoole, writeFiles } from '../support/project.ts'

const app = (body: string) => `
  import swoole from '${swoole}'
  import { setTimeout as sleep } from 'node:timers/promises'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole)
    fastify.get('/', async () => 'here')
    ${body}
  }`

const two = ['--workers', '2', '--task-workers', '0']
const pids = async (folder: string) => (await status(folder)).workers.filter(({ state }) => state === 'ready').map(({ pid }) => pid)

t.test('a worker is replaced after performance.maxRequest requests, with none failed', async (t) => {
  const folder = makeProject(t, { 'app.ts': app('') })
  const { port, line } = await start(t, folder, two, { env: { FASTIFY_SWOOLE_PERFORMANCE_MAX_REQUEST: '500' } })
  const before = await pids(folder)
  const said = line(/is replaced: it has answered (5\d\d|600) requests/)
  const load = startLoad(port, { clients: 8, keepAlive: true })
  await said
  await eventually('both are replaced', async () => (await pids(folder)).every((pid) => !before.includes(pid)))
  await load.stop()
  t.same(load.failures, [])
  t.ok(load.answers.every(({ status }) => status === 200))
})

t.test('a worker over performance.maxMemory is replaced, with none failed', async (t) => {
  const folder = makeProject(t, { 'app.ts': app("const leak = []\n    fastify.get('/leak', async () => { leak.push(Buffer.alloc(300e6, 1)); return 'leaked' })") })
  const { port, line } = await start(t, folder, two, { env: { FASTIFY_SWOOLE_PERFORMANCE_MAX_MEMORY: '300mb' } })
  const load = startLoad(port, { clients: 4, keepAlive: false })
  const said = line(/is replaced: it uses \d+ bytes of memory, more than performance\.maxMemory \(314572800\)/)
  t.equal((await get(port, '/leak')).body, 'leaked')
  await said
  await eventually('the large one is gone', async () => (await status(folder)).workers.every(({ rss, state }) => state === 'ready' && rss < 300 * 1024 * 1024))
  await load.stop()
  t.same(load.failures, [])
})

t.test('a worker that blocks its loop is replaced, and the others serve meanwhile', async (t) => {
  const folder = makeProject(t, { 'app.ts': app("fastify.get('/block', async () => { for (;;); })") })
  const { port, line } = await start(t, folder, two, { env: { FASTIFY_SWOOLE_PERFORMANCE_STUCK_TIMEOUT: '1500ms', FASTIFY_SWOOLE_PERFORMANCE_DRAIN_TIMEOUT: '1s' } })
  const before = await pids(folder)
  const said = line(/is replaced: its event loop made no turn for \d+ ms/)
  const blocked = t.rejects(get(port, '/block'))
  await sleep(100)
  const load = startLoad(port, { clients: 4, keepAlive: true })
  await said
  await blocked
  await eventually('one is replaced', async () => {
    const now = await pids(folder)
    return now.length === 2 && now.filter((pid) => before.includes(pid)).length === 1
  })
  await load.stop()
  t.same(load.failures, [], `none of ${load.answers.length} requests failed`)
})

t.test('workers that end at random are replaced, and the server goes on', async (t) => {
  const folder = makeProject(t, { 'app.ts': app("fastify.get('/exit', async () => process.exit(7))\n    fastify.get('/throw', async () => { setImmediate(() => { throw new Error('out of the blue') }); await sleep(1000) })") })
  const { port, line } = await start(t, folder, two)
  for (const [path, message] of [['/exit', /died with exit code 7/], ['/throw', /died with exit code 1/]] as const) {
    const said = line(message)
    await t.rejects(get(port, path), { code: 'ECONNRESET' })
    await said
  }
  await Promise.allSettled(Array.from({ length: 10 }, () => get(port, '/exit')))
  await eventually('all are there again', async () => {
    const all = await pids(folder)
    return all.length === 2 && all.every(isRunning)
  })
  t.equal((await get(port)).body, 'here')
})

t.test('SIGTERM to a worker replaces it with no request lost', async (t) => {
  const folder = makeProject(t, { 'app.ts': app('') })
  const { port } = await start(t, folder, two)
  const [victim] = await pids(folder)
  const load = startLoad(port, { clients: 8, keepAlive: true })
  process.kill(victim!, 'SIGTERM')
  await eventually('it is gone', () => !isRunning(victim!))
  await load.stop()
  t.same(load.failures, [])
  t.equal((await pids(folder)).length, 2)
})

t.test('workers that die before they are ready, one after another, stop the launcher with the reason', async (t) => {
  const folder = makeProject(t, { 'app.ts': app('') })
  const { child, output } = await start(t, folder, two, { env: { FASTIFY_SWOOLE_PERFORMANCE_CRASH_LIMIT: '4' } })
  writeFiles(folder, { 'app.ts': app("throw new Error('the disk is gone')") })
  for (const pid of await pids(folder)) process.kill(pid, 'SIGKILL')
  await once(child, 'exit')
  t.equal(child.exitCode, 1)
  t.match(output.stderr, /\d workers in a row died before they were ready, the last one: Worker \d did not start: Error: the disk is gone/)
  t.match(output.stderr, /the next one starts in \d+ ms/)
})

t.test('while one worker serves, others that cannot start do not end it', async (t) => {
  const folder = makeProject(t, { 'app.ts': app('') })
  const { port, output } = await start(t, folder, two, { env: { FASTIFY_SWOOLE_PERFORMANCE_CRASH_LIMIT: '2' } })
  writeFiles(folder, { 'app.ts': app("throw new Error('broken')") })
  process.kill((await pids(folder))[0]!, 'SIGKILL')
  await eventually('many tries', () => output.stderr.split('died with').length > 4)
  t.equal((await get(port)).body, 'here')
  writeFiles(folder, { 'app.ts': app('') })
  await eventually('the set is full again', async () => (await pids(folder)).length === 2)
})

t.test('fastify.swoole.reload() replaces all workers, and its caller answers', async (t) => {
  const reloading = (version: number) => app(`fastify.get('/version', async () => '${version}')\n    fastify.post('/reload', async () => fastify.swoole.reload())\n    fastify.get('/reload', async () => fastify.swoole.reload())`)
  const folder = makeProject(t, { 'app.ts': reloading(1) })
  const { port } = await start(t, folder, two)
  const before = await pids(folder)
  writeFiles(folder, { 'app.ts': reloading(2) })
  const { status: code, body } = await get(port, '/reload')
  t.equal(code, 200)
  t.match(JSON.parse(body), { generation: 2, durationMs: Number })
  t.equal((await get(port, '/version')).body, '2')
  await eventually('the old ones leave', () => before.every((pid) => !isRunning(pid)))

  writeFiles(folder, { 'app.ts': 'broken(' })
  const failed = await get(port, '/reload')
  t.equal(failed.status, 503)
  t.match(JSON.parse(failed.body), { code: 'FST_SWOOLE_RELOAD_FAILED' })
  t.equal((await get(port, '/version')).body, '2')
  t.equal((await run(folder, ['stop'])).code, 0)
})
