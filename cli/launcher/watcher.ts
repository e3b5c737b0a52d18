import { existsSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { watch } from 'chokidar'

/** Saves that come within this time of each other are one change. */
const DEBOUNCE_MS = 30

export interface WatcherOptions {
  project: string
  /** Folders and files, relative to the project. */
  paths: string[]
  /** Milliseconds between two looks; undefined: the system tells of changes. */
  pollIntervalMs: number | undefined
  changed (files: string[]): void
  warn (message: string): void
}

export interface Watcher {
  /** Watches these files too: those that the workers loaded. */
  add (files: string[]): void
  close (): Promise<void>
}

/** Tells of files that were added, changed or removed, as paths relative to the project. */
export async function watchFiles ({ project, paths, pollIntervalMs, changed, warn }: WatcherOptions): Promise<Watcher> {
  const known = new Set<string>()
  const files = new Set<string>()
  let timer: NodeJS.Timeout | undefined

  const existing = (candidates: string[]) => candidates
    .map((path) => resolve(project, path))
    .filter((path) => !known.has(path) && existsSync(path) && known.add(path))

  const watcher = watch(existing(paths), {
    ignoreInitial: true,
    ignored: (path) => /(^|[\\/])(node_modules|\.git)([\\/]|$)/.test(relative(project, path)),
    usePolling: pollIntervalMs !== undefined,
    interval: pollIntervalMs ?? 100,
    binaryInterval: pollIntervalMs ?? 300
  })
  watcher.on('all', (_event, path) => {
    files.add(relative(project, path))
    clearTimeout(timer)
    timer = setTimeout(() => {
      const batch = [...files]
      files.clear()
      changed(batch)
    }, DEBOUNCE_MS)
  })
  watcher.on('error', (error) => warn(`watching failed: ${(error as Error).message}`))
  await new Promise<void>((resolve) => watcher.once('ready', resolve))

  return {
    add (more) {
      const fresh = existing(more)
      if (fresh.length > 0) watcher.add(fresh)
    },
    async close () {
      clearTimeout(timer)
      await watcher.close()
    }
  }
}
