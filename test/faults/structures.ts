import { SharedLock } from '../../plugins/lock/memory.ts'
import { SharedQueue } from '../../plugins/queue/memory.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { float, int, string } from '../../plugins/table/columns.ts'
import { SharedTable } from '../../plugins/table/memory.ts'

/** What the workers of `structures-kill.test.ts` share, and what its figures are kept in. */
export function openStructures (memory: SharedMemory) {
  return {
    rows: new SharedTable(memory, 'rows', { rows: 50, columns: { a: int(), b: float(), text: string(200), sum: int() } }),
    guarded: new SharedTable(memory, 'guarded', { rows: 5, columns: { a: int(), b: float() } }),
    mutex: new SharedLock(memory, 'mutex'),
    readWrite: new SharedLock(memory, 'readWrite', { type: 'rwlock' }),
    semaphore: new SharedLock(memory, 'semaphore', { type: 'semaphore', permits: 2 }),
    queue: new SharedQueue<{ run: number, number: number, filler: string }>(memory, 'queue', { capacity: 200, maxAttempts: 1000 }),
    runs: new SharedTable(memory, 'runs', { rows: 2000, columns: { acknowledged: int(), begun: int() } }),
    deliveries: new SharedTable(memory, 'deliveries', { rows: 500_000, columns: { run: int(), index: int() }, maxKeyBytes: 24 })
  }
}

export type Structures = ReturnType<typeof openStructures>

export function checksum ({ a, b, text }: { a: number, b: number, text: string }): number {
  return a ^ Math.imul(Math.round(b * 1024), 31) ^ Math.imul(text.length + 1, 0x9e3779b1)
}
