import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start } from '../support/project.ts'
import { app, readRuns, runsOf } from './application.ts'

t.test('with memory.file the grid of a job goes on over a stop, what was missed is run once, and what runs once runs again', { timeout: 90_000 }, async t => {
  const folder = makeProject(t, {
    'app.ts': app(`
      scheduler.schedule('x', fn, { interval: 1500 })
      scheduler.schedule('skip', fn, { interval: 60_000, missed: 'skip', immediate: true })
      scheduler.scheduleOnce('once', fn, { delay: 10 })`),
    'swoole.config.ts': "export default { memory: { size: '8mb', file: 'memory.bin' } }"
  })
  const args = ['--workers', '2', '--task-workers', '0']
  await start(t, folder, args)
  await eventually('all have run', () => new Set(readRuns(folder).map(({ name }) => name)).size === 3)
  t.equal((await run(folder, ['stop'])).code, 0)
  const { tickMs } = runsOf(folder, 'x').at(-1)!
  const ran = runsOf(folder, 'x').length
  await sleep(Math.max(0, tickMs + 3200 - Date.now()))
  await start(t, folder, args)
  await eventually('they run', () => runsOf(folder, 'x').length > ran + 1 && runsOf(folder, 'once').length === 2 && runsOf(folder, 'skip').length === 2)
  const after = runsOf(folder, 'x').slice(ran).map((run) => run.tickMs)
  t.strictSame(after.filter((tick) => (tick - tickMs) % 1500 !== 0), [])
  t.ok(after[0]! - tickMs >= 3000, 'the last that was missed')
})
