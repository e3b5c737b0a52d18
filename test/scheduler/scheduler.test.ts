import Fastify from 'fastify'
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import schedulerPlugin from '../../plugins/scheduler/index.ts'
import type { JobInfo, SchedulerOptions } from '../../plugins/scheduler/index.ts'
import { eventually } from '../support/processes.ts'

interface Test {
  teardown (end: () => unknown): void
}

// The timers of the scheduler keep no process alive.
const awake = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(awake))

/** An application that is not loaded yet: `ready` loads it. What it logs at level warn and above is in `logged`. */
async function application (t: Test, options: SchedulerOptions = {}) {
  const logged: Array<Record<string, any>> = []
  const fastify = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => { logged.push(JSON.parse(line)) } } } })
  await fastify.register(schedulerPlugin, options)
  t.teardown(() => fastify.close())
  return { fastify, scheduler: fastify.scheduler, logged }
}

async function started (t: Test, options?: SchedulerOptions) {
  const all = await application(t, options)
  await all.fastify.ready()
  return all
}

/** The report of one job. */
async function reportOf ({ scheduler }: Awaited<ReturnType<typeof application>>, name: string) {
  return (await scheduler.inspect()).find((report) => report.name === name)
}

/** A handler that runs until it is let go, and no longer than the test. */
function held (t: Test) {
  const runs: JobInfo[] = []
  let gate = Promise.withResolvers<void>()
  let isOver = false
  const letGo = () => {
    gate.resolve()
    gate = Promise.withResolvers()
  }
  t.teardown(() => {
    isOver = true
    letGo()
  })
  return {
    runs,
    letGo,
    fn (info: JobInfo) {
      runs.push(info)
      return isOver ? undefined : gate.promise
    }
  }
}

t.test('an interval does not drift: each tick lies on the grid, whatever the run before took', async t => {
  const { scheduler } = await started(t)
  const ticks: number[] = []
  scheduler.schedule('x', async ({ scheduledFor }) => {
    ticks.push(scheduledFor.getTime())
    await sleep(7)
  }, { interval: 20 })
  await eventually('six ticks', () => ticks.length >= 6)
  const first = ticks[0]!
  t.strictSame(ticks.map((tick) => (tick - first) % 20), ticks.map(() => 0))
  t.equal(new Set(ticks).size, ticks.length)
})

t.test('a handler is told its name, its time and a signal', async t => {
  const { scheduler } = await started(t)
  const before = Date.now()
  const info = await new Promise<JobInfo>((resolve) => scheduler.scheduleOnce('x', resolve, { delay: 5 }))
  t.equal(info.name, 'x')
  t.ok(info.scheduledFor.getTime() >= before + 5)
  t.equal(info.signal.aborted, false)
})

for (const where of ['the application', 'a plugin of its own context']) {
  t.test(`in ${where}, jobs do not run before all is ready, onReady hooks included`, async t => {
    const order: string[] = []
    const fastify = Fastify()
    t.teardown(() => fastify.close())
    const load = async (context: typeof fastify) => {
      await context.register(schedulerPlugin)
      context.scheduler.schedule('x', () => order.push('job'), { interval: 1, immediate: true })
      context.addHook('onReady', async () => {
        await sleep(30)
        order.push('ready')
      })
    }
    if (where === 'the application') await load(fastify)
    else fastify.register(load as never)
    await fastify.ready()
    await eventually('it runs', () => order.includes('job'))
    t.equal(order[0], 'ready')
  })
}

t.test('no job runs when the application does not become ready', async t => {
  const { fastify, scheduler } = await application(t)
  let runs = 0
  scheduler.schedule('x', () => { runs++ }, { interval: 1, immediate: true })
  fastify.addHook('onReady', async () => { throw new Error('not ready') })
  await t.rejects(async () => await fastify.ready(), { message: 'not ready' })
  await sleep(20)
  t.equal(runs, 0)
})

