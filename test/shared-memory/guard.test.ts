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
