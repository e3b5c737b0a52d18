import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { get } from '../support/load.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, start, status } from '../support/project.ts'
import { app, readRuns, runsOf } from './application.ts'
import type { Ran } from './application.ts'

const json = async (port: number, path: string) => JSON.parse((await get(port, path)).body)

t.test('a job runs in one task worker, whichever worker is asked of it', { timeout: 60_000 }, async t => {
  const folder = makeProject(t, {
    'app.ts': app(`
    scheduler.schedule('x', fn, { interval: 100, immediate: true })
    scheduler.schedule('own', fn, { interval: 100, scope: 'worker' })`)
  })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '2'])
  await eventually('a task worker runs it', () => runsOf(folder, 'x').at(-1)?.role === 'task')
  await eventually('all workers run their own', () => new Set(runsOf(folder, 'own').map(({ worker }) => worker)).size === 4)
  const owner = runsOf(folder, 'x').at(-1)!.worker
  for (let n = 0; n < 6; n++) {
    const reports = await json(port, '/inspect')
    t.match(reports.find(({ name }: Ran) => name === 'x'), { kind: 'interval', scope: 'cluster', owner, failures: 0 })
  }
  const ticks = runsOf(folder, 'x').map(({ tickMs }) => tickMs)
  t.equal(new Set(ticks).size, ticks.length)

  t.equal((await json(port, '/unschedule?name=x')).was, true)
  const after = runsOf(folder, 'x').length
  await sleep(400)
  t.ok(runsOf(folder, 'x').length <= after + 1)
})

t.test('when the only task worker is killed an HTTP worker runs the job, until there is another', { timeout: 60_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app('scheduler.schedule(\'x\', fn, { interval: 50 })') })
  await start(t, folder, ['--workers', '2', '--task-workers', '1'])
  await eventually('a task worker runs it', () => readRuns(folder).at(-1)?.role === 'task')
  const { pid } = (await status(folder)).workers.find(({ role }) => role === 'task')!
  process.kill(pid, 'SIGKILL')
  await eventually('an HTTP worker runs it', () => readRuns(folder).at(-1)!.role === 'http')
  await eventually('the new task worker runs it', () => readRuns(folder).at(-1)!.role === 'task')
  const ticks = readRuns(folder).map(({ tickMs }) => tickMs)
  t.equal(new Set(ticks).size, ticks.length)
})

t.test('what a request schedules runs in its worker', { timeout: 60_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app('') })
  const { port } = await start(t, folder, ['--workers', '2', '--task-workers', '1'])
  for (let n = 0; n < 6; n++) t.equal((await get(port, `/remind?name=${n % 3}${n}`)).status, 200)
  await eventually('all have run', () => readRuns(folder).length === 6)
  await get(port, '/remind?name=again')
  await eventually('it has run', () => readRuns(folder).length === 7)
  await get(port, '/remind?name=again')
  await eventually('it has run again', () => readRuns(folder).length === 8)
  await eventually('nothing is left', async () => (await json(port, '/inspect')).length === 0)
})

t.test('a worker that leaves lets its jobs end', { timeout: 60_000 }, async t => {
  const folder = makeProject(t, {
    'app.ts': app(`
    scheduler.schedule('slow', async ({ scheduledFor }) => {
      note('begun', scheduledFor)
      await new Promise((resolve) => setTimeout(resolve, 2000))
      note('ended', scheduledFor)
    }, { interval: 100 })`)
  })
  const { child, line } = await start(t, folder, ['--workers', '1', '--task-workers', '1'])
  await eventually('it runs', () => runsOf(folder, 'begun').length > 0)
  line(/never said/).catch(() => {})
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
  t.equal(runsOf(folder, 'ended').length, runsOf(folder, 'begun').length)
})