t.test('immediate runs in the background, and once more than the grid', async t => {
  const { scheduler } = await started(t)
  const { runs, fn } = held(t)
  scheduler.schedule('x', fn, { interval: '1h', immediate: true })
  t.equal(runs.length, 0, 'the original ran it inside the call')
  await eventually('it runs', () => runs.length === 1)
  await scheduler.inspect()
  t.equal(runs.length, 1)
})

t.test('a cron expression with seconds runs at whole seconds', async t => {
  const { scheduler } = await started(t)
  const { scheduledFor } = await new Promise<JobInfo>((resolve) => scheduler.schedule('x', resolve, { cron: '* * * * * *' }))
  t.equal(scheduledFor.getTime() % 1000, 0)
  t.ok(Date.now() - scheduledFor.getTime() < 5000)
})

t.test('ticks that come while the job runs are skipped and counted', async t => {
  const all = await started(t)
  const { runs, letGo, fn } = held(t)
  all.scheduler.schedule('x', fn, { interval: 10 })
  await eventually('some are skipped', async () => (await reportOf(all, 'x'))!.skipped >= 3)
  t.equal(runs.length, 1)
  letGo()
  await eventually('it runs again', () => runs.length === 2)
  letGo()
  const { runs: count, failures, running } = (await reportOf(all, 'x'))!
  t.ok(count >= 2 && failures === 0)
  t.type(running, 'boolean')
})

t.test('with overlap: queue one tick waits, and runs when the run before has ended', async t => {
  const all = await started(t)
  const { runs, letGo, fn } = held(t)
  all.scheduler.schedule('x', fn, { interval: 10, overlap: 'queue' })
  await eventually('one waits and some are skipped', async () => (await reportOf(all, 'x'))!.skipped >= 3)
  t.equal(runs.length, 1)
  all.scheduler.schedule('other', () => {}, { interval: '1h' })
  letGo()
  await eventually('it runs again', () => runs.length === 2)
  t.equal(runs[1]!.scheduledFor.getTime() - runs[0]!.scheduledFor.getTime(), 10, 'the first that came meanwhile')
})

t.test('an error is logged with the name of the job, counted and told, and the schedule goes on', async t => {
  const all = await started(t)
  let runs = 0
  all.scheduler.schedule('broken', () => {
    runs++
    if (runs === 1) throw Object.freeze(new Error('at once'))
    return Promise.reject(runs === 2 ? 'no error at all' : new Error(`later ${'x'.repeat(400)}`))
  }, { interval: 10 })
  await eventually('three failures', async () => (await reportOf(all, 'broken'))!.failures >= 3)
  t.match(all.logged.slice(0, 3), [
    { level: 50, job: 'broken', msg: 'a job of the scheduler failed' },
    { level: 50, job: 'broken' },
    { level: 50, job: 'broken', err: { message: /^later xxx/ } }
  ])
  const { lastError, lastDurationMs, lastRun } = (await reportOf(all, 'broken'))!
  t.match(lastError, /^later x+$/)
  t.equal(lastError!.length, 240)
  t.ok(lastDurationMs! >= 0)
  t.ok(lastRun instanceof Date)
})

t.test('periodic jobs and those that run once are of one name space, and a name is replaced', async t => {
  const { scheduler } = await started(t)
  const ran: string[] = []
  scheduler.schedule('x', () => ran.push('periodic'), { interval: '1h', immediate: false })
  scheduler.scheduleOnce('x', () => ran.push('replaced'), { delay: '1h' })
  scheduler.scheduleOnce('x', () => ran.push('once'), { delay: 5 })
  t.strictSame(scheduler.getScheduledTasks(), ['x'], 'the original did not list what runs once')
  await eventually('it runs', () => ran.length > 0)
  await eventually('it is over', () => scheduler.getScheduledTasks().length === 0)
  t.strictSame(ran, ['once'])
})

