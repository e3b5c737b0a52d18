import type { Test } from 'tap'
import { random } from '../shared-memory/random.ts'
import { PENDING, violationOf } from './checker.ts'
import { counter, isAbandoned, lock, queue, readWriteLock, row, tokens } from './models.ts'
import { CAPACITY } from './plans.ts'
import type { Structure } from './plans.ts'
import { Recorder, overlapping } from './recorder.ts'
import type { Aim, History } from './recorder.ts'

/** Why a history is not linearizable. */
export const JUDGES: { [S in Structure]: (history: History<S>) => { text: string } | undefined } = {
  atomic: (history) => violationOf(counter, history),
  brokenAtomic: (history) => violationOf(counter, history),
  table: (history) => violationOf(row, history),
  lock: (history) => violationOf(lock(1), history),
  spinlock: (history) => violationOf(lock(1), history),
  semaphore: (history) => violationOf(lock(2), history) ?? violationOf(tokens, history),
  rwlock: (history) => violationOf(readWriteLock, history) ?? violationOf(tokens, history),
  queue: (history) => violationOf(queue(CAPACITY), history),
  queueOfBlocks: (history) => violationOf(queue(CAPACITY), history)
}

/** Throws with the history when it is not linearizable: one is enough. */
function judge<S extends Structure> (structure: S, history: History<S>): void {
  const violation = JUDGES[structure](history)
  if (violation !== undefined) throw new Error(`${structure}: ${violation.text}`)
}

/** A machine that is busy with something else lets the processes meet less often. */
const MOST_TRIES = 20

/** Records and judges histories of a structure until in so many of them operations of several processes overlap. */
export async function recordAndJudge (t: Test, structure: Structure, wanted: number, seed: number): Promise<void> {
  await using recorder = await Recorder.start(structure, seed)
  let [recorded, operations, overlaps, concurrent] = [0, 0, 0, 0]
  while (concurrent < wanted && recorded < wanted * MOST_TRIES) {
    for (const history of await recorder.record()) {
      judge(structure, history)
      const overlapped = overlapping(history)
      recorded++
      operations += history.length
      overlaps += overlapped
      if (overlapped > 0) concurrent++
    }
  }
  t.ok(concurrent >= wanted, `${recorded} histories, ${concurrent} with operations that overlap: ${overlaps} of ${operations}`)
}

/** Whether a kill has met what it should: an operation is pending, or somebody is told that the lock was abandoned. */
const MET: { [A in Aim]: (history: History<Structure>) => boolean } = {
  'an operation': (history) => history.some(({ output }) => output === PENDING),
  'a holder': (history) => history.some(({ input, output }) => input.kind.includes('lock') && output !== PENDING && isAbandoned(output))
}

/** Records and judges histories in each of which a process is killed, until so many kills have met what they should. */
export async function killAndJudge (t: Test, structure: Structure, wanted: number, seed: number, aim: Aim = 'an operation'): Promise<void> {
  await using recorder = await Recorder.start(structure, seed)
  const next = random(seed)
  let [kills, met] = [0, 0]
  while (met < wanted && kills < wanted * MOST_TRIES) {
    const history = await recorder.recordDeath(next, aim)
    judge(structure, history)
    kills++
    if (MET[aim](history)) met++
  }
  t.ok(met >= wanted, `${structure}: ${kills} kills, ${met} of them met ${aim}`)
}
