import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Peers } from '../shared-memory/peers.ts'
import type { Peer } from '../shared-memory/peers.ts'
import { PENDING } from './checker.ts'
import type { Operation } from './checker.ts'
import { HistoryLog } from './history-log.ts'
import type { Shape } from './history-log.ts'
import { NONE } from './models.ts'
import type { Jobs, Part } from './peer.ts'
import { planOf } from './plans.ts'
import type { Inputs, Structure } from './plans.ts'

export type History<S extends Structure> = Array<Operation<Inputs[S], number>>

export const PROCESSES = 4
/** Of one process in one burst. */
const OPERATIONS = 12
const MAX_BURSTS = 100
/** Of one process in the one burst in which another is killed, and of those that are left in the one after it. */
const OPERATIONS_AT_DEATH = 600
/** How likely a process is to sleep before an operation, in one recording of four; in the others all of them hurry. */
const NAPS = 0.1
/** So that the burst goes on for some milliseconds: else it has ended when the kill comes. */
const NAPS_AT_DEATH = 0.03
/** One that has not come to where it should die by then is blocked, and dies so. */
const LONGEST_BURST_MS = 1000
/** By then it will never end. */
const STUCK_MS = 20_000

const SHAPE: Shape = { processes: PROCESSES, records: Math.max(MAX_BURSTS * OPERATIONS, OPERATIONS_AT_DEATH + OPERATIONS) }

/** What a kill is to meet: a process somewhere in its operations, or one that holds a lock. */
export type Aim = 'an operation' | 'a holder'

/** Whether a death is an operation of its own: it frees what the process held. */
const isTold = (structure: Structure) => ['lock', 'spinlock', 'semaphore', 'rwlock'].includes(structure)

/**
 * Records what worker processes do with shared objects at the same time. They meet before each burst, so that their
 * operations overlap, and begin it with new objects; so each burst is a history of its own, short enough to be judged.
 * CLOCK_MONOTONIC is one clock for all processes of a machine.
 */
export class Recorder<S extends Structure> {
  #structure: S
  #seed: number
  #peers = new Peers<Jobs>(8 * 1024 * 1024, join(import.meta.dirname, 'peer.ts'))
  #members: Array<Peer<Jobs>> = []
  #log = new HistoryLog(this.#peers.launcher.memory, SHAPE)
  #start = process.hrtime.bigint()

  static async start<S extends Structure> (structure: S, seed: number): Promise<Recorder<S>> {
    const recorder = new Recorder(structure, seed)
    recorder.#members = await Promise.all(Array.from({ length: PROCESSES }, () => recorder.#member()))
    return recorder
  }

  constructor (structure: S, seed: number) {
    this.#structure = structure
    this.#seed = seed * 1_000_000
  }

