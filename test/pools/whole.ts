import type { Test } from 'tap'
import { eventually } from '../support/processes.ts'
import type { Observer, Subject } from './subjects.ts'

/** The time-out of the pools, and what a busy machine needs. */
const WITHIN_MS = 2000

let last = 0
/** A number that nobody else asks for. */
export const unique = () => ++last

/** All of its connections are there, none is lent, and each caller has its answer. */
export async function isWhole (t: Test, { pool, ask, shared, askOn }: Subject, { connections }: Observer): Promise<void> {
  const { size } = pool.getStats()
  await eventually('what was lent is back', () => pool.getStats().inUse === shared && pool.getStats().waiting === 0)
  const numbers = Array.from({ length: size * 2 }, unique)
  const begun = performance.now()
  t.same(await Promise.all(numbers.map((number) => ask(number))), numbers, 'each caller has its answer')
  t.same(await Promise.all(numbers.map((number) => pool.withConnection((connection) => askOn(connection, number)))), numbers)
  t.ok(performance.now() - begun < WITHIN_MS, `within ${WITHIN_MS} ms`)
  const { current, inUse, waiting, opened, closed, available } = pool.getStats()
  t.same({ inUse, waiting, current }, { inUse: shared, waiting: 0, current: opened - closed }, 'its figures agree')
  t.equal(available, current - shared)
  await eventually(`the server has no other connections: ${await connections()}`, async () => (await connections()).length === pool.getStats().current)
}
