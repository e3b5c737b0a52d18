/* What tables, locks and queues cost beside a Map, a compare-and-swap, a message, LMDB and Redis. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit } from './measure/clean-up.ts'
import { report } from './measure/report.ts'
import type { Part } from './memory/part.ts'
import { compareHandOver } from './memory/parts/hand-over.ts'
import { compareLock } from './memory/parts/lock.ts'
import { comparePeers } from './memory/parts/peers.ts'
import { compareQueue } from './memory/parts/queue.ts'
import { compareTables } from './memory/parts/tables.ts'
import { compareTogether } from './memory/parts/together.ts'
import { redisVersion } from './memory/redis.ts'

const PARTS = {
  tables: compareTables,
  together: compareTogether,
  lock: compareLock,
  handOver: compareHandOver,
  queue: compareQueue,
  peers: comparePeers
}
const IN_MEMORY = '/dev/shm'

export async function run (): Promise<void> {
  const versions = { redis: await redisVersion(), ...Object.fromEntries(['lmdb', 'ioredis'].map((name) => [name, versionOf(name)])) }
  using stack = new DisposableStack()
  const folders = { folder: temporaryFolder(tmpdir(), stack), inMemory: temporaryFolder(IN_MEMORY, stack) }
  const parts: Record<string, Part> = {}
  for (const [name, compare] of Object.entries(PARTS)) parts[name] = await compare(folders)
  const of = <Key extends keyof Part>(key: Key) => Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part[key]]))
  report({
    name: 'memory',
    settings: { versions, ...of('settings') },
    targets: Object.values(parts).flatMap(({ targets }) => targets),
    results: of('results')
  })
}

function temporaryFolder (parent: string, stack: DisposableStack): string {
  const folder = mkdtempSync(join(parent, 'bench-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  stack.defer(remove)
  stack.defer(atExit(remove))
  return folder
}

function versionOf (name: string): string {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'node_modules', name, 'package.json'), 'utf8')).version
}
