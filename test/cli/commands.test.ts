import t from 'tap'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { runDirectoryOf } from '../../cli/launcher/run-directory.ts'
import { get } from '../support/load.ts'
import { eventually, isRunning, processesNaming } from '../support/processes.ts'
import { makeProject, run, start, status, swoole } from '../support/project.ts'

const app = `
  import swoole from '${swoole}'
  export const options = { logger: { level: 'info' } }
  export default async function (fastify) {
    await fastify.register(swoole)
    fastify.get('/', async ({ log }) => { log.info('seen'); return 'here' })
    fastify.get('/who', async () => ({ ...fastify.swoole, workers: fastify.swoole.workers() }))
    fastify.get('/body', { bodyLimit: undefined }, async () => fastify.initialConfig)
  }`

t.test('start serves on as many workers as it is told, and status shows them', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port, url, child } = await start(t, folder, ['--workers', '3', '--task-workers', '1'])
  const { body } = await get(port, '/who')
  const who = JSON.parse(body)
  t.match(who, { role: 'http', mode: 'process', generation: 1 })
  t.same(who.workers.map(({ id, role, state }: { id: number, role: string, state: string }) => [id, role, state]), [[0, 'http', 'ready'], [1, 'http', 'ready'], [2, 'http', 'ready'], [3, 'task', 'ready']])

  const { code, stdout } = await run(folder, ['status'])
  t.equal(code, 0)
  t.match(stdout, `${folder}/app.ts on ${url}\nprocess ${child.pid}, up`)
  t.match(stdout, /generation 1, 3\/3 workers, 1\/1 task workers/)
  t.notMatch(stdout, '\u001b[', 'no colours where there is no terminal')
  const json = JSON.parse((await run(folder, ['status', '--json'])).stdout)
  t.match(json, { pid: child.pid, url, generation: 1, wanted: { http: 3, task: 1 } })
  t.equal(json.workers.length, 4)
})

t.test('the run directory and its socket are for this user only', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  const directory = runDirectoryOf(folder)
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.equal(statSync(join(directory, 'control.sock')).mode & 0o777, 0o600)
  for (const name of readdirSync(directory)) t.equal(statSync(join(directory, name)).mode & 0o077, 0, name)
})

t.test('--daemonize returns when it listens, logs to a file, and stop ends it', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { code, stdout, stderr } = await run(folder, ['start', '-d', '--port', '0', '--host', '127.0.0.1', '--workers', '1', '--task-workers', '0'])
  t.equal(code, 0, stderr)
  t.match(stdout, /^listening on http:\/\/127\.0\.0\.1:\d+ \(process \d+, log .*swoole\.log\)\n$/)
  const port = Number(stdout.match(/127\.0\.0\.1:(\d+)/)![1])
  const pid = Number(stdout.match(/process (\d+)/)![1])
  t.equal((await get(port)).body, 'here')
  t.match(readFileSync(join(folder, 'swoole.log'), 'utf8'), /listening on/)

  await t.test('SIGHUP opens the log anew after a rotation', async (t) => {
    renameSync(join(folder, 'swoole.log'), join(folder, 'swoole.log.1'))
    process.kill(pid, 'SIGHUP')
    await eventually('a new file', () => existsSync(join(folder, 'swoole.log')))
    await eventually('the worker writes there', async () => {
      await get(port)
      return readFileSync(join(folder, 'swoole.log'), 'utf8').includes('seen')
    })
    const old = statSync(join(folder, 'swoole.log.1')).size
    await get(port)
    t.equal(statSync(join(folder, 'swoole.log.1')).size, old)
  })

  t.match(await run(folder, ['stop']), { code: 0 })
  t.notOk(isRunning(pid))
  t.same(processesNaming(folder), [])
})

t.test('--daemonize tells why it did not start, and exits with 1', async (t) => {
  const folder = makeProject(t, { 'app.ts': "throw new Error('no luck')" })
  const { code, stderr } = await run(folder, ['start', '-d', '--port', '0'])
  t.equal(code, 1)
  t.match(stderr, /^error Worker \d did not start: Error: no luck/)
  t.same(processesNaming(folder), [])
})

t.test('reload clears the application\'s cache folder unless it is told not to, and --only-cache does nothing else', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const cache = join(folder, 'var/cache')
  const fill = () => {
    mkdirSync(cache, { recursive: true })
    writeFileSync(join(cache, 'entry'), 'x')
  }
  fill()
  await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  const pids = async () => (await status(folder)).workers.map(({ pid }) => pid)
  const first = await pids()

  t.match(await run(folder, ['reload', '--only-cache']), { code: 0, stdout: 'caches cleared\n' })
  t.same(readdirSync(join(folder, 'var')), ['cache'])
  t.same(readdirSync(cache), [])
  t.same(await pids(), first, 'no worker was replaced')

  fill()
  t.match(await run(folder, ['reload', '--no-cache-clear']), { code: 0, stdout: /reloading 1\/1\nreloaded in \d+ ms, generation 2\n$/ })
  t.same(readdirSync(cache), ['entry'])
  t.notSame(await pids(), first)

  t.match(await run(folder, ['reload']), { code: 0, stdout: /generation 3/ })
  t.same(readdirSync(join(folder, 'var')), ['cache'], 'what was set aside is gone')
  t.same(readdirSync(cache), [])
})

