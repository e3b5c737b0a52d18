/* What it takes to push an item and pop it again, without waiting. */
import { formatSpread, printTable } from '../../measure/report.ts'
import { ratio, spread } from '../../measure/rounds.ts'
import type { QueueSamples } from '../jobs/queue.ts'
import { joined } from '../../measure/loops.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { startWorker } from '../workers.ts'

const SETTINGS = { processes: 4, operations: 100_000, keys: 10_000, warmUps: 5, rounds: 8 }
const OF_MAP_AT_MOST = 20

export async function compareQueue ({ folder }: Folders): Promise<Part> {
  const { processes, ...options } = SETTINGS
  const all: QueueSamples[] = []
  for (let n = 0; n < processes; n++) {
    await using worker = startWorker()
    all.push(await worker.call('queue', { folder, ...options }))
  }
  const samples = joined(all) as QueueSamples
  const { 'Map.get': mapGet } = samples
  printTable(`ns per push and pop, one worker, without waiting; Map.get of ${options.keys} keys: ${processes} processes × ${options.rounds} rounds of ${options.operations}`,
    ['', 'ns', '/ Map.get'],
    Object.entries(samples).map(([name, times]) => [name, formatSpread(spread(times)), formatSpread(ratio(times, mapGet))]))
  return {
    settings: SETTINGS,
    targets: [{ what: 'push and pop of a number / Map.get', measured: ratio(samples['a number'], mapGet).median, atMost: OF_MAP_AT_MOST }],
    results: summarised(samples)
  }
}
