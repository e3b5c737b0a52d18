/* What it costs to have something done in another process: ours beside threads, bare messages between processes, and a queue in Redis. */
import { join } from 'node:path'
import { runParts } from './measure/parts.ts'
import type { Folders, Part } from './measure/part.ts'
import { makeRegion } from './measure/region.ts'
import { formatSpread, printTable } from './measure/report.ts'
import { alternate, ratio, spread } from './measure/rounds.ts'
import { startAttached } from './measure/workers.ts'
import { PEERS } from './tasks/callers.ts'
import type { Peer } from './tasks/callers.ts'
import type { Load, Sample } from './tasks/loops.ts'
import type { Jobs } from './tasks/worker.ts'

const SETTINGS = { workers: 2, rounds: 8, inFlight: 64, tasks: { alone: 2000, together: 20_000, large: 2000 }, bullTasks: { alone: 200, together: 1000, large: 200 } }
const OURS: Peer = 'fastify-swoole'
const SEND_AT_MOST = 1
const TASKS_PER_SECOND_AT_LEAST = 60_000
const OF_BULLMQ_AT_LEAST = 20
const FILE = join(import.meta.dirname, 'tasks', 'worker.ts')

export const run = (): Promise<void> => runParts('tasks', { roundTrips: compareRoundTrips }, ['piscina', 'bullmq', 'ioredis'])

async function compareRoundTrips ({ folder }: Folders): Promise<Part> {
  const { workers, rounds, inFlight, tasks, bullTasks } = SETTINGS
  const { launcher, bells } = makeRegion(folder, 2 ** 27)
  const queue = { workers, queue: 'tasks', prefix: `fastify-swoole-bench:${process.pid}` }
  await using stack = new AsyncDisposableStack()
  for (let id = 1; id <= workers; id++) {
    await stack.use(await startAttached<Jobs>(FILE, launcher, bells, id)).call('runTasks')
    await stack.use(await startAttached<Jobs>(FILE, launcher, bells, workers + id)).call('runJobs', queue.queue, queue.prefix)
  }
  const caller = stack.use(await startAttached<Jobs>(FILE, launcher, bells, 0))
  for (const peer of PEERS) await caller.call('open', peer, queue)

  const loads: Record<string, (peer: Peer) => Load> = {
    'one at a time, small': (peer) => ({ payload: 'small', atOnce: 1, tasks: (peer === 'BullMQ' ? bullTasks : tasks).alone }),
    'one at a time, 64 kB': (peer) => ({ payload: '64 kB', atOnce: 1, tasks: (peer === 'BullMQ' ? bullTasks : tasks).large }),
    [`${inFlight} at once, small`]: (peer) => ({ payload: 'small', atOnce: inFlight, tasks: (peer === 'BullMQ' ? bullTasks : tasks).together }),
    [`${inFlight} at once, 64 kB`]: (peer) => ({ payload: '64 kB', atOnce: inFlight, tasks: (peer === 'BullMQ' ? bullTasks : tasks).large })
  }
  const results: Record<string, Record<string, Sample[]>> = {}
  for (const [name, load] of Object.entries(loads)) {
    for (const peer of PEERS) await caller.call('measure', peer, load(peer))
    const samples = await alternate([...PEERS], rounds, (peer) => caller.call('measure', peer, load(peer)))
    results[name] = Object.fromEntries(samples)
    const figures = (peer: Peer, figure: keyof Sample) => samples.get(peer)!.map((sample) => sample[figure])
    printTable(`${name}: ${workers} workers, ${rounds} rounds`, ['', 'p50 µs', '/ process.send', 'p99 µs', 'tasks/s', '/ BullMQ'], PEERS.map((peer) => [peer, ...[
      spread(figures(peer, 'p50')), ratio(figures(peer, 'p50'), figures('process.send', 'p50')), spread(figures(peer, 'p99')),
      spread(figures(peer, 'tasksPerSecond')), ratio(figures(peer, 'tasksPerSecond'), figures('BullMQ', 'tasksPerSecond'))
    ].map(formatSpread)]))
  }
  await caller.call('close')
  launcher.close()

  const of = (load: string, peer: Peer, figure: keyof Sample) => results[load]![peer]!.map((sample) => sample[figure])
  const together = `${inFlight} at once, small`
  return {
    settings: SETTINGS,
    targets: [
      { what: 'one small task at a time, p50 / process.send', measured: ratio(of('one at a time, small', OURS, 'p50'), of('one at a time, small', 'process.send', 'p50')).median, atMost: SEND_AT_MOST },
      { what: `${inFlight} small tasks at once, tasks per second`, measured: spread(of(together, OURS, 'tasksPerSecond')).median, atLeast: TASKS_PER_SECOND_AT_LEAST },
      { what: 'the same / BullMQ', measured: ratio(of(together, OURS, 'tasksPerSecond'), of(together, 'BullMQ', 'tasksPerSecond')).median, atLeast: OF_BULLMQ_AT_LEAST }
    ],
    results
  }
}
