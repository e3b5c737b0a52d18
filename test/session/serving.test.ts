import { request } from 'node:http'
import t from 'tap'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start, status, swoole } from '../support/project.ts'

const app = `
  import swoole from '${swoole}'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole, { session: { secret: 'a secret of at least 32 characters', size: '1mb', maxBytes: '64kb' } })
    const arrived = fastify.atomic('arrived')
    const worker = fastify.swoole.workerId
    fastify.get('/count', async ({ session }) => {
      session.n = (session.n ?? 0) + 1
      return { n: session.n, worker }
    })
    fastify.get('/get', async ({ session: { cookie, ...data } }) => ({ ...data, worker }))
    fastify.get('/meet', async ({ session, query }) => {
      session[query.as] = worker
      arrived.increment()
      while (arrived.get() < 2) await new Promise((resolve) => setTimeout(resolve, 5))
      return { worker }
    })
  }`

const configuration = "export default { memory: { size: '8mb', file: 'memory.bin' } }"

/** A browser that opens a connection for each request, so that the workers take turns. */
function browser (port: number, jar = { cookie: '' }) {
  const get = (path: string) => new Promise<any>((resolve, reject) => {
    const outgoing = request({ port, path, host: '127.0.0.1', agent: false, headers: { cookie: jar.cookie } }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (part) => { body += part }).on('error', reject).on('end', () => {
        const [set] = response.headers['set-cookie'] ?? []
        if (set !== undefined) jar.cookie = set.split(';')[0]!
        resolve(JSON.parse(body))
      })
    })
    outgoing.on('error', reject).end()
  })
  return { get, jar }
}

t.test('workers share a session, which lives on through a reload and the death of all workers', { timeout: 120_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  const { get } = browser(port)
  const workers = new Set<number>()
  for (let n = 1; n <= 10; n++) {
    const answer = await get('/count')
    t.equal(answer.n, n)
    workers.add(answer.worker)
  }
  t.equal(workers.size, 2)

  t.equal((await run(folder, ['reload'])).code, 0)
  t.equal((await get('/count')).n, 11)

  const before = (await status(folder)).workers.map(({ pid }) => pid)
  for (const pid of before) process.kill(pid, 'SIGKILL')
  await eventually('two new workers', async () => {
    const { workers } = await status(folder)
    return workers.filter(({ pid, state }) => state === 'ready' && !before.includes(pid)).length === 2
  })
  t.equal((await get('/count')).n, 12)
})

t.test('of two requests that overlap in two workers none loses what it changed', { timeout: 60_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  const { get } = browser(port)
  await get('/count')
  const [one, other] = await Promise.all([get('/meet?as=one'), get('/meet?as=other')])
  t.not(one.worker, other.worker)
  t.match(await get('/get'), { n: 1, one: one.worker, other: other.worker })
})

t.test('with memory.file a session lives on through a stop, and through kill -9 of everything', { timeout: 120_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app, 'swoole.config.ts': configuration })
  const args = ['--workers', '2', '--task-workers', '0']
  const first = await start(t, folder, args)
  const { get, jar } = browser(first.port)
  await get('/count')
  t.equal((await run(folder, ['stop'])).code, 0)

  const second = await start(t, folder, args)
  t.equal((await browser(second.port, jar).get('/count')).n, 2)
  for (const { pid } of (await status(folder)).workers) process.kill(pid, 'SIGKILL')
  await second.stop()

  const third = await start(t, folder, args)
  t.equal((await browser(third.port, jar).get('/count')).n, 3)
})
