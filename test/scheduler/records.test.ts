import t from 'tap'
import { JobTable } from '../../plugins/scheduler/memory.ts'
import type { Beginning, Claim } from '../../plugins/scheduler/memory.ts'
import { noWire } from '../../plugins/shared-memory/doorbell.ts'
import { withDoorbell } from '../../plugins/shared-memory/shared-memory.ts'
import { claimSlot } from '../../plugins/shared-memory/slots.ts'
import { World } from '../shared-memory/world.ts'

const beginning = (nextMs: number, definition = 'every 10 ms'): Beginning => ({ kind: 'interval', definition, anchorMs: 0, nextMs, waitingMs: 0 })
const claim = (nextMs: number): Claim => ({ nextMs, tickMs: nextMs, followingMs: nextMs + 10, skipped: 0, isWanted: true, overlap: 'skip' })

function workers (...generations: number[]) {
  const world = new World()
  return generations.map((generation, n) => {
    const memory = withDoorbell(world.region, claimSlot(world.region, n === 0 ? 'primary' : 'http', n, generation), noWire)
    return new JobTable(memory, 3)
  })
}

t.test('only the owner claims, and each tick once, even if two of one process believe to be the owner', async t => {
  const [, one, other] = workers(1, 1, 1)
  const same = new JobTable(one!.memory, 3)
  const ref = one!.begin('x', beginning(10))
  t.equal(other!.claim(ref, claim(10)), undefined)
  const { run, scheduledForMs } = one!.claim(ref, claim(10))!
  t.equal(scheduledForMs, 10)
  one!.finish(ref, run, 0)
  t.equal(same.claim(ref, claim(10)), undefined)
  t.equal(one!.state(ref)!.nextMs, 20)
})

t.test('a job that has changed hands or was unscheduled since one looked is not taken', async t => {
  const [, one, other] = workers(1, 1, 1)
  const ref = one!.join('x', beginning(10))
  const seen = one!.state(ref)!
  t.equal(other!.take(ref, seen), true)
  t.equal(one!.take(ref, seen), false)
  other!.release(ref)
  other!.stop('x')
  t.equal(one!.take(ref, seen), false, 'unscheduled')
})

t.test('the number of a run tells its end from that of another', async t => {
  const [, one] = workers(1, 1)
  const ref = one!.begin('x', beginning(10))
  const { run } = one!.claim(ref, claim(10))!
  one!.finish(ref, run + 1, 5, 'of another')
  t.match(one!.row(ref), { isRunning: true, failures: 0, lastError: null })
  one!.finish(ref, run, 5, '')
  t.match(one!.row(ref), { isRunning: false, failures: 1, lastError: 'Error', lastDurationMs: 5 })
})

t.test('when there is no other room, jobs of older code that nobody has make room; who still knew one finds its record gone', async t => {
  const [, old, next] = workers(1, 1, 2)
  const refs = ['a', 'b', 'c'].map((name) => old!.join(name, beginning(10)))
  old!.take(refs[0]!, old!.state(refs[0]!)!)
  t.throws(() => old!.join('d', beginning(10)), { code: 'FST_SWOOLE_SCHEDULE_FULL' }, 'of this code they may be asked for again')
  next!.join('c', beginning(10))
  const ref = next!.join('d', beginning(10))
  t.equal(next!.row(ref)!.name, 'd')
  t.strictSame(refs.map((ref) => old!.state(ref) !== undefined), [true, false, true])
  t.throws(() => next!.join('e', beginning(10)), { code: 'FST_SWOOLE_SCHEDULE_FULL' }, 'the others are owned, or loaded by the newest code')
})

t.test('names are told apart by all their bytes, and an error is cut between characters', async t => {
  const [, one] = workers(1, 1)
  const names = ['é'.repeat(64), 'é'.repeat(63) + 'ab', 'x']
  for (const name of names) one!.begin(name, beginning(10))
  t.strictSame(one!.owned().map(({ name }) => name), names)
  const ref = one!.join('x', beginning(10))
  const { run } = one!.claim(ref, claim(10))!
  one!.finish(ref, run, 1, 'x' + '€'.repeat(100))
  t.equal(one!.row(ref)!.lastError, 'x' + '€'.repeat(79))
})
