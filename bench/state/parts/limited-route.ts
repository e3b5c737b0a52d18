/* What a limit adds to a request, in microseconds of CPU. */
import { Bursts, stayOnCores } from '../../measure/bursts.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { cpuMicroseconds } from '../../measure/process-tree.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import { alternate, spread } from '../../measure/rounds.ts'
import { LOAD_CORE } from '../../measure/wrk.ts'
import { measureRequests, startVariants } from '../servers.ts'
import type { StateServer } from '../servers.ts'

/**
 * Rounds of some 50 ms, and many: what is looked for is a tenth of what the machine does between two seconds. And several starts, for what a
 * process has by chance stays with it.
 */
const SETTINGS = { workers: 1, connections: 16, starts: 4, rounds: 60, requests: 4000 }
const [BARE, THEIRS, OURS, SAME_FIELDS, ...OTHERS] = [
  'bare', '@fastify/rate-limit',
  // By default it has the two fields of the IETF's draft beside the three that theirs has too.
  'config.rateLimiter', 'config.rateLimiter, X-RateLimit only', 'config.rateLimiter, no fields',
  '@fastify/rate-limit on our Store', '@fastify/rate-limit on Redis'
] as const
const ALL = [BARE, THEIRS, OURS, SAME_FIELDS, ...OTHERS]
const OF_THEIRS_AT_MOST = 0.5

export async function compareLimitedRoute (_folders: Folders): Promise<Part> {
  const { starts, rounds, requests, connections, workers } = SETTINGS
  const results: Record<string, number[]> = Object.fromEntries(ALL.map((variant) => [variant, []]))
  for (let start = 0; start < starts; start++) {
    for (const [{ variant }, samples] of await measure()) results[variant]!.push(...samples)
  }
  const cpu = (variant: string) => results[variant]!
  const added = (variant: string) => spread(cpu(variant).map((microseconds, round) => microseconds - cpu(BARE)[round]!))
  const ofTheirs = (variant: string) => added(variant).median / added(THEIRS).median
  printTable(`CPU of a request to a limited route: ${workers} worker, ${connections} connections, ${starts} × ${rounds} rounds of ${requests} requests`,
    ['', 'µs', 'added µs', `of what ${THEIRS} adds`],
    ALL.map((variant) => [variant, formatSpread(spread(cpu(variant))), formatSpread(added(variant)), ofTheirs(variant).toPrecision(3)]))
  return {
    settings: SETTINGS,
    targets: [OURS, SAME_FIELDS].map((variant) => ({ what: `${variant} / ${THEIRS}, added CPU`, measured: ofTheirs(variant), atMost: OF_THEIRS_AT_MOST })),
    results
  }
}

/** Microseconds of a request, of each round. */
async function measure (): Promise<Map<StateServer, number[]>> {
  const { workers, connections, rounds, requests } = SETTINGS
  await using all = await startVariants('limited.js', ALL, workers)
  using stack = new DisposableStack()
  stack.use(stayOnCores(LOAD_CORE))
  const bursts = new Map<StateServer, Bursts>()
  for (const server of all.servers) {
    await measureRequests(server, connections, 1)
    bursts.set(server, stack.use(await Bursts.connect(server.port, connections)))
  }
  return await alternate(all.servers, rounds, async (server) => {
    const before = cpuMicroseconds(server.pid)
    await bursts.get(server)!.ask(requests)
    return (cpuMicroseconds(server.pid) - before) / requests
  })
}
