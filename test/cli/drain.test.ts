import t from 'tap'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import WebSocket from 'ws'
import { get } from '../support/load.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start, status, swoole } from '../support/project.ts'

const app = `
  import { appendFileSync } from 'node:fs'
  import { setTimeout as sleep } from 'node:timers/promises'
  import websocket from '@fastify/websocket'
  import swoole from '${swoole}'
  export default async function (fastify) {
    await fastify.register(swoole, { health: {} })
    await fastify.register(websocket)
    fastify.addHook('onClose', async () => { await sleep(50); appendFileSync('closed', fastify.swoole.workerId + '\\n') })
    fastify.get('/', async () => 'here')
    fastify.get('/slow', async () => { await sleep(700); return 'slow' })
    fastify.get('/stream', (request, reply) => {
      async function * parts () { for (let n = 0; n < 7; n++) { yield n + ' '; await sleep(100) } }
      reply.send(require('node:stream').Readable.from(parts()))
    })
    fastify.get('/endless', async () => { await sleep(60_000) })
    fastify.get('/socket', { websocket: true }, (socket) => socket.send('open'))
  }
  import { createRequire } from 'node:module'
  const require = createRequire(import.meta.url)`

const one = ['--workers', '1', '--task-workers', '0']

async function underWay (folder: string, requests: number) {
  await eventually(`${requests} requests under way`, async () => (await status(folder)).workers.reduce((sum, { inFlight }) => sum + inFlight, 0) === requests)
}

t.test('a stop answers what is under way, says Connection: close, and runs the close hooks', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port, child, output } = await start(t, folder, one)
  const requests = [get(port, '/slow'), get(port, '/stream', new Agent({ keepAlive: true }))] as const
  await underWay(folder, 2)
  const stopped = run(folder, ['stop'])
  const [slow, stream] = await Promise.all(requests)
  t.match(slow, { status: 200, body: 'slow', headers: { connection: 'close' } })
  t.match(stream, { status: 200, body: '0 1 2 3 4 5 6 ' })
  t.match(await stopped, { code: 0, stdout: /stopping 1\/1\nstopped\n$/ })
  t.equal(child.exitCode, 0, output.stderr)
  const { readFileSync } = await import('node:fs')
  t.equal(readFileSync(`${folder}/closed`, 'utf8'), '0\n')
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} stops the same way`, async (t) => {
    const folder = makeProject(t, { 'app.ts': app })
    const { port, child, output } = await start(t, folder, one)
    const slow = get(port, '/slow')
    await underWay(folder, 1)
    child.kill(signal)
    t.match(await slow, { status: 200, body: 'slow' })
    if (child.exitCode === null) await once(child, 'exit')
    t.equal(child.exitCode, 0, output.stderr)
  })
}

t.test('what does not end within the time-out is cut, and --force cuts at once', async (t) => {
  for (const args of [['stop', '--timeout', '300ms'], ['stop', '--force']]) {
    const folder = makeProject(t, { 'app.ts': app })
    const { port, child, output } = await start(t, folder, one)
    const endless = t.rejects(get(port, '/endless'), { code: 'ECONNRESET' })
    await underWay(folder, 1)
    t.match(await run(folder, args), { code: 0, stdout: /stopped\n$/ }, args.join(' '))
    await endless
    t.equal(child.exitCode, 0, output.stderr)
  }
})

t.test('an idle connection does not hold a stop for longer than performance.drainIdleTimeout, and is not cut before', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, one, { env: { FASTIFY_SWOOLE_PERFORMANCE_DRAIN_IDLE_TIMEOUT: '1s', FASTIFY_SWOOLE_PERFORMANCE_DRAIN_TIMEOUT: '100s' } })
  const [idle, late] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  const ask = async (socket: typeof idle) => {
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    return String((await once(socket, 'data'))[0])
  }
  t.match(await ask(idle), /connection: keep-alive/i)
  t.match(await ask(late), /connection: keep-alive/i)
  const stopped = run(folder, ['stop'])
  await eventually('the worker drains', async () => {
    const answer = await status(folder).catch(() => undefined)
    return answer?.workers.some(({ state }) => state === 'draining')
  })
  t.match(await ask(late), /connection: close/i, 'a request on an idle connection is answered')
  await once(idle, 'close')
  t.equal((await stopped).code, 0)
})

t.test('WebSockets are closed with 1012 when their worker leaves', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, one)
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`)
  await once(socket, 'message')
  const closed = once(socket, 'close')
  t.equal((await run(folder, ['reload'])).code, 0)
  const [code, reason] = await closed
  t.equal(code, 1012)
  t.equal(String(reason), 'service restart')
  const again = new WebSocket(`ws://127.0.0.1:${port}/socket`)
  await once(again, 'message')
  again.close()
})

t.test('readiness says 503 for performance.readinessDelay before a stop, while all is served', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, one, { env: { FASTIFY_SWOOLE_PERFORMANCE_READINESS_DELAY: '2s' } })
  t.equal((await get(port, '/readyz')).status, 200)
  const stopped = run(folder, ['stop'])
  await eventually('readiness says 503', async () => (await get(port, '/readyz')).status === 503)
  t.match(await get(port, '/livez'), { status: 200, body: '{"status":"ok"}' })
  t.match(await get(port, '/'), { status: 200, body: 'here' })
  t.equal((await stopped).code, 0)
})

t.test('pipelined requests are all answered', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, one)
  const socket = connect(port, '127.0.0.1')
  let answers = ''
  socket.setEncoding('utf8').on('data', (part) => { answers += part })
  const ask = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`
  socket.write(ask('/slow') + ask('/') + ask('/'))
  await underWay(folder, 1)
  const stopped = run(folder, ['stop'])
  await once(socket, 'close')
  t.equal(answers.split('HTTP/1.1 200').length - 1, 3, answers)
  t.equal((await stopped).code, 0)
})
