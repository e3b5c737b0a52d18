import t from 'tap'
import { circleOf } from '../../plugins/lock/circle.ts'
import type { Wait } from '../../plugins/lock/circle.ts'
import { READ } from '../../plugins/lock/layout.ts'

let clock = 0
const LOCKS = { a: 64, b: 128, c: 192, d: 256 }
type Name = keyof typeof LOCKS

/** Waits for `name`, holding permit 0 of each of `held` or what is said. */
function waits (name: Name, held: Array<Name | [Name, number]>, given: Partial<Wait> = {}): Wait {
  const since = ++clock
  const isExclusive = given.isExclusive ?? true
  return { tag: 1024 + since, serial: since, since, lock: LOCKS[name], permits: 1, head: since << 1 | Number(!isExclusive), isExclusive, held: held.map((one) => typeof one === 'string' ? { lock: LOCKS[one], unit: 0 } : { lock: LOCKS[one[0]], unit: one[1] }), ...given }
}

t.test('the circle is the shortest way back, and its youngest is the last that came', async t => {
  const [one, two, three] = [waits('b', ['a']), waits('c', ['b']), waits('a', ['c'])]
  for (const wait of [one, two, three]) {
    const circle = circleOf(wait, [one, two, three])!
    t.equal(circle.steps.length, 3)
    t.equal(circle.steps[0]!.from, wait)
    t.equal(circle.youngest, three)
  }
})

t.test('who waits for a circle is not in it', async t => {
  const [one, two, outside] = [waits('b', ['a']), waits('a', ['b']), waits('a', ['d'])]
  t.equal(circleOf(outside, [one, two, outside]), undefined)
  t.equal(circleOf(one, [one, two, outside])!.youngest, two)
})

t.test('two circles that share one wait: all of both are caught, and the youngest of all is refused', async t => {
  const shared = waits('b', ['a', 'c'])
  const [left, right] = [waits('a', ['b']), waits('c', [['b', READ]])]
  t.equal(circleOf(shared, [shared, left, right])!.youngest, right)
})

t.test('of two that came at once, the larger tag and then the larger serial is the younger', async t => {
  const [one, two] = [waits('b', ['a'], { since: 5, tag: 2000, serial: 9 }), waits('a', ['b'], { since: 5, tag: 2000, serial: 10 })]
  t.equal(circleOf(one, [one, two])!.youngest, two)
  t.equal(circleOf(one, [one, { ...two, tag: 1999 }])!.youngest, one)
})

t.test('a semaphore blocks when all its permits are held by those that wait, each counted once', async t => {
  const sibling = waits('b', [['a', 0]])
  const other = waits('b', [['a', 0]])
  const holder = waits('a', [['b', 0]], { permits: 2 })
  t.equal(circleOf(holder, [sibling, other, holder]), undefined, 'both hold the same permit, and another may be free')
  const second = waits('b', [['a', 1]])
  t.ok(circleOf(holder, [sibling, second, holder]))
})

t.test('a writer is blocked by one reader, a reader by a writer that holds it or is before it in line', async t => {
  const reader = waits('b', [['a', READ]])
  t.ok(circleOf(reader, [reader, waits('a', ['b'])]))
  const reads = waits('a', ['b'], { isExclusive: false })
  t.equal(circleOf(reader, [reader, reads]), undefined, 'readers do not hold up readers')
  const writer = waits('a', [])
  const behind = waits('a', ['b'], { isExclusive: false })
  t.ok(circleOf(behind, [reader, writer, behind]))
  const late = { ...writer, since: Infinity }
  t.equal(circleOf(behind, [reader, late, behind])!.youngest, behind, 'a writer that holds nothing is not the one to refuse')
  t.equal(circleOf(reads, [reader, writer, reads]), undefined, 'this one came before the writer')
})

t.test('tickets go round: the one before the turn is the earlier', async t => {
  const reader = waits('b', [['a', READ]])
  const writer = waits('a', [], { head: (2 ** 31 - 1) << 1 })
  const behind = waits('a', ['b'], { isExclusive: false, head: 1 << 1 | 1 })
  t.ok(circleOf(behind, [reader, writer, behind]))
})
