import t from 'tap'
import { circlesOf } from '../../plugins/lock/circle.ts'
import type { Wait } from '../../plugins/lock/circle.ts'
import { random } from '../shared-memory/random.ts'
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

/** The circle that a wait is in. */
const circleOf = (wait: Wait, waits: Wait[]) => circlesOf(waits).find((circle) => circle.waits.includes(wait))

t.test('the circle is the shortest way back, and its youngest is the last that came', async t => {
  const [one, two, three] = [waits('b', ['a']), waits('c', ['b']), waits('a', ['c'])]
  for (const wait of [one, two, three]) {
    const circle = circleOf(wait, [one, two, three])!
    t.equal(circle.steps.length, 3)
    t.same(circle.steps.map(({ from }) => from), [three, one, two])
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

t.test('circles beside each other are found all at once, each with its own youngest', async t => {
  const [one, two] = [waits('b', ['a']), waits('a', ['b'])]
  const [other, last] = [waits('d', ['c']), waits('c', ['d'])]
  t.same(circlesOf([one, other, two, last]).map(({ youngest }) => youngest), [two, last])
})

t.test('a circle that may end when another one is broken is left alone until then', async t => {
  const [one, two] = [waits('b', ['a', ['c', 0]]), waits('a', ['b'])]
  const own = waits('c', [['c', 1]], { permits: 2 })
  t.same(circlesOf([one, two, own]).map(({ youngest }) => youngest), [two])
  t.ok(circleOf(own, [own, waits('c', [['c', 0]], { permits: 2 })]), 'here nobody else can end it')
})

t.test('a circle of one is a way of one step', async t => {
  const own = waits('a', ['a'])
  t.same(circlesOf([own]), [{ waits: [own], youngest: own, steps: [{ from: own, to: own, why: 'holds' }] }])
})

/** What a circle is, spelled out: who is left when all that could go on are taken away, step by step. */
function stuckByDefinition (all: Wait[]): Wait[] {
  const isBlocked = (wait: Wait, others: Wait[]) => {
    const held = others.flatMap(({ held }) => held).filter(({ lock }) => lock === wait.lock)
    return new Set(held.filter(({ unit }) => unit !== READ).map(({ unit }) => unit)).size >= wait.permits ||
      (wait.isExclusive && held.some(({ unit }) => unit === READ)) ||
      (!wait.isExclusive && others.some((other) => other.isExclusive && other.lock === wait.lock && other.head < wait.head))
  }
  const left = all.filter((wait) => isBlocked(wait, all))
  return left.length === all.length ? left : stuckByDefinition(left)
}

t.test('of random waits, a circle is found exactly when some of them can never go on, and each circle leads round', async t => {
  const below = random(1)
  let found = 0
  for (let n = 0; n < 20_000; n++) {
    const names = Object.keys(LOCKS) as Name[]
    const all = Array.from({ length: below(7) }, () => {
      const name = names[below(4)]!
      // "c" has two permits, "d" has readers.
      const held = names.flatMap((name): Array<[Name, number]> => below(3) > 0 ? [] : [[name, name === 'c' ? below(2) : name === 'd' && below(2) === 0 ? READ : 0]])
      return waits(name, held, { permits: name === 'c' ? 2 : 1, isExclusive: name !== 'd' || below(2) === 0 })
    })
    const stuck = stuckByDefinition(all)
    const circles = circlesOf(all)
    found += circles.length
    if ((stuck.length > 0) !== (circles.length > 0)) t.fail(`${n}: ${stuck.length} are stuck, ${circles.length} circles`)
    for (const { waits, youngest, steps } of circles) {
      if (!waits.every((wait) => stuck.includes(wait))) t.fail(`${n}: one in the circle can go on`)
      if (stuckByDefinition(waits).length !== waits.length) t.fail(`${n}: the circle needs others`)
      if (youngest.held.length === 0) t.fail(`${n}: the youngest holds nothing`)
      if (steps[0]!.from !== youngest || steps.some(({ from, to }, n) => !waits.includes(to) || from !== steps.at(n - 1)!.to)) t.fail(`${n}: the way does not lead round`)
      for (const { from, to, why } of steps) {
        const holds = to.held.some(({ lock, unit }) => lock === from.lock && (from.isExclusive || unit !== READ))
        const isAhead = !from.isExclusive && to.isExclusive && to.lock === from.lock && to.head < from.head
        if (why === 'holds' ? !holds : !isAhead) t.fail(`${n}: a step is not so`)
      }
    }
  }
  t.ok(found > 1000, `${found} circles`)
})

t.test('a circle of a thousand waits, and a thousand in a row behind it', async t => {
  const LENGTH = 1000
  const lock = (n: number) => 64 * (n + 1)
  const one = (n: number, wanted: number): Wait => ({ ...waits('a', []), lock: lock(wanted), held: [{ lock: lock(n), unit: 0 }] })
  const circle = Array.from({ length: LENGTH }, (_, n) => one(n, (n + 1) % LENGTH))
  const row = Array.from({ length: LENGTH }, (_, n) => one(LENGTH + n, LENGTH + n - 1))
  const [found, ...others] = circlesOf([...row, ...circle])
  t.equal(others.length, 0)
  t.equal(found!.waits.length, LENGTH)
  t.equal(found!.steps.length, LENGTH)
  t.equal(found!.youngest, circle.at(-1))
  t.same(circlesOf(row), [], 'the row alone can go on')
})
