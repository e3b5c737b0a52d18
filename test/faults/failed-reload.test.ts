import t from 'tap'
import { get, startLoad } from '../support/load.ts'
import { makeProject, run, start, status, swoole, writeFiles } from '../support/project.ts'

const app = (body: string) => `
  import swoole from '${swoole}'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole)
    ${body}
  }`

const broken: Array<[string, string, RegExp]> = [
  ['code that throws', app("throw new Error('no such table: users')"), /Worker 0 did not start: Error: no such table: users\n.*app\.ts:6/],
  ['code with a syntax error', app('const = 5'), /app\.ts:6\n[^]*const = 5\n[^]*SyntaxError/],
  ['code that ends the process', app('process.exit(3)'), /Worker 0 did not start: it ended with exit code 3 before it was ready/],
  ['code that never becomes ready', app('await new Promise(() => setInterval(() => {}, 1000))'), /Worker 0 did not start: it was not ready within 5000 ms \(performance\.startTimeout\)/],
  ['code that blocks its loop while it loads', app('for (;;);'), /Worker 0 did not start: it was not ready within 5000 ms/],
  ['code whose rejection nobody handles', app("Promise.reject(new Error('lost'))\n    await new Promise((resolve) => setTimeout(resolve, 200))"), /Worker 0 did not start: Error: lost/],
  ['code that only the second worker cannot load', app("if (fastify.swoole.workerId === 1) throw new Error('one is enough')"), /Worker 1 did not start: Error: one is enough/],
  ['a file without a default export', 'export const x = 1', /Worker 0 did not start: .*has no default export/]
]

t.test('a reload to broken code fails with the worker\'s own error while the old code serves on', { timeout: 120_000 }, async (t) => {
  const good = app("fastify.get('/', async () => 'good')")
  const folder = makeProject(t, { 'app.ts': good })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '0'], { env: { FASTIFY_SWOOLE_PERFORMANCE_START_TIMEOUT: '5s' } })
  const before = (await status(folder)).workers.map(({ pid }) => pid)
  const loads = [startLoad(port, { clients: 8, keepAlive: true }), startLoad(port, { clients: 8, keepAlive: false })]

  for (const [what, code, message] of broken) {
    await t.test(what, async (t) => {
      writeFiles(folder, { 'app.ts': code })
      const outcome = await run(folder, ['reload'])
      t.equal(outcome.code, 1)
      t.match(outcome.stderr, /The reload failed, the old workers still serve/)
      t.match(outcome.stderr, message)
      t.equal((await get(port)).body, 'good')
    })
  }
  const { workers, generation } = await status(folder)
  t.same(workers.filter(({ state }) => state === 'ready').map(({ pid }) => pid), before, 'the old workers are all there')
  t.equal(generation, 1)

  writeFiles(folder, { 'app.ts': app("fastify.get('/', async () => 'good')") })
  const mended = await run(folder, ['reload'])
  t.equal(mended.code, 0, mended.stderr)
  t.match(mended.stdout, /generation 2/)

  for (const load of loads) {
    await load.stop()
    t.same(load.failures, [], `none of ${load.answers.length} requests failed`)
    t.ok(load.answers.every(({ status, body }) => status === 200 && body === 'good'))
  }
})
