import { Agent } from 'node:http'
import t from 'tap'
import { get } from '../support/load.ts'
import { eventually, isRunning } from '../support/processes.ts'
import { makeProject, run, start, status, swoole, writeFiles } from '../support/project.ts'

const app = `
  import swoole, { int } from '${swoole}'
  import { setTimeout as sleep } from 'node:timers/promises'

  export default async function (fastify) {
    await fastify.register(swoole)
    const runs = fastify.atomic('runs')
    const fast = fastify.atomic('fast')
    const pids = fastify.table('pids', { rows: 8, columns: { pid: int() } })

    fastify.get('/fast', { config: { cache: { tags: ['fast'] } } }, async () => ({ run: fast.increment(), worker: fastify.swoole.workerId }))
    fastify.get('/slow', { config: { cache: true } }, async (request) => {
      const run = runs.increment()
      pids.set('slow', { pid: process.pid })
      await sleep(Number(request.query.ms))
      return { run }
    })
    fastify.post('/fast', async () => ({ worker: fastify.swoole.workerId }))
    fastify.get('/runs', async () => ({ runs: runs.get(), pid: pids.get('slow', 'pid') ?? 0, worker: fastify.swoole.workerId }))
    fastify.get('/invalidate', async () => ({ count: await fastify.cache.invalidateTags('fast'), worker: fastify.swoole.workerId }))
  }`

const WORKERS = 4

interface Test {
  teardown (end: () => unknown): void
}

