import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { serverFor } from '../support/database-servers.ts'
import { startLoad } from '../support/load.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start, status, swoole } from '../support/project.ts'

const MOST = 5
const CLIENTS = 30

t.test('all workers together keep to the budget, in a reload and after a kill too, and every request is served', { timeout: 120_000 }, async (t) => {
  const server = await serverFor('postgresql')
  const applicationName = `fastify_swoole_${randomBytes(6).toString('hex')}`
  const pool = { ...server, poolSize: 10, timeout: '20s', maxPerMachine: MOST, clientOptions: { application_name: applicationName } }
  const folder = makeProject(t, {
    'app.ts': `
  import swoole from '${swoole}'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole, { database: { postgresql: ${JSON.stringify(pool)} } })
    fastify.get('/', async () => {
      const [{ pid }] = await fastify.pools.postgresql.query('SELECT pg_backend_pid() AS pid, pg_sleep(0.004)')
      return String(pid)
    })
    fastify.get('/stats', async () => fastify.pools.postgresql.getStats())
  }`
  })
  const monitor = new pg.Client(server)
  await monitor.connect()
  t.teardown(() => monitor.end())
  const counted = async () => {
    const { rows } = await monitor.query('SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = $1', [applicationName])
    return (rows[0] as { count: number }).count
  }
  const counts: number[] = []
  const counting = new AbortController()

  const { port } = await start(t, folder, ['--workers', '3', '--task-workers', '0'])
  const counter = (async () => {
    while (!counting.signal.aborted) {
      counts.push(await counted())
      await sleep(5)
    }
  })()
  const load = startLoad(port, { clients: CLIENTS, keepAlive: true })
  await eventually('it is busy', () => load.answers.length > 300)
  t.equal(Math.max(...counts), MOST, 'all of the budget is used, and no more')

  const before = load.answers.length
  t.equal((await run(folder, ['reload'])).code, 0, 'a new worker gets connections though the old ones had all')
  t.equal(Math.max(...counts), MOST, 'old and new workers together keep to it')
  await eventually('the new ones serve', () => load.answers.length > before + 300)

  const pids = new Set(load.answers.map(({ body }) => body))
  t.ok(pids.size > MOST, 'the new ones have connections of their own')
  // The server may still count those of the dead for a moment.
  counting.abort()
  await counter
  const { workers } = await status(folder)
  process.kill(workers[0]!.pid, 'SIGKILL')
  await eventually('it is replaced', async () => (await status(folder)).workers.filter(({ state, pid }) => state === 'ready' && pid !== workers[0]!.pid).length === 3)
  const after = load.answers.length
  await eventually('all of them serve', () => load.answers.length > after + 300)
  await eventually('and have the budget', async () => await counted() === MOST)
  await load.stop()
  t.strictSame(load.answers.filter(({ status }) => status !== 200), [])
  t.ok(load.failures.length <= CLIENTS, `${load.failures.length} requests were on connections to the killed worker`)
  await eventually('idle connections stay within it', async () => await counted() <= MOST)
})
