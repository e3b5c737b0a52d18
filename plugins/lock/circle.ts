import { READ, isEarlier } from './layout.ts'

/** Somebody waits for a lock and holds others. */
export interface Wait {
  tag: number
  serial: number
  since: number
  lock: number
  permits: number
  /** Its place in the line of that lock. */
  head: number
  isExclusive: boolean
  held: Array<{ lock: number, unit: number }>
}

/** Why one wait does not end before another does. */
export interface Step<W extends Wait = Wait> {
  from: W
  to: W
  /** 'holds': `to` holds what `from` waits for. 'ahead': `to` waits for it, too, is before `from` in line, and wants it alone. */
  why: 'holds' | 'ahead'
}

export interface Circle<W extends Wait = Wait> {
  /** All that wait for each other. */
  waits: W[]
  /** The youngest of those that hold something: with it refused, others go on. */
  youngest: W
  /** A way from the youngest back to itself. */
  steps: Array<Step<W>>
}

/** Those of one lock that wait, and those that hold it and wait for something. */
interface Contended<W> {
  permits: number
  waits: W[]
  /** The first in line that wants it alone: readers behind it wait, too. */
  firstWriter: W | undefined
  /** How many waits hold each permit; what runs in one context holds the same. */
  holders: Map<number, number>
  readers: number
}

/**
 * The circles among these waits that nobody outside can end: not those that go on when another circle is broken.
 *
 * A deadlock is what is left when all waits are taken away that could go on (the reduction of a resource graph after
 * Holt, 1972): so a semaphore of which one holder may yet give back does not count as a circle. Of what is left, the circles
 * are the strongly connected components (Tarjan, 1972) from which no way leads out. All in all as many steps as there
 * are waits and locks held.
 */
export function circlesOf<W extends Wait> (waits: W[]): Array<Circle<W>> {
  const locks = contendedBy(waits)
  const stuck = stuckOf(waits, locks)
  return stuck.size === 0 ? [] : closedGroups(graphOf(stuck, locks)).map(circleIn)
}

function contendedBy<W extends Wait> (waits: W[]): Map<number, Contended<W>> {
  const locks = new Map<number, Contended<W>>()
  for (const wait of waits) {
    let lock = locks.get(wait.lock)
    if (lock === undefined) {
      lock = { permits: wait.permits, waits: [], firstWriter: undefined, holders: new Map(), readers: 0 }
      locks.set(wait.lock, lock)
    }
    lock.waits.push(wait)
    if (wait.isExclusive && (lock.firstWriter === undefined || isEarlier(wait.head, lock.firstWriter.head))) lock.firstWriter = wait
  }
  for (const { held } of waits) {
    for (const { lock, unit } of held) {
      const contended = locks.get(lock)
      if (contended === undefined) continue
      if (unit === READ) contended.readers++
      else contended.holders.set(unit, (contended.holders.get(unit) ?? 0) + 1)
    }
  }
  return locks
}

/** The waits that do not end while none of the others does. */
function stuckOf<W extends Wait> (waits: W[], locks: Map<number, Contended<W>>): Set<W> {
  const stuck = new Set(waits)
  const going: W[] = []
  const settle = (lock: Contended<W>) => {
    if (lock.holders.size >= lock.permits) return
    for (const wait of lock.waits) {
      if (lock.readers === 0 || !(wait.isExclusive || isBehindWriter(wait, lock))) going.push(wait)
    }
  }
  const giveBack = (lock: Contended<W>, unit: number) => {
    if (unit === READ) {
      if (--lock.readers === 0) settle(lock)
      return
    }
    const others = lock.holders.get(unit)! - 1
    if (others > 0) {
      lock.holders.set(unit, others)
    } else {
      lock.holders.delete(unit)
      if (lock.holders.size === lock.permits - 1) settle(lock)
    }
  }
  for (const lock of locks.values()) settle(lock)
  for (const wait of going) {
    if (!stuck.delete(wait)) continue
    for (const { lock, unit } of wait.held) {
      const contended = locks.get(lock)
      if (contended !== undefined) giveBack(contended, unit)
    }
  }
  return stuck
}

