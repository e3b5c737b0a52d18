import t from 'tap'
import { EPOCH_LIMIT, SLOTS, SLOT_WORDS, Slot } from '../../plugins/shared-memory/layout.ts'
import { claimSlot, freeSlot, isAlive, readSlots, setSlotState, slotDouble, slotOf, slotWord, slotsUsed } from '../../plugins/shared-memory/slots.ts'
import { diesAtWrite, everyPlace } from './crashing.ts'
import { World } from './world.ts'

t.test('a slot that is taken again has another tag, and nothing of the life before', async t => {
  const { region } = new World()
  const first = claimSlot(region, 'http', 3, 1)
  for (let field = Slot.BELL; field < SLOT_WORDS; field++) region.i32[slotWord(first.index, field)] = 99
  t.ok(isAlive(region, first.tag))
  freeSlot(region, first)
  t.notOk(isAlive(region, first.tag))
  const second = claimSlot(region, 'task', 4, 2)
  t.equal(second.index, first.index)
  t.not(second.tag, first.tag)
  t.equal(slotOf(second.tag), second.index)
  t.ok(isAlive(region, second.tag))
  t.notOk(isAlive(region, first.tag))
  for (let field = Slot.RSS; field < SLOT_WORDS; field++) t.equal(region.i32[slotWord(second.index, field)], 0)
  t.equal(region.i32[slotWord(second.index, Slot.BELL)], 0)
})

t.test('who is late to free a slot does not free the next worker\'s', async t => {
  const { region } = new World()
  const first = claimSlot(region, 'http', 0, 1)
  freeSlot(region, first)
  const second = claimSlot(region, 'http', 0, 1)
  freeSlot(region, first)
  t.ok(isAlive(region, second.tag))
  freeSlot(region, second)
  setSlotState(region, second.index, 'ready')
  t.notOk(isAlive(region, second.tag), 'and a free slot does not come to life by a state')
})

t.test('the epoch wraps: a tag always fits, and is never that of an older life of late', async t => {
  const { region } = new World()
  let slot = claimSlot(region, 'http', 0, 1)
  const tags = new Set<number>()
  region.i32[slotWord(slot.index, Slot.LIFE)] = (EPOCH_LIMIT - 3) << 2
  for (let n = 0; n < 6; n++) {
    slot = claimSlot(region, 'http', 0, 1)
    t.ok(slot.tag >= 1024 && slot.tag < 2 ** 30, `tag ${slot.tag}`)
    t.ok(isAlive(region, slot.tag))
    tags.add(slot.tag)
    freeSlot(region, slot)
  }
  t.equal(tags.size, 6)
})

t.test('when all slots are taken there is an error, and one that is freed can be had', async t => {
  const { region } = new World()
  const slots = Array.from({ length: SLOTS }, (_, n) => claimSlot(region, 'http', n, 1))
  t.equal(new Set(slots.map(({ tag }) => tag)).size, SLOTS)
  t.throws(() => claimSlot(region, 'http', 0, 1), { code: 'FST_SWOOLE_SLOTS_FULL', message: /^All 1024 worker slots/ })
  freeSlot(region, slots[500]!)
  t.equal(claimSlot(region, 'http', 0, 1).index, 500)
  t.equal(slotsUsed(region), SLOTS)
})

t.test('readSlots shows the live workers as they described themselves', async t => {
  const { region } = new World()
  claimSlot(region, 'primary', 0, 1)
  const gone = claimSlot(region, 'http', 0, 1)
  const slot = claimSlot(region, 'task', 7, 3)
  freeSlot(region, gone)
  region.i32[slotWord(slot.index, Slot.PID)] = 4711
  region.f64[slotDouble(slot.index, Slot.RSS)] = 2 ** 40
  region.f64[slotDouble(slot.index, Slot.REQUESTS)] = 5e9
  setSlotState(region, slot.index, 'draining')
  const [primary, task, ...others] = readSlots(region)
  t.same(others, [])
  t.match(primary, { role: 'primary', state: 'starting' })
  t.match(task, { ...slot, id: 7, role: 'task', pid: 4711, generation: 3, state: 'draining', requests: 5e9, rss: 2 ** 40 })
  t.ok(isAlive(region, task!.tag))
  t.ok(Math.abs(task!.startedAt.getTime() - Date.now()) < 60_000)
})

t.test('a launcher that dies while it claims a slot leaves it free, or visible', async t => {
  everyPlace((n) => {
    const { region } = new World()
    const isDead = diesAtWrite(n, () => claimSlot(region, 'http', 0, 1))
    const seen = readSlots(region)
    const next = claimSlot(region, 'http', 0, 1)
    t.equal(next.index, seen.length, `write ${n}`)
    return isDead
  })
})
