/*
 * A process that measures what its parent tells it to and sends the figures back. For what one process does alone it makes
 * the region itself, so that the memory goes with it.
 */
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { answerJobs } from '../measure/workers.ts'
import { measureHandOver, measureLock } from './jobs/lock.ts'
import type { AskAgain } from './jobs/lock.ts'
import type { PeersOptions } from './jobs/peers.ts'
import { measureQueue } from './jobs/queue.ts'
import { measureTables } from './jobs/tables.ts'
import type { PreparedOperations, TogetherOptions, TogetherOperation } from './jobs/together.ts'

let memory: SharedMemory
let id: number
let prepared: PreparedOperations

const jobs = {
  attach (attachment: Attachment, ownId: number) {
    memory = attachMemory(attachment)
    id = ownId
  },
  tables: measureTables,
  lock: measureLock,
  handOver: (handOvers: number, askAgain: AskAgain) => measureHandOver(memory, handOvers, askAgain),
  queue: measureQueue,
  // Imported when asked for: the other processes are not to load what peers bring along.
  async peers (options: PeersOptions) {
    const { measurePeers } = await import('./jobs/peers.ts')
    return measurePeers(options)
  },
  async prepareTogether (options: TogetherOptions) {
    const { prepareTogether } = await import('./jobs/together.ts')
    prepared = prepareTogether(memory, id, options)
  },
  together: (operation: TogetherOperation, passes: number) => prepared.measure(operation, passes),
  sums: () => prepared.sums()
}

export type Jobs = typeof jobs

answerJobs(jobs)
