import { findProject, readArguments } from '../arguments.ts'
import { ask } from '../control-client.ts'
import type { ReloadResult } from '../launcher/reload.ts'
import { printProgress } from '../progress.ts'

export async function execute (args: string[]): Promise<number> {
  const { values } = readArguments(args, {
    'no-cache-clear': { type: 'boolean' },
    'only-cache': { type: 'boolean' },
    opcache: { type: 'boolean' }
  } as const)
  const onlyCache = values['only-cache'] === true
  if (onlyCache && values['no-cache-clear']) throw new Error('--only-cache and --no-cache-clear together would do nothing')
  const done = await ask(findProject(values.project), {
    command: 'reload',
    clearCache: values['no-cache-clear'] !== true,
    clearOpcache: values.opcache === true,
    onlyCache
  }, printProgress)
  if (onlyCache) {
    process.stdout.write('caches cleared\n')
  } else {
    const { generation, durationMs } = done as ReloadResult
    process.stdout.write(`reloaded in ${durationMs} ms, generation ${generation}\n`)
  }
  return 0
}
