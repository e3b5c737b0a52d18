import { findProject, readArguments } from '../arguments.ts'
import { ask } from '../control-client.ts'
import { paint } from '../launcher/reporter.ts'
import type { WorkerInfo } from '../../plugins/runtime.ts'

interface Status {
  pid: number
  app: string
  url: string
  generation: number
  uptimeMs: number
  wanted: { http: number, task: number }
  memory: { bytes: number, used: number, blocks: number }
  workers: WorkerInfo[]
}

const COLUMNS: Array<[string, (worker: WorkerInfo) => string]> = [
  ['id', ({ id }) => String(id)],
  ['role', ({ role }) => role],
  ['pid', ({ pid }) => String(pid)],
  ['gen', ({ generation }) => String(generation)],
  ['state', ({ state }) => state],
  ['requests', ({ requests }) => String(requests)],
  ['in flight', ({ inFlight }) => String(inFlight)],
  ['connections', ({ connections }) => String(connections)],
  ['memory', ({ rss }) => megabytes(rss)],
  ['loop', ({ eventLoopUtilization }) => `${Math.round(eventLoopUtilization * 100)} %`]
]

export async function execute (args: string[]): Promise<number> {
  const { values } = readArguments(args, { json: { type: 'boolean' } } as const)
  const status = await ask(findProject(values.project), { command: 'status' }, () => {}) as Status
  process.stdout.write(values.json ? `${JSON.stringify(status, null, 2)}\n` : describe(status))
  return 0
}

function describe ({ pid, app, url, generation, uptimeMs, wanted, memory, workers }: Status): string {
  const ready = (role: string) => workers.filter((worker) => worker.role === role && worker.state === 'ready').length
  return [
    `${paint('bold', app, process.stdout)} on ${url}`,
    `process ${pid}, up ${Math.round(uptimeMs / 1000)} s, generation ${generation}, ${ready('http')}/${wanted.http} workers, ${ready('task')}/${wanted.task} task workers`,
    `shared memory ${megabytes(memory.used)} of ${megabytes(memory.bytes)}`,
    '',
    ...table(workers),
    ''
  ].join('\n')
}

function table (workers: WorkerInfo[]): string[] {
  const rows = [COLUMNS.map(([title]) => title), ...workers.map((worker) => COLUMNS.map(([, cell]) => cell(worker)))]
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column]!)).join('  '))
}

function megabytes (bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`
}