t.test('a periodic job that replaces one that has run once can be unscheduled', async t => {
  const { scheduler } = await started(t)
  let runs = 0
  scheduler.scheduleOnce('x', () => { runs++ }, { delay: 0 })
  await eventually('it has run', () => runs === 1)
  scheduler.schedule('x', () => { runs++ }, { interval: 5 })
  await eventually('it runs', () => runs >= 3)
  t.equal(scheduler.unschedule('x'), true)
  const after = runs
  t.strictSame(scheduler.getScheduledTasks(), [])
  t.equal(scheduler.unschedule('x'), false)
  await sleep(30)
  t.equal(runs, after, 'the original had three more ticks')
})

t.test('a later scheduleOnce of a name begins anew, and leaves nothing behind', async t => {
  const { scheduler } = await started(t, { maxJobs: 2 })
  for (let n = 0; n < 20; n++) await new Promise((resolve) => scheduler.scheduleOnce(`x ${n % 5}`, resolve, { delay: 0 }))
  await eventually('all are over', async () => (await scheduler.inspect()).length === 0)
})

t.test('scheduled while the application is loaded, one that runs once runs once however often it is scheduled', async t => {
  const { fastify, scheduler } = await application(t)
  let runs = 0
  for (let n = 0; n < 3; n++) scheduler.scheduleOnce('x', () => { runs++ }, { delay: 0 })
  await fastify.ready()
  await eventually('it has run', () => runs === 1)
  await eventually('it is over', () => scheduler.getScheduledTasks().length === 0)
  scheduler.scheduleOnce('x', () => { runs++ }, { delay: 0 })
  await eventually('it has run again', () => runs === 2)
})

t.test('clearAll takes all jobs, those of this worker too', async t => {
  const { scheduler } = await started(t)
  let runs = 0
  scheduler.schedule('a', () => { runs++ }, { interval: 1 })
  scheduler.schedule('b', () => { runs++ }, { interval: 1, scope: 'worker' })
  scheduler.scheduleOnce('c', () => { runs++ }, { delay: '1d' })
  t.strictSame(scheduler.getScheduledTasks().sort(), ['a', 'b', 'c'])
  scheduler.clearAll()
  t.strictSame(scheduler.getScheduledTasks(), [])
  const after = runs
  await sleep(20)
  t.equal(runs, after)
  scheduler.clearAll()
})

t.test('a job changes its scope', async t => {
  const { scheduler } = await started(t)
  scheduler.schedule('x', () => {}, { interval: '1h', scope: 'worker' })
  t.match(await scheduler.inspect(), [{ name: 'x', scope: 'worker', owner: 0 }])
  scheduler.schedule('x', () => {}, { interval: '1h' })
  t.match(await scheduler.inspect(), [{ name: 'x', scope: 'cluster', owner: 0 }])
  scheduler.schedule('x', () => {}, { interval: '1h', scope: 'worker' })
  t.match(await scheduler.inspect(), [{ name: 'x', scope: 'worker', owner: 0 }])
})

t.test('inspect tells all of a job', async t => {
  const all = await started(t)
  const before = Date.now()
  all.scheduler.schedule('daily', () => {}, { cron: '30 3 * * *', timezone: 'Europe/Paris' })
  const { nextRun, ...report } = (await reportOf(all, 'daily'))!
  t.strictSame(report, {
    name: 'daily',
    kind: 'cron',
    scope: 'cluster',
    lastRun: null,
    lastDurationMs: null,
    lastError: null,
    runs: 0,
    failures: 0,
    skipped: 0,
    running: false,
    owner: 0
  })
  t.ok(nextRun!.getTime() > before && nextRun!.getTime() <= before + 26 * 3_600_000)
  t.equal(nextRun!.getUTCMinutes(), 30)
})

t.test('a tick may be years away', async t => {
  const all = await started(t)
  let runs = 0
  all.scheduler.scheduleOnce('x', () => { runs++ }, { delay: '700d' })
  all.scheduler.schedule('y', () => { runs++ }, { interval: '60d' })
  const days = ((await reportOf(all, 'x'))!.nextRun!.getTime() - Date.now()) / 86_400_000
  t.ok(days > 699.9 && days <= 700)
  await sleep(50)
  t.equal(runs, 0, 'a timer of more than 2^31 ms fires at once')
})

