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
export interface Step {
  from: Wait
  to: Wait
  /** 'holds': `to` holds what `from` waits for. 'ahead': `to` waits for it, too, is before `from` in line, and wants it alone. */
  why: 'holds' | 'ahead'
}

/**
 * The circle that a wait is in, as the shortest way from it and back, and the youngest of all that hold something and are
 * caught in the same circles. Undefined: the wait may end.
 *
 * A deadlock is what is left when all waits are taken away that could go on (the reduction of a resource graph after
 * Holt, 1972): so a semaphore of which one holder may yet give back does not count as a circle.
 */
export function circleOf (wait: Wait, waits: Wait[]): { steps: Step[], youngest: Wait } | undefined {
  const stuck = stuckOf(waits)
  if (!stuck.includes(wait)) return undefined
  const steps = wayBetween(wait, wait, stuck)
  if (steps === undefined) return undefined
  const circle = stuck.filter((other) => other === wait || (wayBetween(wait, other, stuck) !== undefined && wayBetween(other, wait, stuck) !== undefined))
  // A writer that holds nothing is in it by the fault of others.
  const holding = circle.filter(({ held }) => held.length > 0)
  return { steps, youngest: holding.reduce((youngest, other) => isYounger(other, youngest) ? other : youngest) }
}

function stuckOf (waits: Wait[]): Wait[] {
  for (;;) {
    const stuck = waits.filter((wait) => isBlocked(wait, waits))
    if (stuck.length === waits.length) return stuck
    waits = stuck
  }
}

/** Whether a wait does not end while none of the `others` goes on. */
function isBlocked (wait: Wait, others: Wait[]): boolean {
  const permits = new Set<number>()
  for (const other of others) {
    for (const { lock, unit } of other.held) {
      if (lock !== wait.lock) continue
      if (unit !== READ) permits.add(unit)
      else if (wait.isExclusive) return true
    }
    if (isAhead(other, wait)) return true
  }
  return permits.size >= wait.permits
}

function isAhead (other: Wait, wait: Wait): boolean {
  return !wait.isExclusive && other.isExclusive && other.lock === wait.lock && isEarlier(other.head, wait.head)
}

function stepBetween (from: Wait, to: Wait): Step | undefined {
  if (to.held.some(({ lock, unit }) => lock === from.lock && (from.isExclusive || unit !== READ))) return { from, to, why: 'holds' }
  return isAhead(to, from) ? { from, to, why: 'ahead' } : undefined
}

/** The shortest way of at least one step. */
function wayBetween (from: Wait, to: Wait, waits: Wait[]): Step[] | undefined {
  const reached = new Map<Wait, Step>()
  const next = [from]
  for (const at of next) {
    for (const other of waits) {
      const step = reached.has(other) ? undefined : stepBetween(at, other)
      if (step === undefined) continue
      reached.set(other, step)
      next.push(other)
      if (other === to) return wayBack(from, step, reached)
    }
  }
  return undefined
}

function wayBack (from: Wait, last: Step, reached: Map<Wait, Step>): Step[] {
  const way = [last]
  while (way[0]!.from !== from) way.unshift(reached.get(way[0]!.from)!)
  return way
}

function isYounger (wait: Wait, other: Wait): boolean {
  return (wait.since - other.since || wait.tag - other.tag || wait.serial - other.serial) > 0
}
