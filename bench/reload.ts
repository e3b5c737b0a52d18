/* New code under load: which requests are lost? */
import { setTimeout as sleep } from 'node:timers/promises'
import { runClients } from './measure/keep-alive-clients.ts'
import type { Failures } from './measure/keep-alive-clients.ts'
import { alternate, percentile, spread } from './measure/rounds.ts'
import { formatSpread, printTable, report } from './measure/report.ts'
import { WORKERS, startAll, startFastifySwoole, startPm2, startWatt } from './servers/cluster-servers.ts'
import type { ClusterServer } from './servers/cluster-servers.ts'

interface Variant {
  name: string
  server: ClusterServer
  reloads: boolean
}

interface Sample {
  answered: number
  failed: number
  failures: Failures
  p50Ms: number
  p99Ms: number
  maxMs: number
  /** How long each reload took. */
  reloadsMs: number[]
}

const ROUNDS = 3
const SECONDS = 10
const CLIENTS = 32
const RELOAD_EVERY_MS = 1000

export async function run (): Promise<void> {
  await using all = await startAll(startFastifySwoole, startPm2, startWatt)
  const [ours, pm2, watt] = all.servers as [ClusterServer, ClusterServer, ClusterServer]
  const variants: Variant[] = [
    { name: 'fastify-swoole reload', server: ours, reloads: true },
    { name: 'pm2 reload', server: pm2, reloads: true },
    { name: 'wattpm restart', server: watt, reloads: true },
    { name: 'fastify-swoole, no reload', server: ours, reloads: false }
  ]
  const samples = await alternate(variants, ROUNDS, (variant) => measure(variant))
  const rows = variants.map((variant) => {
    const rounds = samples.get(variant)!
    return {
      name: variant.name,
      answered: spread(rounds.map(({ answered }) => answered)),
      failed: spread(rounds.map(({ failed }) => failed)),
      p99Ms: spread(rounds.map(({ p99Ms }) => p99Ms)),
      maxMs: spread(rounds.map(({ maxMs }) => maxMs)),
      reloads: rounds.reduce((sum, { reloadsMs }) => sum + reloadsMs.length, 0),
      reloadMs: variant.reloads ? spread(rounds.flatMap(({ reloadsMs }) => reloadsMs)) : undefined,
      rounds
    }
  })
  printTable(`${CLIENTS} keep-alive connections for ${SECONDS} s, a reload each second or as soon as the last one is done: ${WORKERS} workers, ${ROUNDS} rounds`,
    ['', 'answered', 'failed', 'p99 ms', 'longest ms', 'reloads', 'ms per reload'],
    rows.map(({ name, answered, failed, p99Ms, maxMs, reloads, reloadMs }) => [
      name, formatSpread(answered), formatSpread(failed), formatSpread(p99Ms), formatSpread(maxMs), String(reloads), reloadMs === undefined ? '' : formatSpread(reloadMs)
    ]))
  report({
    name: 'reload',
    settings: { workers: WORKERS, clients: CLIENTS, seconds: SECONDS, rounds: ROUNDS, reloadEveryMs: RELOAD_EVERY_MS },
    targets: [{ what: 'requests that fastify-swoole reload failed, worst round', measured: rows[0]!.failed.max, atMost: 0 }],
    results: rows
  })
}

async function measure ({ server, reloads }: Variant): Promise<Sample> {
  const reloadsMs: number[] = []
  const until = reloads ? reloadRepeatedly(server, reloadsMs) : sleep(SECONDS * 1000)
  const { answered, failures, latenciesMs } = await runClients(server.port, CLIENTS, until)
  return {
    answered,
    failed: Object.values(failures).reduce((sum, count) => sum + count, 0),
    failures,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
    maxMs: percentile(latenciesMs, 1),
    reloadsMs
  }
}

/** Ends after `SECONDS`, or with the reload that runs then: what it breaks is to be seen. */
async function reloadRepeatedly (server: ClusterServer, durationsMs: number[]): Promise<void> {
  const startedAt = performance.now()
  for (;;) {
    const reloadedAt = performance.now()
    await server.reload()
    durationsMs.push(performance.now() - reloadedAt)
    const restMs = Math.max(0, RELOAD_EVERY_MS - (performance.now() - reloadedAt))
    const leftMs = SECONDS * 1000 - (performance.now() - startedAt)
    await sleep(Math.max(0, Math.min(restMs, leftMs)))
    if (leftMs <= restMs) return
  }
}
