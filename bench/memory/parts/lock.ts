/* What a lock takes that nobody else wants. */
import { formatSpread, printTable } from '../../measure/report.ts'
import { ratio, spread } from '../../measure/rounds.ts'
import type { LockSamples } from '../jobs/lock.ts'
import { joined } from '../../measure/loops.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { startWorker } from '../workers.ts'

const SETTINGS = { processes: 4, operations: 200_000, warmUps: 5, rounds: 8 }
const COMPARE_EXCHANGES_AT_MOST = 4

export async function compareLock ({ folder }: Folders): Promise<Part> {
  const { processes, ...options } = SETTINGS
  const all: LockSamples[] = []
  for (let n = 0; n < processes; n++) {
    await using worker = startWorker()
    all.push(await worker.call('lock', { folder, ...options }))
  }
  const samples = joined(all) as LockSamples
  const { compareExchange } = samples
  printTable(`ns per lock and unlock, one worker, nobody else wants it: ${processes} processes × ${options.rounds} rounds of ${options.operations}`,
    ['', 'ns', '/ compareExchange'],
    Object.entries(samples).map(([name, times]) => [name, formatSpread(spread(times)), formatSpread(ratio(times, compareExchange))]))
  return {
    settings: SETTINGS,
    targets: [{ what: 'trylock and unlock / one compareExchange', measured: ratio(samples['trylock, unlock'], compareExchange).median, atMost: COMPARE_EXCHANGES_AT_MOST }],
    results: summarised(samples)
  }
}
