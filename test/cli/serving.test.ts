import t from 'tap'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { resolve } from 'node:path'
import { get } from '../support/load.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start, status, swoole } from '../support/project.ts'

const app = `
  import swoole from '${swoole}'
  export default async function (fastify) {
    let heard = 0
    fastify.addHook('onListen', async () => { heard++ })
    await fastify.register(swoole)
    fastify.get('/', async () => 'here')
    fastify.get('/id', async () => String(fastify.swoole.workerId))
    fastify.get('/server', async () => ({ heard, listening: fastify.server.listening, address: fastify.server.address(), addresses: fastify.addresses(), origin: fastify.listeningOrigin }))
  }`

t.test('to the application its server listens like any other', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  const address = { address: '127.0.0.1', family: 'IPv4', port }
  t.same(JSON.parse((await get(port, '/server')).body), { heard: 1, listening: true, address, addresses: [address], origin: `http://127.0.0.1:${port}` })
})

t.test('connections go round over the workers', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', '3', '--task-workers', '0'])
  const ids = new Set<string>()
  for (let n = 0; n < 30; n++) ids.add((await get(port, '/id')).body)
  t.same([...ids].sort(), ['0', '1', '2'])
})

t.test('an IPv6 address is listened on', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { url } = await start(t, folder, ['--workers', '1', '--task-workers', '0'], { host: '::1' })
  t.match(url, /^http:\/\/\[::1\]:\d+$/)
  t.equal(await (await fetch(url)).text(), 'here')
})

t.test('more connections than performance.maxConnection are closed', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', '1', '--task-workers', '0'], { env: { FASTIFY_SWOOLE_PERFORMANCE_MAX_CONNECTION: '2' } })
  const sockets = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  for (const socket of sockets) {
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'data')
  }
  await t.rejects(get(port), 'the third is closed')
  for (const socket of sockets) socket.destroy()
  await eventually('there is room again', async () => (await get(port).catch(() => undefined))?.body === 'here')
})

t.test('an idle connection is closed after performance.heartbeatIdleTime', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', '1', '--task-workers', '0'], { env: { FASTIFY_SWOOLE_PERFORMANCE_HEARTBEAT_IDLE_TIME: '1s', FASTIFY_SWOOLE_PERFORMANCE_HEARTBEAT_INTERVAL: '100ms' } })
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  t.match(String((await once(socket, 'data'))[0]), /keep-alive: timeout=1/i)
  await once(socket, 'close')
})

t.test('with performance.enableReusePort each worker listens for itself, and reloads and stops as ever', { skip: process.platform !== 'linux' }, async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  // A free port of the system's choice is one per worker here, so take one that was free just now.
  const { port } = await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  t.equal((await run(folder, ['stop'])).code, 0)
  const child = execFile(process.execPath, [resolve(import.meta.dirname, '../../cli/main.ts'), 'start', '--host', '127.0.0.1', '--port', String(port), '--workers', '2', '--task-workers', '0'], { cwd: folder, env: { ...process.env, FASTIFY_SWOOLE_PERFORMANCE_ENABLE_REUSE_PORT: 'true' } })
  t.teardown(() => child.kill('SIGKILL'))
  await eventually('it serves', async () => (await get(port).catch(() => undefined))?.body === 'here')
  const ids = new Set<string>()
  await eventually('both serve', async () => ids.add((await get(port, '/id')).body).size === 2)
  // Without load: connections that wait in a leaving worker's own queue are lost, which is the price of this option.
  t.match(await run(folder, ['reload']), { code: 0, stdout: /generation 2/ })
  await eventually('new workers serve', async () => (await get(port).catch(() => undefined))?.body === 'here')
  t.equal((await run(folder, ['stop'])).code, 0)
})

t.test('status is of the application in the current project', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  t.equal((await status(folder)).generation, 1)
  t.equal((await run(folder, ['status', '--project', folder])).code, 0)
})
