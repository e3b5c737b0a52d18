/* What a limit adds to a request, in microseconds of CPU. */
import type { Folders, Part } from '../../measure/part.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import { alternate, spread } from '../../measure/rounds.ts'
import { measureRequests, startVariants } from '../servers.ts'

const SETTINGS = { workers: 1, connections: 16, rounds: 8, seconds: 3 }
const [BARE, OURS, THEIRS, ...OTHERS] = ['bare', 'config.rateLimiter', '@fastify/rate-limit', '@fastify/rate-limit on our Store', '@fastify/rate-limit on Redis'] as const
const OF_THEIRS_AT_MOST = 0.5

export async function compareLimitedRoute (_folders: Folders): Promise<Part> {
  const { workers, connections, rounds, seconds } = SETTINGS
  await using all = await startVariants('limited.js', [BARE, OURS, THEIRS, ...OTHERS], workers)
  for (const server of all.servers) await measureRequests(server, connections, 1)
  const samples = await alternate(all.servers, rounds, (server) => measureRequests(server, connections, seconds))
  const results = Object.fromEntries(all.servers.map((server) => [server.variant, samples.get(server)!]))
  const cpu = (variant: string) => results[variant]!.map(({ cpuMicrosecondsPerRequest }) => cpuMicrosecondsPerRequest)
  const added = (variant: string) => cpu(variant).map((microseconds, round) => microseconds - cpu(BARE)[round]!)
  const ofTheirs = (variant: string) => spread(added(variant).map((microseconds, round) => microseconds / added(THEIRS)[round]!))
  printTable(`CPU of a request to a limited route: ${workers} worker, ${connections} connections, ${rounds} rounds of ${seconds} s`,
    ['', 'µs', 'added µs', `of what ${THEIRS} adds`],
    [BARE, OURS, THEIRS, ...OTHERS].map((variant) => [variant, ...[spread(cpu(variant)), spread(added(variant)), ofTheirs(variant)].map(formatSpread)]))
  return {
    settings: SETTINGS,
    targets: [{ what: `${OURS} / ${THEIRS}, added CPU`, measured: ofTheirs(OURS).median, atMost: OF_THEIRS_AT_MOST }],
    results
  }
}