t.test('enabled: false lists jobs and runs none', async t => {
  const { fastify, scheduler } = await application(t, { enabled: false })
  let runs = 0
  scheduler.schedule('x', () => { runs++ }, { interval: 1, immediate: true })
  await fastify.ready()
  scheduler.scheduleOnce('y', () => { runs++ }, { delay: 0 })
  await sleep(30)
  t.equal(runs, 0, 'the original did not ask')
  t.strictSame(scheduler.getScheduledTasks(), ['x', 'y'])
  t.match(await scheduler.inspect(), [{ name: 'x', kind: 'interval', nextRun: null, owner: null, runs: 0 }, { name: 'y', kind: 'once' }])
  t.equal(scheduler.unschedule('x'), true)
  t.equal(scheduler.unschedule('x'), false)
  t.throws(() => scheduler.schedule('x', () => {}, { cron: 'x' }), { code: 'FST_SWOOLE_SCHEDULE_INVALID' })
})

t.test('close waits for jobs that run, and runs no more', async t => {
  const { fastify, scheduler } = await started(t)
  const { runs, letGo, fn } = held(t)
  scheduler.schedule('x', fn, { interval: 5 })
  await eventually('it runs', () => runs.length === 1)
  let isClosed = false
  const closing = fastify.close().then(() => { isClosed = true })
  await sleep(30)
  t.equal(isClosed, false)
  t.equal(runs[0]!.signal.aborted, false)
  letGo()
  await closing
  t.equal(runs.length, 1)
  t.throws(() => scheduler.schedule('x', fn, { interval: 5 }), { code: 'FST_SWOOLE_CLOSED' })
  t.throws(() => scheduler.scheduleOnce('x', fn, { delay: 5 }), { code: 'FST_SWOOLE_CLOSED' })
})

t.test('a job that does not end before the close is told by its signal, then left, and that is logged', { timeout: 60_000 }, async t => {
  const { fastify, scheduler, logged } = await started(t)
  const obedient: unknown[] = []
  let ran = 0
  scheduler.scheduleOnce('obedient', async ({ signal }) => {
    ran++
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    obedient.push((signal.reason as Error).name)
  }, { delay: 0 })
  scheduler.scheduleOnce('deaf', () => {
    ran++
    return new Promise(() => {})
  }, { delay: 0 })
  scheduler.scheduleOnce('reminder', () => {}, { delay: '1d' })
  await eventually('both run', () => ran === 2)
  await fastify.close()
  t.strictSame(obedient, ['AbortError'])
  t.match(logged, [
    { jobs: ['deaf'], msg: 'jobs of the scheduler did not end before the worker had to leave' },
    { jobs: ['reminder'], msg: 'jobs that this worker alone had scheduled end with it' }
  ])
})

