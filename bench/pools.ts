/* What our pools cost beside the bare client libraries that they stand on. */
import { join } from 'node:path'
import { runParts } from './measure/parts.ts'
import type { Part } from './measure/part.ts'
import { formatSpread, printTable } from './measure/report.ts'
import type { Target } from './measure/report.ts'
import { alternate, ratio, spread } from './measure/rounds.ts'
import { startWorker } from './measure/workers.ts'
import { FACES, POOL_SIZE } from './pools/callers.ts'
import type { Face } from './pools/callers.ts'
import { SERVERS, versions } from './pools/servers.ts'
import type { Server } from './pools/servers.ts'
import { SCALE, makeTables } from './pools/tpcb.ts'
import type { Jobs, Load, Sample } from './pools/worker.ts'

const SETTINGS = {
  poolSize: POOL_SIZE,
  query: { processes: 4, rounds: 8, atOnce: [1, 10, 100], calls: { postgresql: 4000, mysql: 4000, redis: 12_000 } },
  transaction: { processes: 4, rounds: 16, atOnce: [1, 10], calls: 300, scale: SCALE }
}
const OF_BARE_AT_LEAST = 0.95
const FILE = join(import.meta.dirname, 'pools', 'worker.ts')

type Samples = Record<Face, Sample[]>

export const run = (): Promise<void> => runParts('pools', { query: compareQueries, transaction: compareTransactions }, [])

async function compareQueries (): Promise<Part> {
  const { query: { processes, rounds, atOnce, calls } } = SETTINGS
  const versionsOfServers = await versions()
  const results: Record<string, Samples> = {}
  for (const server of SERVERS) {
    const loads = Object.fromEntries(atOnce.map((callers) => [`${server}, ${callers} at once`, { what: 'query' as const, calls: calls[server], atOnce: callers }]))
    Object.assign(results, await compare(server, loads, processes, rounds))
  }
  printSamples(`a query: pools of ${POOL_SIZE}, ${processes * rounds} rounds`, results)
  return { settings: { ...SETTINGS.query, poolSize: POOL_SIZE, versions: versionsOfServers }, targets: targetsOf('queries', results), results }
}

async function compareTransactions (): Promise<Part> {
  const { transaction: { processes, rounds, atOnce, calls } } = SETTINGS
  await using tables = await makeTables()
  const loads = Object.fromEntries(atOnce.map((callers) => [`TPC-B, ${callers} at once`, { what: 'transaction' as const, calls, atOnce: callers }]))
  const results = await compare('postgresql', loads, processes, rounds)
  await tables.check()
  printSamples(`a transaction like TPC-B's: scale ${SCALE}, ${processes * rounds} rounds`, results)
  return { settings: SETTINGS.transaction, targets: targetsOf('transactions', results), results }
}

/** Several times a process of each, for what a process has by chance (its layout in memory, what was compiled when) stays with it. */
async function compare (server: Server, loads: Record<string, Load>, processes: number, rounds: number): Promise<Record<string, Samples>> {
  const results: Record<string, Samples> = Object.fromEntries(Object.keys(loads).map((name) => [name, { 'fastify-swoole': [], bare: [] }]))
  for (let n = 0; n < processes; n++) {
    await using stack = new AsyncDisposableStack()
    const workers = Object.fromEntries(FACES.map((face) => [face, stack.use(startWorker<Jobs>(FILE))]))
    for (const face of FACES) await workers[face]!.call('open', server, face)
    for (const [name, load] of Object.entries(loads)) {
      // Before it counts, the code is compiled.
      for (const face of FACES) await workers[face]!.call('measure', load)
      const samples = await alternate([...FACES], rounds, (face) => workers[face]!.call('measure', load))
      for (const face of FACES) results[name]![face].push(...samples.get(face)!)
    }
  }
  return results
}

const figures = (samples: Samples, face: Face, figure: keyof Sample) => samples[face].map((sample) => sample[figure])
const ofBare = (samples: Samples) => ratio(figures(samples, 'fastify-swoole', 'perSecond'), figures(samples, 'bare', 'perSecond'))

function targetsOf (what: string, results: Record<string, Samples>): Target[] {
  return Object.entries(results).map(([name, samples]) => ({ what: `${name}: ${what} per second / bare`, measured: ofBare(samples).median, atLeast: OF_BARE_AT_LEAST }))
}

function printSamples (title: string, results: Record<string, Samples>): void {
  const rows = Object.entries(results).flatMap(([name, samples]) => FACES.map((face) => [`${name}: ${face}`, ...[
    spread(figures(samples, face, 'perSecond')), ratio(figures(samples, face, 'perSecond'), figures(samples, 'bare', 'perSecond')),
    spread(figures(samples, face, 'p99')), spread(figures(samples, face, 'cpu'))
  ].map(formatSpread)]))
  printTable(title, ['', 'a second', '/ bare', 'p99 µs', 'CPU µs of one'], rows)
}
