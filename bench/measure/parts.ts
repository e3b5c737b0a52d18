/* A benchmark of several parts that have one report. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit } from './clean-up.ts'
import type { Folders, Part } from './part.ts'
import { redisVersion } from './redis.ts'
import { report } from './report.ts'

const IN_MEMORY = '/dev/shm'

/** Runs the parts one after another; `packages` are those whose versions the report tells beside those that all tell. */
export async function runParts (name: string, parts: Record<string, (folders: Folders) => Promise<Part>>, packages: string[]): Promise<void> {
  const versions = { redis: await redisVersion(), ...Object.fromEntries(packages.map((name) => [name, versionOf(name)])) }
  using stack = new DisposableStack()
  const folders = { folder: temporaryFolder(tmpdir(), stack), inMemory: temporaryFolder(IN_MEMORY, stack) }
  const done: Record<string, Part> = {}
  for (const [part, compare] of Object.entries(parts)) done[part] = await compare(folders)
  const of = <Key extends keyof Part>(key: Key) => Object.fromEntries(Object.entries(done).map(([part, result]) => [part, result[key]]))
  report({
    name,
    settings: { versions, ...of('settings') },
    targets: Object.values(done).flatMap(({ targets }) => targets),
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
  return JSON.parse(readFileSync(join(import.meta.dirname, '..', 'node_modules', name, 'package.json'), 'utf8')).version
}
