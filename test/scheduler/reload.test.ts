import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start, writeFiles } from '../support/project.ts'
import { app, readRuns, runsOf } from './application.ts'

t.test('a reload brings new jobs and ends those that are not in the new code; no tick is run twice, and at most one is missed', { timeout: 90_000 }, async t => {
  const folder = makeProject(t, {
    'app.ts': app(`
    scheduler.schedule('same', fn, { interval: 250, immediate: true })
    scheduler.schedule('removed', fn, { interval: 100 })
    scheduler.scheduleOnce('once', fn, { delay: 10 })`)
  })
  await start(t, folder, ['--workers', '2', '--task-workers', '1'])
  await eventually('all run', () => new Set(readRuns(folder).map(({ name }) => name)).size === 3)
  writeFiles(folder, {
    'app.ts': app(`
    scheduler.schedule('same', fn, { interval: 250, immediate: true })
    scheduler.schedule('added', fn, { interval: 100 })
    scheduler.scheduleOnce('once', fn, { delay: 10 })`)
  })
  t.equal((await run(folder, ['reload'])).code, 0)
  await eventually('the new ones run', () => runsOf(folder, 'added').length > 2 && runsOf(folder, 'same').at(-1)!.generation === 2)
  const removed = runsOf(folder, 'removed').length
  const same = runsOf(folder, 'same').map(({ tickMs }) => tickMs)
  t.equal(new Set(same).size, same.length, 'none twice')
  t.strictSame(same.filter((tick) => (tick - same[0]!) % 250 !== 0), [], 'immediate not again')
  t.ok((same.at(-1)! - same[0]!) / 250 + 1 - same.length <= 1, 'at most one missed')
  t.strictSame(readRuns(folder).filter(({ name, generation }) => generation === 1 && name === 'added'), [])
  t.equal(runsOf(folder, 'once').length, 1)
  t.equal(runsOf(folder, 'removed').length, removed)
})

t.test('code that does not come up runs no jobs, and the old goes on', { timeout: 90_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app('scheduler.schedule(\'x\', fn, { interval: 50 })') })
  await start(t, folder, ['--workers', '2', '--task-workers', '0'])
  await eventually('it runs', () => readRuns(folder).length > 1)
  writeFiles(folder, {
    'app.ts': app(`
    if (workerId === 1) throw new Error('broken')
    scheduler.schedule('x', fn, { interval: 50 })
    scheduler.schedule('added', fn, { interval: 50, immediate: true })`)
  })
  t.equal((await run(folder, ['reload'])).code, 1)
  const before = readRuns(folder).length
  await eventually('it goes on', () => readRuns(folder).length > before + 5)
  t.strictSame(readRuns(folder).filter(({ generation, name }) => generation > 1 || name !== 'x'), [])
})

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
