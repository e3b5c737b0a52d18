import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { eventually } from '../support/processes.ts'
import { makeProject, start, status, swoole } from '../support/project.ts'

const app = `
  import swoole, { int } from '${swoole}'
  export const options = { logger: { level: 'error' } }
  export default async function (fastify) {
    await fastify.register(swoole)
    const { taskWorker } = fastify
    const runs = fastify.table('runs', { columns: { n: int() }, rows: 200_000 })
    taskWorker.registerHandler('count', (n) => { runs.incr(String(n), 'n') }, { attempts: 1_000_000, backoff: 0 })
    taskWorker.registerHandler('fragile', (n) => { runs.incr('fragile ' + n, 'n') }, { attempts: 2, backoff: 0 })
    taskWorker.registerHandler('double', (n) => n * 2, { attempts: 1_000_000, backoff: 0, concurrency: 8 })
    fastify.get('/leave', async ({ query: { type, from, to } }) => {
      let acknowledged = 0
      for (let n = Number(from); n < Number(to); n++) {
        await taskWorker.dispatch(type, n)
        acknowledged++
      }
      return { acknowledged }
    })
    fastify.get('/call', async ({ query: { from, to } }) => {
      const numbers = Array.from({ length: to - from }, (_, i) => Number(from) + i)
      const answers = await Promise.all(numbers.map((n) => taskWorker.dispatchSync('double', n, { timeout: '5m' }).catch(String)))
      return { wrong: numbers.filter((n, i) => answers[i] !== n * 2).map((n) => n + ': ' + answers[n - from]) }
    })
    fastify.get('/stats', async () => taskWorker.getStats())
    fastify.get('/runs', async ({ query: { prefix, count } }) => {
      const times = Array.from({ length: Number(count) }, (_, n) => runs.get(prefix + n, 'n') ?? 0)
      return { never: times.filter((n) => n === 0).length, all: times.reduce((sum, n) => sum + n, 0) }
    })
  }`

/**
 * So many tasks over two task workers of which one is killed each 100 ms: each that was acknowledged ends exactly once and
 * ran, and each call has its answer.
 */
export async function killWhileRunningTasks (t: Test, { tasks, fragile, calls }: { tasks: number, fragile: number, calls: number }): Promise<void> {
  const folder = makeProject(t, { 'app.ts': app, 'swoole.config.ts': "export default { memory: { size: '256mb' }, task: { maxQueued: 1_000_000, maxRequest: 0 } }" })
  const { port } = await start(t, folder, ['--workers', '1', '--task-workers', '2'])
  const get = async (path: string) => await (await fetch(`http://127.0.0.1:${port}${path}`)).json() as any

  const leaving = (async () => {
    for (let from = 0; from < tasks; from += 1000) t.equal((await get(`/leave?type=count&from=${from}&to=${Math.min(from + 1000, tasks)}`)).acknowledged, Math.min(1000, tasks - from))
    t.equal((await get(`/leave?type=fragile&from=0&to=${fragile}`)).acknowledged, fragile)
  })()
  const calling = (async () => {
    const wrong: string[] = []
    for (let from = 0; from < calls; from += 100) wrong.push(...(await get(`/call?from=${from}&to=${from + 100}`)).wrong)
    return wrong
  })()
  const over = new AbortController()
  const settled = Promise.all([leaving, calling])
  const done = settled.then(() => eventually('all have ended', async () => {
    const { busy, queued } = await get('/stats')
    return busy === 0 && queued === 0
  }, 600_000)).finally(() => over.abort())
  done.catch(() => {})

  let kills = 0
  const killing = (async () => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const workers = (await status(folder)).workers.filter(({ role, state }) => role === 'task' && state === 'ready')
      const worker = workers[turn % Math.max(1, workers.length)]
      if (worker !== undefined) {
        process.kill(worker.pid, 'SIGKILL')
        kills++
      }
      await sleep(100)
    }
  })()
  t.strictSame(await calling, [], 'each caller got its own answer')
  await done
  await killing
  const { completed, failed } = await get('/stats')
  t.equal(completed + failed, tasks + fragile + calls, 'each ended once')
  t.ok(failed <= fragile, 'only those that may be tried twice are dead')
  const counted = await get(`/runs?prefix=&count=${tasks}`)
  t.equal(counted.never, 0, 'each ran')
  t.ok(counted.all <= tasks + kills, `${counted.all - tasks} ran again for ${kills} kills`)
  t.equal((await get(`/runs?prefix=fragile%20&count=${fragile}`)).never <= failed, true, 'what is done ran')
  t.ok(kills > 0)
  t.comment(`${tasks} tasks, ${calls} calls, ${kills} kills, ${failed} dead, ${counted.all - tasks} ran more than once`)
}
