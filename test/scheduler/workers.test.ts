import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { JobScheduler } from '../../plugins/scheduler/scheduler.ts'
import { JobTable } from '../../plugins/scheduler/memory.ts'
import type { JobInfo } from '../../plugins/scheduler/index.ts'
import { setSlotState } from '../../plugins/shared-memory/index.ts'
import type { Role } from '../../plugins/shared-memory/index.ts'
import { noWire } from '../../plugins/shared-memory/doorbell.ts'
import { withDoorbell } from '../../plugins/shared-memory/shared-memory.ts'
import { claimSlot } from '../../plugins/shared-memory/slots.ts'
import { World } from '../shared-memory/world.ts'
import { eventually } from '../support/processes.ts'

const MAX_JOBS = 50

// The timers of the scheduler keep no process alive.
const awake = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(awake))

/** The clock that all workers read, and how far it was set. */
const realNow = Date.now
let setByMs = 0
Date.now = () => realNow() + setByMs
t.teardown(() => { Date.now = realNow })

interface Test {
  teardown (end: () => unknown): void
}

/** Workers of one application in this thread; nobody hears a bell, so they find everything by looking. */
function application (t: Test) {
  const world = new World()
  const runs: Array<JobInfo & { by: number }> = []
  let workers = 0
  const memoryOf = (role: Role, generation = 1) => {
    const memory = withDoorbell(world.region, claimSlot(world.region, role, workers++, generation), noWire)
    setSlotState(world.region, memory.slot.index, 'ready')
    return memory
  }
  memoryOf('primary')
  return {
    world,
    runs,
    /** Whose handlers note that they run. */
    worker (role: Role, { generation = 1, isReady = true } = {}) {
      const memory = memoryOf(role, generation)
      const workerId = workers - 1
      const scheduler = new JobScheduler(memory, { isEnabled: true, maxJobs: MAX_JOBS, workerId, failed: (_job, error) => { throw error } })
      t.teardown(() => scheduler.stop(0))
      if (isReady) setTimeout(() => scheduler.start())
      return { memory, scheduler, workerId, fn: (info: JobInfo) => { runs.push({ ...info, by: workerId }) } }
    },
    /** A worker that does nothing by itself: it is stuck from its first breath. */
    stuckWorker (role: Role) {
      const memory = memoryOf(role)
      return { memory, table: new JobTable(memory, MAX_JOBS) }
    },
    async ownerOf (name: string, { scheduler }: { scheduler: JobScheduler }) {
      return (await scheduler.inspect()).find((report) => report.name === name)?.owner
    }
  }
}

const hourly = (nowMs: number) => ({ kind: 'interval' as const, definition: 'every 3600000 ms', anchorMs: nowMs, nextMs: nowMs + 3_600_000, waitingMs: 0 })

t.test('of many workers that schedule a job one runs it, each tick once', async t => {
  const { worker, runs } = application(t)
  for (let n = 0; n < 5; n++) {
    const { scheduler, fn } = worker('http')
    scheduler.schedule('x', fn, { interval: 20, immediate: true })
  }
  await eventually('ten runs', () => runs.length >= 10)
  t.equal(new Set(runs.map(({ by }) => by)).size, 1)
  t.equal(new Set(runs.map(({ scheduledFor }) => scheduledFor.getTime())).size, runs.length)
})

t.test('a job of scope worker runs in each', async t => {
  const { worker, runs } = application(t)
  const all = [worker('http'), worker('task'), worker('http')]
  for (const { scheduler, fn } of all) scheduler.schedule('x', fn, { interval: 20, scope: 'worker' })
  await eventually('all have run it', () => new Set(runs.map(({ by }) => by)).size === 3)
  t.match(await all[1]!.scheduler.inspect(), [{ name: 'x', scope: 'worker', owner: all[1]!.workerId }])
})