function isBehindWriter<W extends Wait> (wait: W, { firstWriter }: Contended<W>): boolean {
  return !wait.isExclusive && firstWriter !== undefined && isEarlier(firstWriter.head, wait.head)
}

/** A wait, or what is the same for many: all that stand in the way of a lock's writers, or of its readers. */
interface Node<W> {
  wait: W | undefined
  next: Array<Node<W>>
  /** In which it was found; 0: not yet. */
  order: number
  /** The earliest that it leads to and that is in no group yet. */
  earliest: number
  isGrouped: boolean
}

function graphOf<W extends Wait> (stuck: Set<W>, locks: Map<number, Contended<W>>): Array<Node<W>> {
  const node = (wait?: W): Node<W> => ({ wait, next: [], order: 0, earliest: 0, isGrouped: false })
  const nodes = new Map([...stuck].map((wait) => [wait, node(wait)]))
  const inTheWay = new Map([...locks].map(([payload, lock]) => {
    const [ofWriters, ofReaders, ofReadersBehind] = [node(), node(), node()]
    if (lock.firstWriter !== undefined && stuck.has(lock.firstWriter)) ofReadersBehind.next.push(nodes.get(lock.firstWriter)!)
    return [payload, { ofWriters, ofReaders, ofReadersBehind }]
  }))
  for (const [wait, node] of nodes) {
    const { ofWriters, ofReaders, ofReadersBehind } = inTheWay.get(wait.lock)!
    if (wait.isExclusive) node.next.push(ofWriters)
    else node.next.push(isBehindWriter(wait, locks.get(wait.lock)!) ? ofReadersBehind : ofReaders)
    for (const { lock, unit } of wait.held) {
      const held = inTheWay.get(lock)
      held?.ofWriters.next.push(node)
      if (unit === READ) continue
      held?.ofReaders.next.push(node)
      held?.ofReadersBehind.next.push(node)
    }
  }
  return [...nodes.values()]
}

/** The strongly connected components from which no way leads out. */
function closedGroups<W> (nodes: Array<Node<W>>): Array<Array<Node<W>>> {
  const groups: Array<Array<Node<W>>> = []
  const open: Array<Node<W>> = []
  let order = 0
  const visit = (node: Node<W>) => {
    node.order = node.earliest = ++order
    open.push(node)
    for (const next of node.next) {
      if (next.order === 0) visit(next)
      if (!next.isGrouped) node.earliest = Math.min(node.earliest, next.earliest)
    }
    if (node.earliest < node.order) return
    const group = open.splice(open.lastIndexOf(node))
    if (!group.some(({ next }) => next.some(({ isGrouped }) => isGrouped))) groups.push(group)
    for (const node of group) node.isGrouped = true
  }
  for (const node of nodes) if (node.order === 0) visit(node)
  return groups
}

function circleIn<W extends Wait> (group: Array<Node<W>>): Circle<W> {
  // A writer that holds nothing is in it by the fault of others.
  const holding = group.filter(({ wait }) => wait !== undefined && wait.held.length > 0)
  const youngest = holding.reduce((youngest, other) => isYounger(other.wait!, youngest.wait!) ? other : youngest)
  return { waits: group.flatMap(({ wait }) => wait ?? []), youngest: youngest.wait!, steps: stepsAround(youngest) }
}

function stepsAround<W extends Wait> (start: Node<W>): Array<Step<W>> {
  const from = new Map<Node<W>, Node<W>>()
  const reached = [start]
  for (const at of reached) {
    for (const next of at.next) {
      if (from.has(next)) continue
      from.set(next, at)
      reached.push(next)
    }
    if (from.has(start)) break
  }
  const way = [start.wait!]
  for (let at = from.get(start)!; at !== start; at = from.get(at)!) if (at.wait !== undefined) way.push(at.wait)
  way.reverse()
  return way.map((to, n) => stepBetween(way.at(n - 1)!, to))
}

function stepBetween<W extends Wait> (from: W, to: W): Step<W> {
  const holds = to.held.some(({ lock, unit }) => lock === from.lock && (from.isExclusive || unit !== READ))
  return { from, to, why: holds ? 'holds' : 'ahead' }
}

function isYounger (wait: Wait, other: Wait): boolean {
  return (wait.since - other.since || wait.tag - other.tag || wait.serial - other.serial) > 0
}