async function serve (t: Test) {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', String(WORKERS), '--task-workers', '0'])
  // Connections are handed out in turn: so many have one to each worker.
  const agents = Array.from({ length: WORKERS }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  t.teardown(() => agents.forEach((agent) => agent.destroy()))
  const ask = async (worker: number, path: string) => {
    const { body, headers, status } = await get(port, path, agents[worker])
    return { ...JSON.parse(body) as { run: number, runs: number, pid: number, worker: number }, status, cache: String(headers['cache-status']) }
  }
  // The memory of the cache is taken with the first request.
  for (let n = 0; n < WORKERS; n++) await ask(n, '/fast')
  return { folder, port, ask }
}

t.test('what one worker has answered the others answer, until one of them removes it', { timeout: 60_000 }, async t => {
  const { ask } = await serve(t)
  const workers = new Set<number>()
  for (let n = 0; n < WORKERS; n++) workers.add((await ask(n, '/runs')).worker)
  t.equal(workers.size, WORKERS)

  const first = await ask(0, '/fast')
  for (let n = 0; n < WORKERS; n++) t.match(await ask(n, '/fast'), { run: first.run, worker: first.worker, cache: /hit/ })
  await ask(1, '/invalidate')
  const second = await ask(2, '/fast')
  t.equal(second.run, first.run + 1)
  t.match(second.cache, /fwd=uri-miss; stored/)
  for (let n = 0; n < WORKERS; n++) t.match(await ask(n, '/fast'), { run: second.run, worker: second.worker, cache: /hit/ })
})

t.test('200 requests for a slow answer, at once over four workers, make it once', { timeout: 60_000 }, async t => {
  const { port } = await serve(t)
  const answers = await Promise.all(Array.from({ length: 200 }, () => get(port, '/slow?ms=500')))
  for (const { status, body } of answers) t.match({ status, body }, { status: 200, body: '{"run":1}' })
  t.equal(JSON.parse((await get(port, '/runs')).body).runs, 1)
  const statuses = answers.map(({ headers }) => String(headers['cache-status']))
  t.equal(statuses.filter((status) => status.includes('stored')).length, 1)
  t.ok(statuses.filter((status) => status.includes('collapsed')).length >= 150, 'most of them had come before it was there')
})

t.test('when the worker that makes it is killed another one makes it, once, and all but its own requests are answered', { timeout: 60_000 }, async t => {
  const { folder, port } = await serve(t)
  const asked = Array.from({ length: 80 }, () => get(port, '/slow?ms=2000').then(({ body }) => JSON.parse(body).run as number, () => 'cut'))
  await eventually('one makes it', async () => JSON.parse((await get(port, '/runs')).body).runs === 1)
  const { pid } = JSON.parse((await get(port, '/runs')).body)
  process.kill(pid, 'SIGKILL')
  await eventually('it is dead', () => !isRunning(pid))
  const answers = await Promise.all(asked)
  const cut = answers.filter((answer) => answer === 'cut').length
  // The kernel hands connections out, and on a busy machine most to one worker.
  t.ok(cut >= 1 && cut < 80, `${cut} were cut`)
  t.equal(answers.filter((answer) => answer === 2).length, 80 - cut)
  t.equal(JSON.parse((await get(port, '/runs')).body).runs, 2)
  t.ok((await status(folder)).workers.every((worker) => worker.pid !== pid))
})

t.test('workers of one code share answers and values, after a reload that failed, one of task workers, a kill and a stop', { timeout: 120_000 }, async t => {
  const app = (text: string, broken = '') => `
    import swoole from '${swoole}'
    export default async function (fastify) {
      ${broken}
      await fastify.register(swoole, { cache: { clearOnReload: true }, memory: { file: 'memory' } })
      // Connections are handed out in turn: who has another's asks again.
      fastify.addHook('onRequest', async (request, reply) => {
        const { at } = request.headers
        if (at !== undefined && at !== String(process.pid)) return reply.code(421).send()
      })
      let state = 0
      fastify.get('/x', { config: { cache: true } }, async () => \`${text} \${process.pid} \${++state}\`)
      fastify.post('/x', async () => '')
      fastify.get('/value', () => fastify.cache.get('v', () => \`${text} \${process.pid} \${++state}\`))
      fastify.delete('/value', async () => await fastify.cache.delete('v'))
      fastify.delete('/', async () => { await fastify.cache.clear(); return '' })
    }`
  const folder = makeProject(t, { 'app.ts': app('first') })
  const args = ['--workers', '2', '--task-workers', '1']
  const { port } = await start(t, folder, args)
  const pids = async () => (await status(folder)).workers.filter(({ role, state }) => role === 'http' && state === 'ready').map(({ pid }) => pid)
  const replaceOne = async () => {
    const [killed, stays] = await pids()
    process.kill(killed!, 'SIGKILL')
    await eventually('it is replaced', async () => {
      const now = await pids()
      return now.length === 2 && !now.includes(killed!)
    })
    return { stays: stays!, fresh: (await pids()).find((pid) => pid !== stays)! }
  }
  const at = async (port: number, pid: number, path: string, method = 'GET'): Promise<string> => {
    for (;;) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { at: String(pid), connection: 'close' } })
      const body = await response.text()
      if (response.status !== 421) return body
    }
  }
  const requireShared = async ({ stays, fresh }: { stays: number, fresh: number }, what: string) => {
    for (const [path, changes] of [['/x', [['/x', 'POST'], ['/', 'DELETE']]], ['/value', [['/value', 'DELETE'], ['/', 'DELETE']]]] as const) {
      for (const [changed, method] of changes) {
        const before = await at(port, stays, path)
        t.equal(await at(port, fresh, path), before, `${what}: ${path}`)
        await at(port, stays, changed, method)
        const after = await at(port, fresh, path)
        t.not(after, before, `${what}: ${method} ${changed}`)
        t.equal(await at(port, stays, path), after)
      }
    }
  }

  writeFiles(folder, { 'app.ts': app('first', "throw new Error('broken')") })
  t.match(await run(folder, ['reload']), { code: 1 })
  writeFiles(folder, { 'app.ts': app('first') })
  await requireShared(await replaceOne(), 'a reload that failed')

  const { pid: primary, workers } = await status(folder)
  const oldTask = workers.find(({ role }) => role === 'task')!.pid
  process.kill(primary, 'SIGUSR2')
  await eventually('task workers are reloaded', async () => (await status(folder)).workers.some(({ role, state, pid }) => role === 'task' && state === 'ready' && pid !== oldTask))
  await requireShared(await replaceOne(), 'a reload of task workers')

  writeFiles(folder, { 'app.ts': app('second') })
  t.match(await run(folder, ['reload']), { code: 0 })
  const replaced = await replaceOne()
  t.match(await at(port, replaced.stays, '/x'), 'second')
  await requireShared(replaced, 'a reload')

  t.match(await run(folder, ['stop']), { code: 0 })
  writeFiles(folder, { 'app.ts': app('third') })
  const again = await start(t, folder, args)
  const [pid] = await pids()
  for (const path of ['/x', '/value']) t.match(await at(again.port, pid!, path), 'third', 'what was kept in the file is of other code')
})