t.test('immediate and once: at the start of many workers they run once, and not again in one that comes later', async t => {
  const { worker, runs } = application(t)
  const load = () => {
    const { scheduler, fn } = worker('http')
    scheduler.schedule('periodic', fn, { interval: '1h', immediate: true })
    scheduler.scheduleOnce('once', fn, { delay: 10 })
    return scheduler
  }
  const [first] = [load(), load(), load()]
  await eventually('both have run', () => runs.length === 2)
  const late = load()
  await sleep(700)
  t.strictSame(runs.map(({ name }) => name).sort(), ['once', 'periodic'])
  t.strictSame(late.getScheduledTasks(), ['periodic'])
  t.strictSame(first!.getScheduledTasks(), ['periodic'])
})

t.test('a task worker takes jobs over from an HTTP worker, and not the other way', async t => {
  const { worker, runs, ownerOf } = application(t)
  const http = worker('http')
  http.scheduler.schedule('x', http.fn, { interval: 20 })
  await eventually('it runs', () => runs.length > 2)
  const task = worker('task')
  task.scheduler.schedule('x', task.fn, { interval: 20 })
  await eventually('the task worker runs it', () => runs.some(({ by }) => by === task.workerId))
  await sleep(700)
  t.equal(await ownerOf('x', http), task.workerId)
  t.equal(new Set(runs.map(({ scheduledFor }) => scheduledFor.getTime())).size, runs.length)
})

t.test('a job that no task worker knows is run by the HTTP worker that does', async t => {
  const { worker, runs, stuckWorker, ownerOf } = application(t)
  const owner = stuckWorker('http')
  worker('task')
  const http = worker('http')
  const ref = owner.table.join('x', hourly(Date.now()))
  t.equal(owner.table.take(ref, owner.table.state(ref)!), true)
  http.scheduler.schedule('x', http.fn, { interval: '1h' })
  http.memory.recover(owner.memory.slot)
  await eventually('it is the owner', async () => await ownerOf('x', http) === http.workerId)
  http.scheduler.scheduleOnce('y', http.fn, { delay: 0 })
  await eventually('what it alone has scheduled runs', () => runs.length === 1)
})

t.test('when an owner is stuck another worker runs its ticks, of its own kind or a task worker', async t => {
  const { worker, runs, stuckWorker } = application(t)
  const stuck = stuckWorker('task')
  const ref = stuck.table.begin('x', { kind: 'interval', definition: 'every 100 ms', anchorMs: Date.now(), nextMs: Date.now() + 100, waitingMs: 0 })
  const http = worker('http')
  http.scheduler.schedule('x', http.fn, { interval: 100 })
  await sleep(1500)
  t.equal(runs.length, 0, 'an HTTP worker leaves it to task workers while there is one')
  const task = worker('task')
  task.scheduler.schedule('x', task.fn, { interval: 100 })
  await eventually('it runs', () => runs.length > 1)
  t.equal(runs[0]!.by, task.workerId)
  t.equal(stuck.table.claim(ref, { nextMs: runs[0]!.scheduledFor.getTime(), tickMs: 0, followingMs: 0, skipped: 0, isWanted: true, overlap: 'skip' }), undefined, 'one that wakes up late claims nothing')
})

t.test('an owner whose ticks are others than a worker knows keeps the job, also when it is late', async t => {
  const { worker, runs, stuckWorker } = application(t)
  const stuck = stuckWorker('http')
  stuck.table.begin('x', { kind: 'interval', definition: 'every 100 ms', anchorMs: Date.now(), nextMs: Date.now() + 100, waitingMs: 0 })
  for (const role of ['http', 'task'] as const) {
    const { scheduler, fn } = worker(role)
    scheduler.schedule('x', fn, { interval: 200 })
  }
  await sleep(1500)
  t.equal(runs.length, 0)
})

t.test('a run whose worker has died holds up no tick', async t => {
  const { worker, runs, stuckWorker, world } = application(t)
  const dying = stuckWorker('http')
  const nowMs = Date.now()
  const ref = dying.table.begin('x', { kind: 'interval', definition: 'every 50 ms', anchorMs: nowMs, nextMs: nowMs, waitingMs: 0 })
  t.ok(dying.table.claim(ref, { nextMs: nowMs, tickMs: nowMs, followingMs: nowMs + 50, skipped: 0, isWanted: true, overlap: 'skip' }), 'it runs')
  setSlotState(world.region, dying.memory.slot.index, 'draining')
  const other = worker('http')
  other.scheduler.schedule('x', other.fn, { interval: 50 })
  await eventually('ticks are skipped', async () => (await other.scheduler.inspect())[0]!.skipped > 2)
  t.equal(runs.length, 0)
  other.memory.recover(dying.memory.slot)
  await eventually('it runs', () => runs.length > 1)
})

