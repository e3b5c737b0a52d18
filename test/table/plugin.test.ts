import Fastify from 'fastify'
import t from 'tap'
import swoole, { int as rootInt } from '../../plugins/swoole.ts'
import tablePlugin, { int, string } from '../../plugins/table/index.ts'
import { get } from '../support/load.ts'
import { makeProject, run, start, swoole as swooleFile } from '../support/project.ts'

for (const [how, plugin] of [['alone', tablePlugin], ['through the root plugin', swoole]] as const) {
  t.test(`registered ${how}, an application has tables`, async t => {
    const fastify = Fastify()
    t.teardown(() => fastify.close())
    await fastify.register(plugin as typeof tablePlugin)
    const users = fastify.table('users', { rows: 10, columns: { name: string(10), visits: rootInt() } })
    users.set('a', { name: 'Ann' })
    t.equal(users.incr('a', 'visits'), 1)
    t.equal(fastify.table('users', { rows: 10, columns: { visits: int(), name: string(10) } }), users as unknown)
    t.throws(() => fastify.table('users', { rows: 11, columns: { visits: int(), name: string(10) } }), { code: 'FST_SWOOLE_SCHEMA_MISMATCH', message: /users/ })
    t.equal(fastify.table('others', { rows: 10, columns: { visits: int() } }).count, 0)
  })
}

t.test('what a table refuses reaches a client as its status, without a stack trace', async t => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(tablePlugin)
  const table = fastify.table('small', { rows: 1, columns: { text: string(4) } })
  fastify.put<{ Params: { key: string }, Body: string }>('/:key', async ({ params, body }) => table.set(params.key, { text: body }))
  const put = async (key: string, payload: string) => {
    const answer = await fastify.inject({ method: 'PUT', url: `/${key}`, payload, headers: { 'content-type': 'text/plain' } })
    return [answer.statusCode, answer.json().code, /\bat\b.*\.ts/.test(answer.body)]
  }
  t.same(await put('a', 'too long'), [413, 'FST_SWOOLE_VALUE_TOO_LONG', false])
  t.same(await put('k'.repeat(90), 'x'), [400, 'FST_SWOOLE_KEY_INVALID', false])
  table.set('a', {})
  t.same(await put('b', 'x'), [507, 'FST_SWOOLE_TABLE_FULL', false])
})

t.test('under the launcher a table is one for all workers, and stays through a reload', async t => {
  const folder = makeProject(t, {
    'app.ts': `
      import swoole, { int, string } from '${swooleFile}'
      export const options = { logger: false }
      export default async function (fastify) {
        await fastify.register(swoole)
        const users = fastify.table('users', { rows: 100, columns: { name: string(20), visits: int() } })
        fastify.get('/', async () => { users.set('a', { name: 'Ann' }); return [fastify.swoole.workerId, users.incr('a', 'visits')] })
        fastify.get('/row', async () => ({ generation: fastify.swoole.generation, ...users.get('a') }))
      }`
  })
  const { port } = await start(t, folder, ['--workers', '3', '--task-workers', '0'])
  const answers = await Promise.all(Array.from({ length: 30 }, () => get(port, '/')))
  const seen = answers.map(({ body }) => JSON.parse(body) as [number, number])
  t.same(seen.map(([, visits]) => visits).sort((a, b) => a - b), Array.from({ length: 30 }, (_, n) => n + 1))
  t.equal(new Set(seen.map(([worker]) => worker)).size, 3)
  t.equal((await run(folder, ['reload'])).code, 0)
  t.same(JSON.parse((await get(port, '/row')).body), { generation: 2, name: 'Ann', visits: 30 })
})
