import type { FastifyInstance } from 'fastify'
import type { PoolStats } from './pool.ts'

/** What is used of the client of Prometheus that fastify-metrics has. */
interface Prometheus {
  register: { getSingleMetric (name: string): unknown }
  Gauge: new (options: MetricOptions) => Metric
  Counter: new (options: MetricOptions) => Metric
}
interface MetricOptions { name: string, help: string, labelNames: string[], collect (this: Metric): void }
interface Metric {
  set (labels: object, value: number): void
  inc (labels: object, value: number): void
  reset (): void
}

const PREFIX = 'swoole_pool_'

const METRICS: Array<{ name: string, help: string, kind: 'Gauge' | 'Counter', values: (stats: PoolStats) => Array<[labels: object, value: number]> }> = [
  { name: 'size', help: 'Connections that the pool may have', kind: 'Gauge', values: ({ size }) => [[{}, size]] },
  { name: 'connections', help: 'Connections that the pool has', kind: 'Gauge', values: ({ available, inUse }) => [[{ state: 'available' }, available], [{ state: 'in_use' }, inUse]] },
  { name: 'waiting', help: 'Callers that wait for a connection', kind: 'Gauge', values: ({ waiting }) => [[{}, waiting]] },
  { name: 'opened_total', help: 'Connections that were opened', kind: 'Counter', values: ({ opened }) => [[{}, opened]] },
  { name: 'closed_total', help: 'Connections that were closed or have broken', kind: 'Counter', values: ({ closed }) => [[{}, closed]] },
  { name: 'failures_total', help: 'Attempts to connect that failed', kind: 'Counter', values: ({ failures }) => [[{}, failures]] },
  { name: 'timeouts_total', help: 'Callers that waited for a connection in vain', kind: 'Counter', values: ({ timeouts }) => [[{}, timeouts]] }
]

/** Pools of this process by their names, for each register of metrics: applications of one process may share it. */
const poolsOf = new WeakMap<object, Map<string, () => PoolStats>>()

/** Adds the pool's figures to what fastify-metrics collects, where that is registered. */
export function exposeStats (fastify: FastifyInstance, name: string, stats: () => PoolStats): void {
  let pools: Map<string, () => PoolStats> | undefined
  fastify.addHook('onReady', async () => {
    const client = (fastify as unknown as { metrics?: { client?: Prometheus } }).metrics?.client
    if (typeof client?.register?.getSingleMetric !== 'function') return
    pools = poolsOf.get(client.register) ?? new Map<string, () => PoolStats>()
    poolsOf.set(client.register, pools)
    pools.set(name, stats)
    declare(client, pools)
  })
  fastify.addHook('onClose', async () => {
    if (pools?.get(name) === stats) pools.delete(name)
  })
}

/** The client puts what is made into its register. */
function declare (client: Prometheus, pools: Map<string, () => PoolStats>): Metric[] {
  const missing = METRICS.filter(({ name }) => client.register.getSingleMetric(PREFIX + name) === undefined)
  return missing.map(({ name, help, kind, values }) => new client[kind]({
    name: PREFIX + name,
    help,
    labelNames: ['pool', 'state'],
    collect () {
      this.reset()
      for (const [pool, stats] of pools) {
        for (const [labels, value] of values(stats())) {
          if (kind === 'Gauge') this.set({ pool, ...labels }, value)
          else this.inc({ pool, ...labels }, value)
        }
      }
    }
  }))
}
