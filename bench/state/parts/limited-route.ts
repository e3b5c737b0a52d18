/* What a limit adds to a request, in microseconds of CPU. */
import type { Folders, Part } from '../../measure/part.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import { alternate, spread } from '../../measure/rounds.ts'
import { measureRequests, startVariants } from '../servers.ts'

/** Many short rounds: what is looked for is a tenth of what the machine does between two rounds. */
const SETTINGS = { workers: 1, connections: 16, rounds: 24, seconds: 1 }
const [BARE, THEIRS, OURS, SAME_FIELDS, ...OTHERS] = [
  'bare', '@fastify/rate-limit',
  // By default it has the two fields of the IETF's draft beside the three that theirs has too.
  'config.rateLimiter', 'config.rateLimiter, X-RateLimit only', 'config.rateLimiter, no fields',
  '@fastify/rate-limit on our Store', '@fastify/rate-limit on Redis'
] as const
const ALL = [BARE, THEIRS, OURS, SAME_FIELDS, ...OTHERS]
const OF_THEIRS_AT_MOST = 0.5

export async function compareLimitedRoute (_folders: Folders): Promise<Part> {
  const { workers, connections, rounds, seconds } = SETTINGS
  await using all = await startVariants('limited.js', ALL, workers)
  for (const server of all.servers) await measureRequests(server, connections, 1)
  const samples = await alternate(all.servers, rounds, (server) => measureRequests(server, connections, seconds))
  const results = Object.fromEntries(all.servers.map((server) => [server.variant, samples.get(server)!]))
  const cpu = (variant: string) => results[variant]!.map(({ cpuMicrosecondsPerRequest }) => cpuMicrosecondsPerRequest)
  const added = (variant: string) => spread(cpu(variant).map((microseconds, round) => microseconds - cpu(BARE)[round]!))
  const ofTheirs = (variant: string) => added(variant).median / added(THEIRS).median
  printTable(`CPU of a request to a limited route: ${workers} worker, ${connections} connections, ${rounds} rounds of ${seconds} s`,
    ['', 'µs', 'added µs', `of what ${THEIRS} adds`],
    ALL.map((variant) => [variant, formatSpread(spread(cpu(variant))), formatSpread(added(variant)), ofTheirs(variant).toPrecision(3)]))
  return {
    settings: SETTINGS,
    targets: [OURS, SAME_FIELDS].map((variant) => ({ what: `${variant} / ${THEIRS}, added CPU`, measured: ofTheirs(variant), atMost: OF_THEIRS_AT_MOST })),
    results
  }
}
