/* Where else several processes could keep such rows: LMDB in a folder of a tmpfs, and Redis over the loopback. */
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { formatSpread, printTable } from '../../measure/report.ts'
import { ratio, spread } from '../../measure/rounds.ts'
import { STORES, peerVariant } from '../jobs/peers.ts'
import { PEER_OPERATIONS } from '../lmdb.ts'
import { joined } from '../../measure/loops.ts'
import type { Samples } from '../../measure/loops.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { startWorker } from '../workers.ts'

const SETTINGS = { processes: 2, keys: 10_000, fill: 0.5, operations: 100_000, peerOperations: { lmdb: 2000, Redis: 1000 }, warmUps: 4, rounds: 8 }

export async function comparePeers ({ folder, inMemory }: Folders): Promise<Part> {
  const { processes, ...options } = SETTINGS
  const all: Samples[] = []
  for (let n = 0; n < processes; n++) {
    await using worker = startWorker()
    all.push(await worker.call('peers', { folder, lmdbFolder: mkdtempSync(join(inMemory, 'alone-')), ...options }))
  }
  const samples = joined(all)
  printTable(`ns per operation, one worker, ${options.keys} keys: ${processes} processes × ${options.rounds} rounds`,
    ['', 'Map', 'table', 'lmdb', 'Redis', 'lmdb / table', 'Redis / table'],
    PEER_OPERATIONS.map((operation) => {
      const [map, table, lmdb, redis] = STORES.map((store) => samples[peerVariant(store, operation)])
      return [operation, map === undefined ? '' : formatSpread(spread(map)), ...[spread(table!), spread(lmdb!), spread(redis!), ratio(lmdb!, table!), ratio(redis!, table!)].map(formatSpread)]
    }))
  return { settings: SETTINGS, targets: [], results: summarised(samples) }
}
