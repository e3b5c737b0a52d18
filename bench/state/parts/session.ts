/* What a session adds to a request, in microseconds of CPU. */
import type { Folders, Part } from '../../measure/part.ts'
import { formatSpread, printTable } from '../../measure/report.ts'
import { alternate, spread } from '../../measure/rounds.ts'
import { measureRequests, startVariants } from '../servers.ts'
import type { StateServer } from '../servers.ts'

const SETTINGS = { workers: 1, connections: 16, rounds: 8, seconds: 3 }
const [NONE, OURS, ...OTHERS] = ['no session', 'session', 'session, only read', '@fastify/session in memory', '@fastify/session on Redis'] as const
const MICROSECONDS_AT_MOST = 40

export async function compareSession (_folders: Folders): Promise<Part> {
  const { workers, connections, rounds, seconds } = SETTINGS
  await using all = await startVariants('session.js', [NONE, OURS, ...OTHERS], workers)
  const headers = new Map<StateServer, string[]>()
  for (const server of all.servers) {
    headers.set(server, server.variant === NONE ? [] : [`Cookie: ${await beginSession(server)}`])
    await measureRequests(server, connections, 1, headers.get(server))
  }
  const samples = await alternate(all.servers, rounds, (server) => measureRequests(server, connections, seconds, headers.get(server)))
  const results = Object.fromEntries(all.servers.map((server) => [server.variant, samples.get(server)!]))
  const cpu = (variant: string) => results[variant]!.map(({ cpuMicrosecondsPerRequest }) => cpuMicrosecondsPerRequest)
  const added = (variant: string) => spread(cpu(variant).map((microseconds, round) => microseconds - cpu(NONE)[round]!))
  printTable(`CPU of a request with a session: ${workers} worker, ${connections} connections, ${rounds} rounds of ${seconds} s`,
    ['', 'µs', 'added µs'],
    [NONE, OURS, ...OTHERS].map((variant) => [variant, ...[spread(cpu(variant)), added(variant)].map(formatSpread)]))
  return {
    settings: SETTINGS,
    targets: [{ what: 'a request with a session that it changes, added µs of CPU', measured: added(OURS).median, atMost: MICROSECONDS_AT_MOST }],
    results
  }
}

async function beginSession ({ variant, port }: StateServer): Promise<string> {
  const { headers } = await fetch(`http://127.0.0.1:${port}/`)
  const [cookie] = headers.getSetCookie()
  if (cookie === undefined) throw new Error(`${variant}: the answer has no cookie`)
  return cookie.split(';')[0]!
}
