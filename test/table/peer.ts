import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { int, string } from '../../plugins/table/columns.ts'
import { SharedTable } from '../../plugins/table/memory.ts'
import { random } from '../shared-memory/random.ts'
import { answerParent } from '../shared-memory/answering.ts'

/* A worker process that writes rows, or reads them and says which were torn. */

export const openTable = (memory: SharedMemory) => new SharedTable(memory, 'torn', { rows: 8, columns: { a: int(), text: string(300), z: int() } })
export const KEYS = ['one', 'two', 'three', 'four']

const parent = process.ppid
let memory: SharedMemory
let table: ReturnType<typeof openTable>

const jobs = {
  attach (attachment: Attachment) {
    memory = attachMemory(attachment)
    table = openTable(memory)
  },

  /** Each row says the same in all of its columns. */
  write (seed: number, count: number) {
    const next = random(seed)
    for (let n = 0; n < count; n++) {
      const key = KEYS[next(KEYS.length)]!
      const a = next(1000)
      if (next(50) === 0) table.delete(key)
      else table.set(key, { a, text: String.fromCharCode(97 + a % 26).repeat(a % 290), z: a })
    }
  },

  read (seed: number, count: number): { found: number, different: number, torn: string[] } {
    const next = random(seed)
    const seen = new Set<number>()
    const torn: string[] = []
    let found = 0
    for (let n = 0; n < count && torn.length < 10; n++) {
      const rows = next(100) === 0 ? [...table].map(([, row]) => row) : [table.get(KEYS[next(KEYS.length)]!)]
      for (const row of rows) {
        if (row === undefined) continue
        found++
        seen.add(row.a)
        const { a, z, text } = row
        if (z !== a || text !== String.fromCharCode(97 + a % 26).repeat(a % 290)) torn.push(JSON.stringify(row))
      }
    }
    return { found, different: seen.size, torn }
  },

  /** Writes its own row and then reads the other's, in step with the other; returns the rounds in which it read an old one. */
  writeThenRead (own: number, rounds: number): number[] {
    const { i32 } = memory.region
    const steps = memory.open({ type: 'test', name: 'steps', definition: 0, bytes: 128 }) / 4
    const [mine, others] = [`own ${own}`, `own ${1 - own}`]
    const text = 'x'.repeat(290)
    const missed: number[] = []
    for (let round = 1; round <= rounds; round++) {
      Atomics.store(i32, steps + own * 16, round)
      for (let spin = 1; Atomics.load(i32, steps + (1 - own) * 16) < round; spin++) {
        if (spin % 1e6 === 0 && process.ppid !== parent) throw new Error('the parent is gone')
      }
      table.set(mine, { z: round, text })
      if ((table.get(others, 'z') ?? 0) < round) missed.push(round)
    }
    return missed
  },

  increment (times: number) {
    for (let n = 0; n < times; n++) table.incr(`counter ${n % 2}`, 'a')
  }
}

export type Jobs = typeof jobs

answerParent(jobs)
