import t from 'tap'
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
  // Before it was ready it may have missed some.
  const running = runsOf(folder, 'same').length - 1
  t.equal((await run(folder, ['reload'])).code, 0)
  await eventually('the new ones run', () => runsOf(folder, 'added').length > 2 && runsOf(folder, 'same').at(-1)!.generation === 2)
  const removed = runsOf(folder, 'removed').length
  const same = runsOf(folder, 'same').map(({ tickMs }) => tickMs)
  t.equal(new Set(same).size, same.length, 'none twice')
  t.strictSame(same.filter((tick) => (tick - same[0]!) % 250 !== 0), [], 'immediate not again')
  t.ok((same.at(-1)! - same[running]!) / 250 - (same.length - 1 - running) <= 1, 'at most one missed')
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
