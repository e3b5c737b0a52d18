import t from 'tap'
import { startLoad } from '../support/load.ts'
import { makeProject, run, start, swoole, writeFiles } from '../support/project.ts'

const RELOADING_MS = 12_000

const app = (version: number) => `
  import swoole from '${swoole}'
  import { setTimeout as sleep } from 'node:timers/promises'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole)
    fastify.get('/', async () => '${version}')
    fastify.get('/slow', async () => { await sleep(300); return '${version}' })
  }`

for (const front of ['node', 'fast']) {
  t.test(`reloads back to back fail no request, and their end is the end of the old code; performance.front: ${front}`, { timeout: 120_000 }, async (t) => {
    const folder = makeProject(t, { 'app.ts': app(0) })
    const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '0'], { env: { FASTIFY_SWOOLE_PERFORMANCE_FRONT: front } })
    const loads = [
      startLoad(port, { clients: 32, keepAlive: true }),
      startLoad(port, { clients: 16, keepAlive: false }),
      startLoad(port, { clients: 16, keepAlive: true, path: '/slow' })
    ]
    const ends: number[] = []
    const until = performance.now() + RELOADING_MS
    while (performance.now() < until) {
      writeFiles(folder, { 'app.ts': app(ends.length + 1) })
      const { code, stderr } = await run(folder, ['reload'])
      t.equal(code, 0, stderr)
      ends.push(performance.now())
    }
    await Promise.all(loads.map((load) => load.stop()))

    t.ok(ends.length > 2, `${ends.length} reloads`)
    for (const { answers, failures } of loads) {
      t.same(failures, [], 'no request failed')
      t.equal(answers.filter(({ status }) => status !== 200).length, 0, `${answers.length} answers, all 200`)
      const late = answers.filter(({ startedAt, body }) => Number(body) < ends.filter((end) => end <= startedAt).length)
      t.same(late, [], 'no answer is older than the last reload before its request')
    }
  })
}
