/* What an entry takes, and what a cache takes in several workers. */
import { makeRegion } from '../../measure/region.ts'
import type { Folders, Part } from '../../measure/part.ts'
import type { Memory } from '../../measure/process-tree.ts'
import { format, printTable } from '../../measure/report.ts'
import { startAttached, startWorker } from '../workers.ts'
import type { Worker } from '../workers.ts'

const SETTINGS = { bytes: 2 ** 25, workers: [1, 2, 4] }
const MEGABYTE = 2 ** 20
/** Of the cache: what a worker more adds that reads all of it, beyond what one adds that reads nothing. */
const CACHES_AT_MOST = 0.25

type Load = 'idle' | 'shared' | 'own'

export async function compareMemory ({ folder }: Folders): Promise<Part> {
  const { bytes, workers } = SETTINGS
  await using alone = startWorker()
  const perEntry = await alone.call('entryBytes', { folder, bytes })
  printTable(`Bytes of shared memory for an entry, in a full cache of ${bytes / MEGABYTE} MiB`, ['', 'entries', 'bytes'],
    Object.entries(perEntry).map(([kind, { entries, bytesPerEntry }]) => [kind, String(entries), format(bytesPerEntry)]))

  const processes: Record<string, { privateMb: number[], totalMb: number }> = {}
  for (const load of ['idle', 'shared', 'own'] as const) {
    for (const count of workers) processes[`${TEXTS[load]}, ${count}`] = summed(await measure(folder, bytes, count, load))
  }
  printTable(`Memory of workers with a cache of ${bytes / MEGABYTE} MiB, all of it read, in MB`,
    ['', 'private, each', 'all together'],
    Object.entries(processes).map(([name, { privateMb, totalMb }]) => [name, privateMb.map((mb) => mb.toFixed(0)).join(' '), totalMb.toFixed(0)]))
  const [fewest, most] = [workers[0]!, workers.at(-1)!]
  const total = (load: Load, count: number) => processes[`${TEXTS[load]}, ${count}`]!.totalMb
  const addedMb = (load: Load) => (total(load, most) - total(load, fewest)) / (most - fewest)
  const inCaches = (load: Load) => (addedMb(load) - addedMb('idle')) * MEGABYTE / bytes
  return {
    settings: SETTINGS,
    targets: [{ what: `memory that a worker more adds when it reads all of the cache, in caches (with an lru-cache each: ${format(inCaches('own'))})`, measured: inCaches('shared'), atMost: CACHES_AT_MOST }],
    results: { perEntry, processes }
  }
}

const TEXTS: Record<Load, string> = { idle: 'nothing read', shared: 'fastify.cache', own: 'an lru-cache each' }

/** All workers are there while the last one measures: a page that several have counts for each with its part. */
async function measure (folder: string, bytes: number, count: number, load: Load): Promise<Memory[]> {
  const { launcher, bells } = makeRegion(folder, bytes * 2)
  await using stack = new AsyncDisposableStack()
  const entries = await fill()
  const workers: Worker[] = []
  for (let id = 1; id <= count; id++) workers.push(stack.use(await startAttached(launcher, bells, id)))
  for (const worker of workers) await worker.call(load === 'own' ? 'readOwn' : 'readShared', bytes, load === 'idle' ? 0 : entries)
  return await Promise.all(workers.map((worker) => worker.call('memoryAtRest')))

  async function fill (): Promise<number> {
    await using filler = await startAttached(launcher, bells, 0)
    return await filler.call('fillShared', bytes)
  }
}

function summed (memory: Memory[]): { privateMb: number[], totalMb: number } {
  return { privateMb: memory.map(({ privateMb }) => privateMb), totalMb: memory.reduce((sum, { pssMb }) => sum + pssMb, 0) }
}