  /** One history for each burst; at most 100. */
  async record (bursts = MAX_BURSTS): Promise<Array<History<S>>> {
    this.#seed++
    this.#log.clear(PROCESSES)
    await this.#ended(this.#begin({ bursts, naps: this.#seed % 4 === 0 ? NAPS : 0 }))
    return Array.from({ length: bursts }, (_, burst) => this.#read({ burst, firstRecord: burst * OPERATIONS }))
  }

  /**
   * The history of a longer burst in which one process is killed at some moment, and of what the others then do with what
   * it left, after its slot was recovered. The killed one's last operation may be pending.
   */
  async recordDeath (next: (limit: number) => number, aim: Aim = 'an operation'): Promise<History<S>> {
    this.#seed++
    this.#log.clear(PROCESSES)
    const victim = next(PROCESSES)
    const parts = this.#begin({ operations: OPERATIONS_AT_DEATH, naps: NAPS_AT_DEATH })
    await this.#reached(victim, 2 * next(OPERATIONS_AT_DEATH / 3), aim)
    const killedAt = process.hrtime.bigint()
    await this.#peers.killAndRecover(this.#members[victim]!)
    const recoveredAt = process.hrtime.bigint()
    await this.#ended(parts.toSpliced(victim, 1))

    this.#log.continue(PROCESSES - 1)
    const after = { firstBurst: 1, firstRecord: OPERATIONS_AT_DEATH }
    await this.#ended(this.#begin({ ...after, resets: false }, victim))
    this.#members[victim] = await this.#member()

    const history = [
      ...this.#read({ burst: 0, firstRecord: 0, operations: OPERATIONS_AT_DEATH }),
      ...this.#read({ burst: 1, firstRecord: OPERATIONS_AT_DEATH })
    ]
    const objects = new Set(history.map(({ input }) => input.object))
    if (isTold(this.#structure)) {
      const death = { process: PROCESSES, call: this.#time(killedAt), return: this.#time(recoveredAt), output: NONE }
      for (const object of objects) history.push({ ...death, input: { kind: 'death', object, process: victim } as Inputs[S] })
    }
    return history
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.#peers[Symbol.asyncDispose]()
  }

  async #member (): Promise<Peer<Jobs>> {
    const peer = await this.#peers.start()
    await peer.call('open', this.#structure)
    return peer
  }

  #begin (part: Partial<Part>, except?: number): Array<Promise<void>> {
    const common = { structure: this.#structure, shape: SHAPE, seed: this.#seed, firstBurst: 0, bursts: 1, operations: OPERATIONS, firstRecord: 0, naps: 0, resets: true }
    return this.#members.flatMap((member, process) => process === except ? [] : [member.call('record', { ...common, process, ...part })])
  }

  /** Looks without a pause: an operation takes less than a microsecond. */
  async #reached (process: number, record: number, aim: Aim): Promise<void> {
    const deadline = performance.now() + LONGEST_BURST_MS
    while (performance.now() < deadline && record < OPERATIONS_AT_DEATH) {
      if (this.#log.released === 0) await sleep(0)
      const found = this.#log.read(process, record)
      if (found === undefined || (aim === 'a holder' && found.output === PENDING)) continue
      if (aim === 'an operation' || (found.output !== NONE && this.#log.read(process, record + 1) === undefined)) return
      record += 2
    }
  }

  /** Throws when an operation does not return, and says which. */
  async #ended (parts: Array<Promise<void>>): Promise<void> {
    const timer = new AbortController()
    const stuck = sleep(STUCK_MS, undefined, { signal: timer.signal }).then(() => {
      this.#log.abandon()
      throw new Error(`seed ${this.#seed} did not end within ${STUCK_MS} ms; not returned: ${JSON.stringify(this.#unreturned())}`)
    })
    try {
      await Promise.race([Promise.all(parts), stuck])
    } finally {
      stuck.catch(() => {})
      timer.abort()
    }
  }

  #unreturned (): Array<{ process: number, record: number }> {
    return Array.from({ length: PROCESSES * SHAPE.records }, (_, n) => ({ process: n % PROCESSES, record: Math.floor(n / PROCESSES) }))
      .filter(({ process, record }) => this.#log.read(process, record)?.output === PENDING)
  }

  #read ({ burst, firstRecord, operations = OPERATIONS }: { burst: number, firstRecord: number, operations?: number }): History<S> {
    const history: History<S> = []
    for (let process = 0; process < PROCESSES; process++) {
      for (const [turn, input] of planOf(this.#structure, { seed: this.#seed, burst, process }, operations).entries()) {
        const record = this.#log.read(process, firstRecord + turn)
        if (record === undefined) continue
        history.push({ process, call: this.#time(record.call), return: record.return === undefined ? Infinity : this.#time(record.return), input, output: record.output })
      }
    }
    return history
  }

  #time (ns: bigint): number {
    return Number(ns - this.#start)
  }
}

/** How many operations overlap one of another process on the same object. */
export function overlapping (history: Array<Operation<{ object: number }, unknown>>): number {
  return history.filter((one) => history.some((other) => (
    other.process !== one.process && other.input.object === one.input.object && other.call < one.return && one.call < other.return
  ))).length
}