t.test('a worker that is told to drain gives its jobs up before it hears of it', async t => {
  const { worker, runs, world, ownerOf } = application(t)
  const one = worker('http')
  one.scheduler.schedule('x', one.fn, { interval: 50 })
  await eventually('it runs', () => runs.length > 1)
  setSlotState(world.region, one.memory.slot.index, 'draining')
  const before = runs.length
  await sleep(300)
  t.equal(runs.length, before)
  const other = worker('http')
  other.scheduler.schedule('x', other.fn, { interval: 50 })
  await eventually('the other runs it', async () => await ownerOf('x', one) === other.workerId)
})

t.test('new code waits for the old to go; then its jobs are those of the application', async t => {
  const { worker, runs, world } = application(t)
  const old = worker('http')
  old.scheduler.schedule('same', old.fn, { interval: 50 })
  old.scheduler.schedule('changed', old.fn, { interval: 50 })
  old.scheduler.schedule('removed', old.fn, { interval: 50 })
  await eventually('all run', () => new Set(runs.map(({ name }) => name)).size === 3)
  const next = worker('task', { generation: 2 })
  next.scheduler.schedule('same', next.fn, { interval: 50 })
  next.scheduler.schedule('changed', next.fn, { interval: 70 })
  next.scheduler.schedule('added', next.fn, { interval: 50, immediate: true })
  await sleep(700)
  t.strictSame(runs.filter(({ by }) => by === next.workerId), [], 'also when a reload fails it has run nothing')
  const grid = runs.find(({ name }) => name === 'same')!.scheduledFor.getTime()

  setSlotState(world.region, old.memory.slot.index, 'draining')
  runs.length = 0
  await eventually('the new ones run', () => new Set(runs.map(({ name }) => name)).size === 3 && runs.filter(({ name }) => name === 'changed').length > 2)
  t.strictSame([...new Set(runs.map(({ name }) => name))].sort(), ['added', 'changed', 'same'])
  t.strictSame([...new Set(runs.map(({ by }) => by))], [next.workerId])
  t.equal((runs.find(({ name }) => name === 'same')!.scheduledFor.getTime() - grid) % 50, 0, 'the grid of the same job goes on')
  const [first, second] = runs.filter(({ name }) => name === 'changed')
  t.equal((second!.scheduledFor.getTime() - first!.scheduledFor.getTime()) % 70, 0)
})

t.test('unschedule takes a job from all workers, and from those of the same code that come later; newer code has it again', async t => {
  const { worker, runs, world } = application(t)
  const load = (generation: number) => {
    const one = worker('http', { generation })
    one.scheduler.schedule('x', one.fn, { interval: 30 })
    return one
  }
  const old = [load(1), load(1)]
  await eventually('it runs', () => runs.length > 1)
  const other = old.find(({ workerId }) => workerId !== runs[0]!.by)!
  t.equal(other.scheduler.unschedule('x'), true)
  runs.length = 0
  const replacement = load(1)
  await sleep(700)
  t.equal(runs.length, 0)
  t.strictSame(replacement.scheduler.getScheduledTasks(), [])
  t.equal(replacement.scheduler.unschedule('x'), false)

  const next = load(2)
  for (const { memory } of [...old, replacement]) setSlotState(world.region, memory.slot.index, 'draining')
  const since = Date.now()
  await eventually('it runs', () => runs.length > 0)
  t.equal(runs[0]!.by, next.workerId)
  t.ok(runs[0]!.scheduledFor.getTime() >= since, 'what has passed meanwhile was not missed')
})

