import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'

/**
 * Empties a folder that others may be reading: it is renamed, an empty one takes its place, and what was in it is
 * removed when `discard` is called. Files that a worker has open stay readable until then.
 */
export function setAside (folder: string | null): { discard (): void } {
  if (folder === null || !existsSync(folder)) return { discard () {} }
  const aside = `${folder}.${process.pid}-${Date.now()}.old`
  renameSync(folder, aside)
  mkdirSync(folder, { recursive: true })
  return {
    discard () {
      rmSync(aside, { recursive: true, force: true })
    }
  }
}
