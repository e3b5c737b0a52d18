import t from 'tap'
import { JobTable } from '../../plugins/scheduler/memory.ts'
import type { Beginning, Claim } from '../../plugins/scheduler/memory.ts'
import { diesAtWrite, everyPlace } from '../shared-memory/crashing.ts'
import { World } from '../shared-memory/world.ts'

const beginning = (nextMs: number, waitingMs = 0): Beginning => ({ kind: 'interval', definition: 'every 10 ms', anchorMs: 0, nextMs, waitingMs })
const claim = (nextMs: number): Claim => ({ nextMs, tickMs: nextMs, followingMs: nextMs + 10, skipped: 0, isWanted: true, overlap: 'queue' })

/** A worker that dies at its `n`th write to the memory, and one that lives on; both know the job "x". */
function scene () {
  const world = new World().trace()
  const [dying, living] = [world.worker(), world.worker()].map((memory) => ({ memory, table: new JobTable(memory, 3) }))
  return { dying: dying!, living: living! }
}

t.test('a worker that dies anywhere in a claim has the tick or has it not: nobody runs it a second time, and the next one runs', async t => {
  const places = everyPlace((n) => {
    const { dying, living } = scene()
    const ref = dying.table.begin('x', beginning(10))
    let start: unknown
    const isDead = diesAtWrite(n, () => { start = dying.table.claim(ref, claim(10)) })
    living.memory.recover(dying.memory.slot)
    t.equal(living.table.take(ref, living.table.state(ref)!), true)
    const { nextMs, isRunning } = living.table.state(ref)!
    t.equal(isRunning, false)
    if (start !== undefined) t.equal(nextMs, 20)
    t.ok(living.table.claim(ref, claim(nextMs)), 'the first that is not claimed runs')
    t.equal(living.table.claim(ref, claim(nextMs)), undefined)
    return isDead
  })
  t.ok(places > 5, `${places} places`)
})

t.test('a worker that dies anywhere while it ends a run, or takes what waits, holds up nothing', async t => {
  everyPlace((n) => {
    const { dying, living } = scene()
    const ref = dying.table.begin('x', beginning(10, 5))
    const isDead = diesAtWrite(n, () => {
      const { run } = dying.table.startWaiting(ref)!
      dying.table.claim(ref, claim(10))
      dying.table.finish(ref, run, 1, 'it failed')
      dying.table.startWaiting(ref)
    })
    living.memory.recover(dying.memory.slot)
    t.equal(living.table.take(ref, living.table.state(ref)!), true)
    const { nextMs, isRunning, waitingMs } = living.table.state(ref)!
    t.equal(isRunning, false)
    t.ok([0, 5, 10].includes(waitingMs))
    t.equal(living.table.startWaiting(ref) !== undefined, waitingMs !== 0)
    const state = living.table.row(ref)!
    t.ok(['it failed', null].includes(state.lastError))
    t.equal(nextMs, state.nextMs)
    return isDead
  })
})

t.test('a worker that dies anywhere while it makes a job leaves a whole one or none, and room', async t => {
  everyPlace((n) => {
    const { dying, living } = scene()
    living.table.begin('y', beginning(10))
    const isDead = diesAtWrite(n, () => dying.table.begin('x', beginning(10)))
    living.memory.recover(dying.memory.slot)
    const ref = living.table.begin('x', beginning(30))
    t.equal(living.table.row(ref)!.name, 'x')
    t.equal(living.table.state(ref)!.nextMs, 30)
    living.table.begin('z', beginning(10))
    t.strictSame(living.table.owned().map(({ name }) => name).sort(), ['x', 'y', 'z'])
    t.throws(() => living.table.begin('w', beginning(10)), { code: 'FST_SWOOLE_SCHEDULE_FULL' })
    return isDead
  })
})

t.test('a worker that dies anywhere while it unschedules a job leaves it as it was or stopped', async t => {
  everyPlace((n) => {
    const { dying, living } = scene()
    const ref = living.table.join('x', beginning(10))
    living.table.take(ref, living.table.state(ref)!)
    const isDead = diesAtWrite(n, () => dying.table.stop('x'))
    living.memory.recover(dying.memory.slot)
    const state = living.table.state(ref)!
    t.equal(living.table.stop('x'), !living.table.isStopped(state))
    t.strictSame(living.table.owned().filter((row) => living.table.isActive(row)), [])
    return isDead
  })
})