t.test('scheduled again after it was unscheduled, it runs', async t => {
  const { worker, runs } = application(t)
  const [one, other] = [worker('http'), worker('http')]
  one.scheduler.schedule('x', one.fn, { interval: 30 })
  other.scheduler.schedule('x', other.fn, { interval: 30 })
  await eventually('it runs', () => runs.length > 0)
  one.scheduler.unschedule('x')
  other.scheduler.schedule('x', other.fn, { interval: 40 })
  runs.length = 0
  await eventually('it runs', () => runs.length > 2)
  t.strictSame([...new Set(runs.map(({ by }) => by))], [other.workerId])
})

t.test('a job that a worker has replaced is again what all have loaded when that worker goes', async t => {
  const { worker, runs, world } = application(t)
  const [one, other] = [worker('http'), worker('http')]
  for (const { scheduler, fn } of [one, other]) scheduler.schedule('x', fn, { interval: 40 })
  await eventually('it runs', () => runs.length > 0)
  one.scheduler.schedule('x', one.fn, { interval: '1h' })
  runs.length = 0
  await sleep(700)
  t.equal(runs.length, 0)
  setSlotState(world.region, one.memory.slot.index, 'draining')
  await eventually('it runs', () => runs.length > 1)
  t.equal(runs[0]!.by, other.workerId)
})

t.test('of the ticks that nobody could run, missed: once runs the last and missed: skip none', async t => {
  const { worker, runs } = application(t)
  t.teardown(() => { setByMs = 0 })
  const { scheduler, fn } = worker('http')
  scheduler.schedule('once', fn, { interval: '1h' })
  scheduler.schedule('skip', fn, { interval: '1h', missed: 'skip' })
  scheduler.schedule('cron', fn, { cron: '0 * * * *', timezone: 'UTC' })
  scheduler.scheduleOnce('late', fn, { delay: '1h' })
  const anchorMs = (await scheduler.inspect()).find(({ name }) => name === 'once')!.nextRun!.getTime() - 3_600_000
  await eventually('it has begun', async () => (await scheduler.inspect()).every(({ owner }) => owner !== null))
  setByMs = 3.5 * 3_600_000
  await eventually('what was missed is run', () => runs.length >= 3)
  await eventually('what was not to be run is counted', async () => (await scheduler.inspect()).find(({ name }) => name === 'skip')!.skipped === 3)
  const at = (name: string) => runs.filter((run) => run.name === name).map(({ scheduledFor }) => scheduledFor.getTime())
  t.strictSame(at('once'), [anchorMs + 3 * 3_600_000])
  t.strictSame(at('skip'), [])
  t.strictSame(at('cron'), [Math.floor(Date.now() / 3_600_000) * 3_600_000])
  t.equal(at('late').length, 1)
  const reports = await scheduler.inspect()
  t.equal(reports.find(({ name }) => name === 'once')!.skipped, 2)
  t.ok(reports.find(({ name }) => name === 'skip')!.nextRun!.getTime() > Date.now())
})

t.test('a clock that is put back repeats no tick, and stops no interval', async t => {
  const { worker, runs } = application(t)
  t.teardown(() => { setByMs = 0 })
  const { scheduler, fn } = worker('http')
  scheduler.schedule('interval', fn, { interval: 50 })
  scheduler.schedule('cron', fn, { cron: '* * * * * *' })
  scheduler.scheduleOnce('once', fn, { delay: 600 })
  const of = (name: string) => runs.filter((run) => run.name === name)
  await eventually('both run', () => of('cron').length > 0 && of('interval').length > 0)
  const cronBefore = of('cron').length
  const intervalBefore = of('interval').length
  setByMs = -3_600_000
  await eventually('the interval goes on', () => of('interval').length > intervalBefore + 20)
  await eventually('what was to run once has run', () => of('once').length === 1)
  t.ok(of('cron').length - cronBefore <= 1, 'the cron expression waits until the clock has caught up')
  t.strictSame(of('cron').map(({ scheduledFor }) => scheduledFor.getTime()), [...new Set(of('cron').map(({ scheduledFor }) => scheduledFor.getTime()))])

  setByMs = -2 * 86_400_000
  const before = of('cron').length
  await eventually('after a clock that was days ahead it begins anew', () => of('cron').length > before)
})
