import { readArguments, readInteger } from '../arguments.ts'
import { launch } from '../launch.ts'
import { paint, terminalReporter } from '../launcher/reporter.ts'
import { watchFiles } from '../launcher/watcher.ts'
import { START_FLAGS, commandLineOptions } from './start.ts'

const SHOWN_FILES = 5
/** When the workers have come up, so that the processes of the next reload take no time from them. */
const PREPARE_AFTER_MS = 500

export async function execute (args: string[]): Promise<number> {
  const { values, app: named } = readArguments(args, {
    ...START_FLAGS,
    'poll-interval': { type: 'string' },
    'no-clear-cache': { type: 'boolean' }
  } as const, true)
  const commandLine = commandLineOptions(values)
  const interval = readInteger('poll-interval', values['poll-interval'])
  if (interval !== undefined) commandLine.hotReload = { polling: true, interval }
  const { primary, project, app, options: { hotReload } } = await launch({
    app: named,
    project: values.project,
    config: values.config,
    commandLine,
    defaultWorkers: 1,
    defaultTaskWorkers: 1,
    reportFiles: true
  })
  const reporter = terminalReporter()
  const tellListening = () => process.stdout.write(`${paint('green', 'listening', process.stdout)} on ${primary.url} (${primary.startedInMs} ms, process ${process.pid})\n`)
  if (!hotReload.enabled) {
    tellListening()
    reporter.warn('hotReload.enabled is false: changes are not watched')
    return primary.ended
  }

  let preparing: NodeJS.Timeout | undefined
  const prepareSoon = () => {
    clearTimeout(preparing)
    preparing = setTimeout(() => primary.prepareReload(), PREPARE_AFTER_MS).unref()
  }
  let reloads = 0
  let isReloading = false
  let pending: string[] = []
  const reload = async () => {
    if (isReloading) return
    isReloading = true
    while (pending.length > 0) {
      const files = pending
      pending = []
      reporter.note(`[reload ${++reloads}] ${describeFiles(files)}`)
      try {
        const { swapped } = primary.reload({ clearCache: values['no-clear-cache'] !== true, clearOpcache: false }, () => {})
        const { durationMs } = await swapped
        reporter.note(`${paint('green', 'new code serves', process.stdout)} (${durationMs} ms)`)
        watcher.add(primary.loadedFiles())
      } catch (error) {
        reporter.warn((error as Error).message)
      }
    }
    isReloading = false
    prepareSoon()
  }
  const watcher = await watchFiles({
    project,
    paths: [app, ...hotReload.watch, ...primary.loadedFiles()],
    pollIntervalMs: hotReload.polling ? hotReload.interval : undefined,
    changed (files) {
      pending.push(...files)
      reload()
    },
    warn: (message) => reporter.warn(message)
  })
  // Only now: who reads it may save at once.
  tellListening()
  prepareSoon()
  const code = await primary.ended
  clearTimeout(preparing)
  await watcher.close()
  return code
}

function describeFiles (files: string[]): string {
  const shown = files.slice(0, SHOWN_FILES).join(', ')
  return files.length > SHOWN_FILES ? `${shown} and ${files.length - SHOWN_FILES} more changed` : `${shown} changed`
}
