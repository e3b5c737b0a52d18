import t from 'tap'
import type { Test } from 'tap'
import { eventually, isRunning } from '../support/processes.ts'
import { makeProject, run, start, status, swoole, writeFiles } from '../support/project.ts'

const app = (version: string) => `
  import swoole from '${swoole}'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole)
    const { taskWorker } = fastify
    const ran = fastify.atomic('ran')
    const released = fastify.atomic('released')
    fastify.decorate('greeting', 'hello from ${version}')
    taskWorker.registerHandler('greet', (name) => ({ text: fastify.greeting + ', ' + name, pid: process.pid, role: fastify.swoole.role, ran: ran.increment() }), { concurrency: 4 })
    taskWorker.registerHandler('fail', () => { throw Object.assign(new Error('it broke'), { code: 'E_BROKE', statusCode: 418 }) })
    taskWorker.registerHandler('poison', () => process.kill(process.pid, 'SIGKILL'), { attempts: 2, backoff: 0 })
    taskWorker.registerHandler('long', async (_data, { signal }) => {
      ran.increment()
      while (released.get() === 0 && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10))
      return signal.aborted ? 'aborted' : 'ended by itself'
    })
    fastify.get('/greet/:name', async ({ params }) => taskWorker.dispatchSync('greet', params.name, { timeout: '30s' }))
    fastify.get('/call/:type', async ({ params }) => ({ value: await taskWorker.dispatchSync(params.type, undefined, { timeout: '60s' }) }))
    fastify.get('/leave/:type', async ({ params }) => ({ id: await taskWorker.dispatch(params.type) }))
    fastify.get('/stats', async () => ({ ...await taskWorker.getStats(), dead: await taskWorker.deadLetters('poison') }))
    fastify.get('/ran', async () => ({ ran: ran.get() }))
    fastify.get('/release', async () => ({ released: released.increment() }))
  }`

async function serve (t: Test, args: string[], configuration = '', env?: NodeJS.ProcessEnv) {
  const folder = makeProject(t, { 'app.ts': app('version 1'), ...configuration !== '' && { 'swoole.config.ts': configuration } })
  const { port, output } = await start(t, folder, args, { env })
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: answer.status, body: await answer.json() as any }
  }
  return { folder, get, output }
}

/** An answer comes a moment before its task is counted. */
async function eventuallyIs (get: (path: string) => Promise<{ body: any }>, stats: object): Promise<void> {
  await eventually(JSON.stringify(stats), async () => {
    const { body } = await get('/stats')
    return Object.entries(stats).every(([name, value]) => body[name] === value)
  })
}

t.test('tasks run in task workers, which have all of the application; an error comes with its code, and without a stack', { timeout: 60_000 }, async t => {
  const { folder, get } = await serve(t, ['--workers', '2', '--task-workers', '2'])
  const taskPids = (await status(folder)).workers.filter(({ role }) => role === 'task').map(({ pid }) => pid)
  for (let n = 1; n <= 20; n++) {
    const { body } = await get('/greet/you')
    t.match(body, { text: 'hello from version 1, you', role: 'task', ran: n })
    t.ok(taskPids.includes(body.pid))
  }
  t.strictSame(await get('/call/fail'), { status: 418, body: { statusCode: 418, code: 'E_BROKE', error: "I'm a Teapot", message: 'it broke' } })
  t.match(await get('/call/unknown'), { status: 500, body: { code: 'FST_SWOOLE_TASK_UNKNOWN' } })
  await eventuallyIs(get, { workers: 2, busy: 0, queued: 0, completed: 20, failed: 1 })
})

t.test('a task that kills its workers ends as a dead letter, and the application serves on', { timeout: 60_000 }, async t => {
  const { get } = await serve(t, ['--workers', '1', '--task-workers', '1'])
  t.match(await get('/call/poison'), { status: 500, body: { code: 'FST_SWOOLE_TASK_WORKER_DIED' } })
  t.match((await get('/stats')).body, { failed: 1, retried: 1, dead: [{ type: 'poison', attempts: 2, error: /^the worker in slot \d+ died by SIGKILL while it had the item$/ }] })
  t.match((await get('/greet/again')).body, { text: 'hello from version 1, again' })
})

t.test('a reload lets a task that runs come to its end, and new tasks run with the new code meanwhile', { timeout: 60_000 }, async t => {
  const { folder, get } = await serve(t, ['--workers', '1', '--task-workers', '1'])
  await get('/leave/long')
  await eventually('it runs', async () => (await get('/ran')).body.ran === 1)
  const old = (await status(folder)).workers.find(({ role }) => role === 'task')!
  writeFiles(folder, { 'app.ts': app('version 2') })
  const reloaded = run(folder, ['reload'])
  await eventually('new code runs tasks', async () => (await get('/greet/x')).body.text === 'hello from version 2, x')
  t.ok(isRunning(old.pid), 'the old worker has its task still')
  await eventuallyIs(get, { busy: 1 })
  await get('/release')
  await eventually('it has ended', async () => (await get('/stats')).body.busy === 0)
  t.equal((await reloaded).code, 0)
  await eventually('its worker has gone', () => !isRunning(old.pid))
  await eventuallyIs(get, { failed: 0, retried: 0 })
})

t.test('a task worker is replaced after task.maxRequest tasks, between tasks', { timeout: 60_000 }, async t => {
  const { get } = await serve(t, ['--workers', '1', '--task-workers', '1'], 'export default { task: { maxRequest: 5 } }')
  const pids = new Set<number>()
  let asked = 0
  while (pids.size < 3) {
    const { status, body } = await get('/greet/you')
    t.equal(status, 200)
    t.equal(body.ran, ++asked, 'each ran once')
    pids.add(body.pid)
  }
})

t.test('without task workers the HTTP workers run tasks', { timeout: 60_000 }, async t => {
  const { get } = await serve(t, ['--workers', '2', '--task-workers', '0'])
  t.match((await get('/greet/you')).body, { role: 'http', ran: 1 })
  await eventuallyIs(get, { workers: 2, completed: 1 })
})
