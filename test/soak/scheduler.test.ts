import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { app, readRuns } from '../scheduler/application.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start, status } from '../support/project.ts'

const LASTING_MS = 60_000
const KILL_EVERY_MS = 2000
const RELOAD_EVERY_MS = 10_000
const INTERVAL_MS = 100

t.test('a job every 100 ms in four workers, its owner killed every 2 s and a rolling reload every 10 s: no tick twice, at most one missed a kill', { timeout: 180_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app(`scheduler.schedule('x', fn, { interval: ${INTERVAL_MS} })`) })
  await start(t, folder, ['--workers', '4', '--task-workers', '0'])
  await eventually('it runs', () => readRuns(folder).length > 1)

  const until = Date.now() + LASTING_MS
  let kills = 0
  let reloads = 0
  const reloading = (async () => {
    for (let at = Date.now() + RELOAD_EVERY_MS; at < until; at += RELOAD_EVERY_MS) {
      await sleep(Math.max(0, at - Date.now()))
      // A worker that is killed just after it was ready ends the reload, and the old ones go on.
      if ((await run(folder, ['reload'])).code === 0) reloads++
    }
  })()
  for (let at = Date.now() + KILL_EVERY_MS; at < until; at += KILL_EVERY_MS) {
    await sleep(Math.max(0, at - Date.now()))
    const { worker, generation } = readRuns(folder).at(-1)!
    const owner = (await status(folder)).workers.find((one) => one.id === worker && one.generation === generation)
    if (owner === undefined) continue
    process.kill(owner.pid, 'SIGKILL')
    kills++
  }
  await reloading
  const last = readRuns(folder).length
  await eventually('it still runs', () => readRuns(folder).length > last + 5)

  const ticks = readRuns(folder).map(({ tickMs }) => tickMs)
  const missed = (ticks.at(-1)! - ticks[0]!) / INTERVAL_MS + 1 - ticks.length
  t.comment(`${ticks.length} ticks, ${kills} kills, ${reloads} reloads: ${missed} missed`)
  t.ok(kills >= 20 && reloads >= 3)
  t.equal(new Set(ticks).size, ticks.length, 'no tick twice')
  t.strictSame(ticks, ticks.toSorted((a, b) => a - b), 'in their order')
  t.strictSame(ticks.filter((tick) => (tick - ticks[0]!) % INTERVAL_MS !== 0), [], 'all on one grid')
  t.ok(missed <= kills, `${missed} missed with ${kills} kills`)
})
