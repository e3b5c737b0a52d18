import { spawn, spawnSync } from 'node:child_process'
import t from 'tap'
import { Slot } from '../../plugins/shared-memory/layout.ts'
import { slotWord } from '../../plugins/shared-memory/index.ts'
import { World, holder } from './world.ts'

const WORD = holder(0)

t.test('who comes after a death inside is told so, and only the first', async t => {
  const world = new World()
  const [one, two, three] = [world.worker(), world.worker(), world.worker()]
  t.equal(one.guard.enter(WORD), false)
  two.recover(one.slot)
  t.equal(two.guard.enter(WORD), true)
  two.guard.leave(WORD)
  t.equal(three.guard.enter(WORD), false)
  three.guard.leaveSeen(WORD)
  t.equal(three.guard.enter(WORD), false)
})

t.test('a worker that failed inside by an exception finds its own tag, and repairs', async t => {
  const worker = new World().worker()
  worker.guard.enter(WORD)
  t.equal(worker.guard.enter(WORD), true)
})

t.test('a holder whose process is gone is found dead when nobody is left to say so', async t => {
  const world = new World()
  const [one, two] = [world.worker(), world.worker()]
  world.region.i32[slotWord(one.slot.index, Slot.PID)] = spawnSync(process.execPath, ['--version']).pid
  one.guard.enter(WORD)
  t.equal(two.guard.enter(WORD), true)
})

t.test('a holder that this very process has killed and not heard of yet is found dead', { skip: process.platform !== 'linux' && 'only Linux tells' }, async t => {
  const world = new World()
  const [one, two] = [world.worker(), world.worker()]
  const child = spawn('sleep', ['30'])
  world.region.i32[slotWord(one.slot.index, Slot.PID)] = child.pid!
  one.guard.enter(WORD)
  child.kill('SIGKILL')
  t.equal(two.guard.enter(WORD), true)
})

t.test('what a worker failed inside of it gives up, and nothing else', async t => {
  const world = new World()
  const [one, two, three] = [world.worker(), world.worker(), world.worker()]
  const [outer, inner, other] = [holder(0), holder(1), holder(2)]
  one.guard.abandon()
  one.guard.enter(outer)
  one.guard.enter(inner)
  three.guard.enter(other)
  one.guard.abandon()
  t.equal(two.guard.enter(inner), true)
  t.equal(two.guard.enter(outer), true)
  two.guard.leave(outer)
  t.equal(one.guard.enter(outer), false)
  one.guard.leave(outer)
  one.guard.abandon()
  two.guard.leaveSeen(inner)
  t.equal(world.region.i32[other], three.slot.tag)
  t.equal(three.guard.enter(inner), false)
})

t.test('so it does with what an exception has passed on the way to a guard around it that was left', async t => {
  const world = new World()
  const [one, two] = [world.worker(), world.worker()]
  const [outer, inner, other, more] = [holder(0), holder(1), holder(2), holder(3)]
  const failInside = (around: number, word: number) => {
    one.guard.enter(around)
    try {
      one.guard.enter(word)
      throw new RangeError('a full stack')
    } catch {
      // It goes on.
    } finally {
      one.guard.leave(around)
    }
  }
  failInside(outer, inner)
  failInside(outer, other)
  one.guard.enter(more)
  one.guard.leaveSeen(more)
  one.guard.abandon()
  t.strictSame([outer, more].map((word) => two.guard.enter(word)), [false, false])
  t.strictSame([inner, other].map((word) => two.guard.enter(word)), [true, true])
})

t.test('guards that are not left in the order in which they were entered are left', async t => {
  const world = new World()
  const [one, two] = [world.worker(), world.worker()]
  const words = [holder(0), holder(1), holder(2)]
  for (const word of words) one.guard.enter(word)
  for (const word of words) one.guard.leave(word)
  t.strictSame(words.map((word) => two.guard.enter(word)), [false, false, false])
  one.guard.enter(holder(3))
  one.guard.abandon()
  t.strictSame(words.map((word) => world.region.i32[word]), words.map(() => two.slot.tag))
  t.equal(two.guard.enter(holder(3)), true)
})

t.test('a worker whose stack is full inside, and that goes on, stops nobody', async t => {
  const world = new World()
  const [one, two] = [world.worker(), world.worker()]
  let deepest = 0
  const fill = (depth: number): number => {
    deepest = depth
    one.guard.enter(WORD)
    const deeper = fill(depth + 1)
    one.guard.leave(WORD)
    return deeper
  }
  t.throws(() => fill(0), RangeError)
  t.ok(deepest > 100)
  one.guard.abandon()
  t.equal(two.guard.enter(WORD), true)
  two.guard.leave(WORD)
  t.equal(one.guard.enter(WORD), false)
})