t.test('workers use Node\'s compile cache, and reload --opcache clears it', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const compiled = join(folder, '.compiled')
  const env = { NODE_COMPILE_CACHE: compiled }
  const entries = () => existsSync(compiled) ? readdirSync(compiled, { recursive: true }).map(String).filter((name) => /\/[0-9a-f]+$/.test(name)) : []
  await start(t, folder, ['--workers', '1', '--task-workers', '0'], { env })
  await eventually('compiled code is kept', () => entries().length > 10)
  const mark = join(compiled, 'mark')
  writeFileSync(mark, '')
  t.equal((await run(folder, ['reload'], env)).code, 0)
  t.ok(existsSync(mark), 'a plain reload keeps it')
  t.equal((await run(folder, ['reload', '--opcache'], env)).code, 0)
  t.notOk(existsSync(mark))
})

t.test('SIGUSR1 reloads all workers, SIGUSR2 the task workers', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { child, line } = await start(t, folder, ['--workers', '1', '--task-workers', '1'])
  const pids = async () => (await status(folder)).workers.filter(({ state }) => state === 'ready').map(({ pid }) => pid)
  const [http, task] = await pids()

  let reloaded = line(/^reloaded in \d+ ms, generation 1$/)
  child.kill('SIGUSR2')
  await reloaded
  const [http2, task2] = await pids()
  t.equal(http2, http)
  t.not(task2, task)

  reloaded = line(/^reloaded in \d+ ms, generation 2$/)
  child.kill('SIGUSR1')
  await reloaded
  const [http3, task3] = await pids()
  t.not(http3, http2)
  t.not(task3, task2)
})

t.test('a launcher that does not answer is named by stop, and ended by stop --force', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { child } = await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  child.kill('SIGSTOP')
  t.match(await run(folder, ['stop']), { code: 1, stderr: new RegExp(`The launcher \\(process ${child.pid}\\) gave no sign for 10 seconds; "fastify-swoole stop --force" ends it`) })
  const ended = once(child, 'exit')
  t.match(await run(folder, ['stop', '--force']), { code: 0, stdout: 'stopped\n' })
  await ended
  await eventually('its workers leave', () => processesNaming(folder).length === 0)
  t.notOk(existsSync(runDirectoryOf(folder)))
})

t.test('a command whose user goes away does not harm the application', async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { child, port } = await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  for (const command of ['status', 'reload']) {
    child.kill('SIGSTOP')
    const sockets = Array.from({ length: 3 }, () => connect(join(runDirectoryOf(folder), 'control.sock')))
    for (const socket of sockets) {
      await once(socket, 'connect')
      socket.write(`${JSON.stringify({ command, clearCache: false, clearOpcache: false, onlyCache: false })}\n`)
      socket.destroy()
    }
    child.kill('SIGCONT')
    await eventually('it answers', async () => (await status(folder).catch(() => undefined))?.pid === child.pid)
  }
  const nonsense = connect(join(runDirectoryOf(folder), 'control.sock'))
  nonsense.write('nonsense\n')
  t.match(String((await once(nonsense, 'data'))[0]), /error/)
  nonsense.destroy()
  t.equal((await get(port)).body, 'here')
})

t.test('log.file may be anywhere, and one that cannot be opened is named', async (t) => {
  const folder = makeProject(t, { 'app.ts': app, 'elsewhere/x': '' })
  const file = join(folder, 'elsewhere/server.log')
  const args = ['start', '-d', '--port', '0', '--host', '127.0.0.1', '--workers', '1', '--task-workers', '0']
  t.match(await run(folder, args, { FASTIFY_SWOOLE_LOG_FILE: file }), { code: 0, stdout: new RegExp(`log ${file}`) })
  t.match(readFileSync(file, 'utf8'), /listening/)
  t.equal((await run(folder, ['stop'])).code, 0)
  t.match(await run(folder, args, { FASTIFY_SWOOLE_LOG_FILE: '/nowhere/x.log' }), { code: 1, stderr: /^error log\.file is "\/nowhere\/x\.log", which cannot be opened: ENOENT/ })
})

t.test('options take effect: command line over environment over file', async (t) => {
  const folder = makeProject(t, { 'app.ts': app, 'swoole.config.ts': 'export default { performance: { workerNum: 3, packageMaxLength: "1mb" }, task: { workerNum: 0 } }' })
  const env = { FASTIFY_SWOOLE_PERFORMANCE_WORKER_NUM: '2' }
  const first = await start(t, folder, [], { env })
  t.equal((await status(folder)).workers.length, 2)
  t.equal(JSON.parse((await get(first.port, '/body')).body).bodyLimit, 1024 * 1024)
  await first.stop()
  await eventually('its workers leave', () => processesNaming(folder).length === 0)
  await start(t, folder, ['--workers', '1'], { env })
  t.equal((await status(folder)).workers.length, 1)
})

t.test('the application takes memory.file over from one run to the next', async (t) => {
  const folder = makeProject(t, { 'app.ts': app.replace("'/who'", "'/n', async () => String(fastify.atomic('n').increment()))\n    fastify.get('/who'") })
  const env = { FASTIFY_SWOOLE_MEMORY_FILE: 'var/memory', FASTIFY_SWOOLE_MEMORY_SIZE: '8mb' }
  const first = await start(t, folder, ['--workers', '1', '--task-workers', '0'], { env })
  t.equal((await get(first.port, '/n')).body, '1')
  t.equal((await run(folder, ['stop'])).code, 0)
  const second = await start(t, folder, ['--workers', '1', '--task-workers', '0'], { env })
  t.equal((await get(second.port, '/n')).body, '2', 'after a stop')
  for (const pid of processesNaming(folder)) process.kill(pid, 'SIGKILL')
  await second.stop()
  const third = await start(t, folder, ['--workers', '1', '--task-workers', '0'], { env })
  t.equal((await get(third.port, '/n')).body, '3', 'after kill -9 of everything')
})
