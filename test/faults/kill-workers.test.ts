import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { existsSync } from 'node:fs'
import { runDirectoryOf } from '../../cli/launcher/run-directory.ts'
import { get, startLoad } from '../support/load.ts'
import { eventually, isRunning, processesNaming } from '../support/processes.ts'
import { makeProject, run, start, status, swoole } from '../support/project.ts'

const KILLING_MS = 20_000
const KILL_EVERY_MS = 200

const app = `
  import swoole from '${swoole}'
  import { setTimeout as sleep } from 'node:timers/promises'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole)
    const hits = fastify.atomic('hits')
    fastify.get('/', async () => String(hits.increment()))
    fastify.get('/hits', async () => String(hits.get()))
    fastify.get('/workers', async () => fastify.swoole.workers())
    fastify.get('/slow', async () => { await sleep(1000); return 'done' })
  }`

t.test('workers killed at random under load fail only what is in their hands, and are all replaced', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port, output } = await start(t, folder, ['--workers', '3', '--task-workers', '0'])
  const loads = [startLoad(port, { clients: 24, keepAlive: true }), startLoad(port, { clients: 8, keepAlive: false })]

  let kills = 0
  for (const until = Date.now() + KILLING_MS; Date.now() < until; await sleep(KILL_EVERY_MS)) {
    const workers = processesNaming(folder).filter((pid) => isRunning(pid) && processIsWorker(pid))
    const victim = workers[Math.floor(Math.random() * workers.length)]
    if (victim === undefined) continue
    process.kill(victim, 'SIGKILL')
    kills++
  }
  await Promise.all(loads.map((load) => load.stop()))

  const failures = loads.flatMap(({ failures }) => failures)
  const answers = loads.flatMap(({ answers }) => answers)
  t.ok(kills > 20, `${kills} kills\n${output.stderr.slice(-500)}`)
  t.same([...new Set(failures.map(({ error }) => error))].filter((error) => error !== 'ECONNRESET'), [], 'connections were cut, none was refused and none hung')
  t.ok(failures.length <= kills * 32, `${failures.length} of ${answers.length} requests failed`)
  t.ok(answers.every(({ status }) => status === 200))

  await eventually('the full set of workers', async () => (await status(folder)).workers.filter(({ state }) => state === 'ready').length === 3)
  const hits = Number((await get(port, '/hits')).body)
  t.ok(hits >= answers.length, `${hits} counted, ${answers.length} acknowledged`)
  t.ok(hits <= answers.length + failures.length, 'and nothing counted twice')
  t.equal(new Set(answers.map(({ body }) => body)).size, answers.length, 'each count was given once')

  t.equal((await run(folder, ['stop'])).code, 0, output.stderr)
  t.same(processesNaming(folder), [], 'no process is left')
  t.notOk(existsSync(runDirectoryOf(folder)), 'no file is left')
})

t.test('when the primary is killed the workers finish what they have and nothing is left', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port, child } = await start(t, folder, ['--workers', '2', '--task-workers', '1'])
  const { workers } = await status(folder)
  const slow = Array.from({ length: 8 }, () => get(port, '/slow'))
  await eventually('the requests are under way', async () => (await status(folder)).workers.reduce((sum, { inFlight }) => sum + inFlight, 0) === 8)
  child.kill('SIGKILL')
  for (const { body, headers } of await Promise.all(slow)) {
    t.equal(body, 'done')
    t.equal(headers.connection, 'close')
  }
  await eventually('the workers leave', () => workers.every(({ pid }) => !isRunning(pid)))
  t.same(processesNaming(folder), [])
  t.notOk(existsSync(runDirectoryOf(folder)), 'no file is left')
  const again = await start(t, folder)
  t.equal((await get(again.port, '/hits')).body, '0')
})

function processIsWorker (pid: number): boolean {
  return !processesNaming('cli/main.ts').includes(pid)
}
