import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { HistoryLog, nap } from './history-log.ts'
import type { Shape } from './history-log.ts'
import { planOf } from './plans.ts'
import type { Structure } from './plans.ts'
import type { Subject } from './subject.ts'
import { SUBJECTS } from './subjects/index.ts'
import { answerParent } from '../shared-memory/answering.ts'

/* A process of a recording: it does what is planned for it, and writes down when. */

let memory: SharedMemory
const subjects = new Map<Structure, Subject<never>>()

/** How long a process that sleeps keeps a lock: long enough for a kill to meet it. */
const HOLD_MS = 1

const parent = process.ppid
const hasParent = () => process.ppid === parent

export interface Part {
  structure: Structure
  shape: Shape
  process: number
  seed: number
  firstBurst: number
  bursts: number
  /** Of one burst. */
  operations: number
  firstRecord: number
  /** How likely a process is to sleep before an operation. */
  naps: number
  /** Whether the objects are cleared before each burst. */
  resets: boolean
}

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
  },

  async open (structure: Structure) {
    const open = await SUBJECTS[structure]()
    subjects.set(structure, open(memory))
  },

  /** How often this process's clock was behind one that another process had read before. */
  compareClocks (rounds: number): { meetings: number, behind: number } {
    const clock = memory.open({ type: 'test', name: 'clock', definition: 'ns', bytes: 8 }) / 8
    const { i64 } = memory.region
    let [meetings, behind, own] = [0, 0, 0n]
    for (let round = 0; round < rounds; round++) {
      const other = Atomics.load(i64, clock)
      if (other !== own) meetings++
      own = process.hrtime.bigint()
      if (own < other) behind++
      Atomics.store(i64, clock, own)
    }
    return { meetings, behind }
  },

  async record ({ structure, shape, process, seed, firstBurst, bursts, operations, firstRecord, naps: likelihood, resets }: Part) {
    const subject = subjects.get(structure)!
    const log = new HistoryLog(memory, shape)
    for (let n = 0; n < bursts; n++) {
      const burst = firstBurst + n
      const plan = planOf(structure, { seed, burst, process }, operations)
      const naps = plan.map(() => Math.random() < likelihood)
      if (!await log.meet(n, () => resets && subject.reset(), hasParent)) return
      for (let turn = 0; turn < operations; turn++) {
        const input = plan[turn] as never
        if (!subject.isDue(input)) continue
        if (naps[turn]) nap(plan[turn]!.kind === 'unlock' ? HOLD_MS : undefined)
        const record = firstRecord + n * operations + turn
        log.called(process, record)
        let output = subject.perform(input)
        if (typeof output !== 'number') output = await output
        log.returned(process, record, output)
      }
    }
  }
}

export type Jobs = typeof jobs

answerParent(jobs)
