/* Asking a limiter, beside a Map and the stores of @fastify/rate-limit. */
import { joined } from '../../measure/loops.ts'
import type { Samples } from '../../measure/loops.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import { ratio, spread } from '../../measure/rounds.ts'
import { LIMITER_VARIANTS } from '../jobs/limiter.ts'
import { startWorker } from '../workers.ts'

const SETTINGS = { processes: 4, clients: 10_000, operations: 200_000, redisOperations: 1000, warmUps: 4, rounds: 6 }
const OF_MAP_AT_MOST = 10

export async function compareLimiter ({ folder }: Folders): Promise<Part> {
  const { processes, ...options } = SETTINGS
  const all: Samples[] = []
  // Several processes: what V8 decides to compile, and how, differs from one to the next.
  for (let n = 0; n < processes; n++) {
    await using worker = startWorker()
    all.push(await worker.call('limiter', { folder, ...options }))
  }
  const samples = joined(all)
  const ofMap = (name: string) => ratio(samples[name]!, samples['Map.get']!)
  printTable(`ns per request, one worker, ${options.clients} clients: ${processes} processes × ${options.rounds} rounds`,
    ['', 'ns', '/ Map.get'], LIMITER_VARIANTS.map((name) => [name, formatSpread(spread(samples[name]!)), formatSpread(ofMap(name))]))
  return {
    settings: SETTINGS,
    targets: [{ what: 'isAllowed / Map.get', measured: ofMap('isAllowed').median, atMost: OF_MAP_AT_MOST }],
    results: summarised(samples)
  }
}
