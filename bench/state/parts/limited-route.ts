/* What a limit adds to a request, in microseconds of CPU. */
import type { Folders, Part } from '../../measure/part.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import { spread } from '../../measure/rounds.ts'
import { measureRequests, startVariants } from '../servers.ts'
import type { Sample } from '../servers.ts'

/** All servers are asked at the same time and share a core: what is looked for is a tenth of what the machine does between two seconds. */
const SETTINGS = { workers: 1, connections: 16, rounds: 16, seconds: 3 }
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
  const results: Record<string, Sample[]> = Object.fromEntries(ALL.map((variant) => [variant, []]))
  for (let round = -1; round < rounds; round++) {
    const samples = await Promise.all(all.servers.map((server) => measureRequests(server, connections, seconds)))
    // The first one is a warm-up.
    if (round >= 0) all.servers.forEach(({ variant }, n) => results[variant]!.push(samples[n]!))
  }
  const cpu = (variant: string) => results[variant]!.map(({ cpuMicrosecondsPerRequest }) => cpuMicrosecondsPerRequest)
  const added = (variant: string) => spread(cpu(variant).map((microseconds, round) => microseconds - cpu(BARE)[round]!))
  const ofTheirs = (variant: string) => added(variant).median / added(THEIRS).median
  printTable(`CPU of a request to a limited route: ${workers} worker, ${connections} connections, ${rounds} rounds of ${seconds} s, all at once`,
    ['', 'µs', 'added µs', `of what ${THEIRS} adds`],
    ALL.map((variant) => [variant, formatSpread(spread(cpu(variant))), formatSpread(added(variant)), ofTheirs(variant).toPrecision(3)]))
  return {
    settings: SETTINGS,
    targets: [OURS, SAME_FIELDS].map((variant) => ({ what: `${variant} / ${THEIRS}, added CPU`, measured: ofTheirs(variant), atMost: OF_THEIRS_AT_MOST })),
    results
  }
}
