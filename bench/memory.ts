/* What tables, locks and queues cost beside a Map, a compare-and-swap, a message, LMDB and Redis. */
import { runParts } from './measure/parts.ts'
import { compareHandOver } from './memory/parts/hand-over.ts'
import { compareLock } from './memory/parts/lock.ts'
import { comparePeers } from './memory/parts/peers.ts'
import { compareQueue } from './memory/parts/queue.ts'
import { compareTables } from './memory/parts/tables.ts'
import { compareTogether } from './memory/parts/together.ts'

const PARTS = {
  tables: compareTables,
  together: compareTogether,
  lock: compareLock,
  handOver: compareHandOver,
  queue: compareQueue,
  peers: comparePeers
}

export const run = (): Promise<void> => runParts('memory', PARTS, ['lmdb', 'ioredis'])
