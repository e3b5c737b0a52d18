/* An endpoint with one cache get, one set and one limit: how much of the bare route's throughput is left? */
import type { Folders, Part } from '../../measure/part.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import type { Target } from '../../measure/report.ts'
import { alternate, ratio, spread } from '../../measure/rounds.ts'
import { product } from '../objects.ts'
import { measureRequests, startVariants } from '../servers.ts'
import type { Sample } from '../servers.ts'

const SETTINGS = { workers: 2, connections: 64, rounds: 16, seconds: 1, values: 20 }
/** The values of such endpoints elsewhere (280 bytes of JSON, for Redis or a table of Swoole), what a cache is for, and the least that one can keep. */
const KINDS: Record<string, (n: number) => unknown> = {
  'a number': (n) => n,
  '280 bytes': (n) => product(n, 280),
  '1 kB': (n) => product(n)
}
const [BARE, OWN, OURS, REDIS] = ['bare', 'own Map', 'fastify-swoole', 'Redis'] as const
const ALL = [BARE, OWN, OURS, REDIS]
const OF_BARE_AT_LEAST = 0.9
const OF_REDIS_AT_LEAST = 2

export async function compareEndpoint (_folders: Folders): Promise<Part> {
  const targets: Target[] = []
  const results: Record<string, object> = {}
  for (const [kind, make] of Object.entries(KINDS)) {
    const samples = await measure(kind, make)
    const throughput = (variant: string) => samples[variant]!.map(({ requestsPerSecond }) => requestsPerSecond)
    targets.push(
      { what: `an endpoint with a get, a set and a limit, values of ${kind} / bare, requests per second`, measured: ratio(throughput(OURS), throughput(BARE)).median, atLeast: OF_BARE_AT_LEAST },
      { what: `the same, ${kind} / with Redis`, measured: ratio(throughput(OURS), throughput(REDIS)).median, atLeast: OF_REDIS_AT_LEAST }
    )
    results[kind] = samples
  }
  return { settings: { ...SETTINGS, kinds: Object.keys(KINDS) }, targets, results }
}

async function measure (kind: string, make: (n: number) => unknown): Promise<Record<string, Sample[]>> {
  const { workers, connections, rounds, seconds, values } = SETTINGS
  await using all = await startVariants('endpoint.js', ALL, workers, { VALUES_JSON: JSON.stringify(Array.from({ length: values }, (_, n) => make(n))) })
  for (const server of all.servers) await measureRequests(server, connections, 1)
  const samples = await alternate(all.servers, rounds, (server) => measureRequests(server, connections, seconds))
  const results = Object.fromEntries(all.servers.map((server) => [server.variant, samples.get(server)!]))
  const figures = (variant: string, figure: keyof Sample) => results[variant]!.map((sample) => sample[figure])
  const throughput = (variant: string) => figures(variant, 'requestsPerSecond')
  printTable(`GET / with a get, a set and a limit, values of ${kind}: ${workers} workers, ${connections} connections, ${rounds} rounds of ${seconds} s`,
    ['', 'req/s', '/ bare', 'p99 ms', 'CPU µs/req'],
    ALL.map((variant) => [variant, ...[
      spread(throughput(variant)), ratio(throughput(variant), throughput(BARE)),
      spread(figures(variant, 'p99Ms')), spread(figures(variant, 'cpuMicrosecondsPerRequest'))
    ].map(formatSpread)]))
  return results
}