t.test('what cannot be scheduled is refused at once, with the job, the value and what it must be', async t => {
  const { scheduler } = await started(t)
  const fn = () => {}
  const wrong: Array<[unknown, string, RegExp]> = [
    [{ interval: 0 }, 'SCHEDULE_INVALID', /"x" cannot be scheduled: interval is 0, but must be whole milliseconds from 1 to 100 years/],
    [{ interval: 0.5 }, 'SCHEDULE_INVALID', /interval is 0.5/],
    [{ interval: 1.5 }, 'SCHEDULE_INVALID', /interval is 1.5/],
    [{ interval: 1e300 }, 'SCHEDULE_INVALID', /interval is 1e\+300/],
    [{ interval: -1 }, 'DURATION_INVALID', /The interval of the job "x" is -1/],
    [{ interval: 'soon' }, 'DURATION_INVALID', /is "soon"/],
    [{ interval: NaN }, 'DURATION_INVALID', /is NaN/],
    [{ interval: null }, 'DURATION_INVALID', /is null/],
    [{ cron: '* * * *' }, 'SCHEDULE_INVALID', /cron is "\* \* \* \*": invalid configuration format/],
    [{ cron: '61 * * * *' }, 'SCHEDULE_INVALID', /cron is "61 \* \* \* \*": /],
    [{ cron: '0 0 30 2 *' }, 'SCHEDULE_INVALID', /cron is "0 0 30 2 \*", which never comes/],
    [{ cron: '0 0 0 1 1 * 2020' }, 'SCHEDULE_INVALID', /which never comes/],
    [{ cron: '2999-01-01T00:00:00' }, 'SCHEDULE_INVALID', /for one run there is scheduleOnce\(\)/],
    [{ cron: '' }, 'SCHEDULE_INVALID', /cron is ""/],
    [{ cron: 5 }, 'SCHEDULE_INVALID', /cron is 5, but must be a string/],
    [{ cron: '* * * * *', timezone: 'Mars/Base' }, 'SCHEDULE_INVALID', /timezone is "Mars\/Base"/],
    [{ cron: '* * * * *', timezone: 5 }, 'SCHEDULE_INVALID', /timezone is 5/],
    [{ interval: 5, timezone: 'Europe/Paris' }, 'SCHEDULE_INVALID', /timezone, which is for cron only/],
    [{ interval: 5, cron: '* * * * *' }, 'SCHEDULE_INVALID', /both interval and cron/],
    [{}, 'SCHEDULE_INVALID', /neither interval nor cron/],
    [undefined, 'SCHEDULE_INVALID', /neither interval nor cron/],
    [{ interval: 5, overlap: 'both' }, 'SCHEDULE_INVALID', /overlap is "both", but must be 'skip' or 'queue'/],
    [{ interval: 5, missed: true }, 'SCHEDULE_INVALID', /missed is true/],
    [{ interval: 5, scope: 'all' }, 'SCHEDULE_INVALID', /scope is "all"/],
    [{ interval: 5, immediate: 'yes' }, 'SCHEDULE_INVALID', /immediate is "yes"/],
    [{ every: 5 }, 'OPTIONS_INVALID', /"every"/],
    ['5s', 'OPTIONS_INVALID', /are "5s"/]
  ]
  for (const [options, code, message] of wrong) t.throws(() => scheduler.schedule('x', fn, options as never), { code: `FST_SWOOLE_${code}`, message }, JSON.stringify(options))
  t.throws(() => scheduler.schedule('x', 'fn' as never, { interval: 5 }), { code: 'FST_SWOOLE_SCHEDULE_INVALID', message: /must be a function/ })
  t.throws(() => scheduler.scheduleOnce('x', fn, {} as never), { code: 'FST_SWOOLE_DURATION_INVALID', message: /The delay of the job "x" is undefined/ })
  t.throws(() => scheduler.scheduleOnce('x', fn, { delay: '40000d' }), { code: 'FST_SWOOLE_SCHEDULE_INVALID', message: /delay is "40000d"/ })
  for (const name of ['', 'x'.repeat(129), '\ud800', 5 as never]) t.throws(() => scheduler.schedule(name, fn, { interval: 5 }), { code: 'FST_SWOOLE_NAME_INVALID' })
  t.strictSame(scheduler.getScheduledTasks(), [])
})

t.test('there is room for maxJobs jobs, and for another when one has gone', async t => {
  const { scheduler } = await started(t, { maxJobs: 3 })
  for (const name of ['é'.repeat(64), 'b', 'c']) scheduler.schedule(name, () => {}, { interval: '1h' })
  t.throws(() => scheduler.schedule('d', () => {}, { interval: '1h' }), { code: 'FST_SWOOLE_SCHEDULE_FULL', message: /"d".* has 3,/ })
  t.equal(scheduler.unschedule('b'), true)
  scheduler.schedule('d', () => {}, { interval: '1h' })
  t.strictSame(scheduler.getScheduledTasks().sort(), ['c', 'd', 'é'.repeat(64)])
})
