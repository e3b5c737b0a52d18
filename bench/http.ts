/* Requests per second of the same application on two workers: what does each launcher cost against bare node:cluster? */
import { cpuMicroseconds } from './measure/process-tree.ts'
import { alternate, ratio, spread } from './measure/rounds.ts'
import { format, formatSpread, printTable, report } from './measure/report.ts'
import type { Target } from './measure/report.ts'
import { load, requireWrk } from './measure/wrk.ts'
import type { LoadResult } from './measure/wrk.ts'
import { WORKERS, startAll, startFastifySwoole, startNodeCluster, startPm2, startWatt } from './servers/cluster-servers.ts'
import type { ClusterServer } from './servers/cluster-servers.ts'

type Sample = LoadResult & { cpuMicrosecondsPerRequest: number }

const ROUNDS = 8
const SECONDS = 3
const CONNECTIONS = 64
const OURS_AT_LEAST = 0.98
const SERIES = [
  { name: 'keep-alive', headers: [] },
  { name: 'a connection per request', headers: ['Connection: close'] }
]

export async function run (): Promise<void> {
  const wrk = requireWrk()
  await using all = await startAll(startNodeCluster, startFastifySwoole, startPm2, startWatt)
  const targets: Target[] = []
  const results: Record<string, object> = {}
  for (const { name, headers } of SERIES) {
    for (const server of all.servers) await measure(server, headers, 1)
    const samples = await alternate(all.servers, ROUNDS, (server) => measure(server, headers, SECONDS))
    const summaries = summarise(all.servers, samples)
    printTable(`GET /, ${name}: ${WORKERS} workers, ${CONNECTIONS} connections, ${ROUNDS} rounds of ${SECONDS} s`,
      ['', 'req/s', 'ratio per round', 'p50 ms', 'p99 ms', 'CPU µs/req', 'errors'],
      summaries.map(({ name, requestsPerSecond, ratioPerRound, p50Ms, p99Ms, cpuMicrosecondsPerRequest, errors }) => [
        name, formatSpread(requestsPerSecond), formatSpread(ratioPerRound), format(p50Ms.median), formatSpread(p99Ms), formatSpread(cpuMicrosecondsPerRequest), String(errors)
      ]))
    const ours = summaries.find(({ name }) => name === 'fastify-swoole')!
    targets.push({ what: `fastify-swoole / node:cluster, ${name}`, measured: ours.ratioPerRound.median, atLeast: OURS_AT_LEAST })
    results[name] = summaries
  }
  report({ name: 'http', settings: { wrk, workers: WORKERS, connections: CONNECTIONS, rounds: ROUNDS, seconds: SECONDS }, targets, results })
}

async function measure ({ port, pid }: ClusterServer, headers: string[], seconds: number): Promise<Sample> {
  const before = cpuMicroseconds(pid)
  const result = await load({ port, seconds, connections: CONNECTIONS, headers })
  return { ...result, cpuMicrosecondsPerRequest: (cpuMicroseconds(pid) - before) / result.requests }
}

function summarise (servers: ClusterServer[], samples: Map<ClusterServer, Sample[]>) {
  const figures = (server: ClusterServer, figure: keyof Sample) => samples.get(server)!.map((sample) => sample[figure])
  return servers.map((server) => ({
    name: server.name,
    requestsPerSecond: spread(figures(server, 'requestsPerSecond')),
    ratioPerRound: ratio(figures(server, 'requestsPerSecond'), figures(servers[0]!, 'requestsPerSecond')),
    p50Ms: spread(figures(server, 'p50Ms')),
    p99Ms: spread(figures(server, 'p99Ms')),
    cpuMicrosecondsPerRequest: spread(figures(server, 'cpuMicrosecondsPerRequest')),
    errors: figures(server, 'errors').reduce((sum, count) => sum + count, 0),
    rounds: samples.get(server)!
  }))
}
