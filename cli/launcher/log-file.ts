import { closeSync, constants, openSync } from 'node:fs'
import { OptionsInvalidError } from '../../plugins/errors.ts'
import { libc } from '../../plugins/shared-memory/libc.ts'

/**
 * Sends this process's stdout and stderr to the end of a file. Called again after a log rotation it opens the new
 * file under the old descriptors, so whoever writes to 1 and 2 need not know.
 */
export function openLogFile (path: string): void {
  const fd = openForLog(path)
  libc().duplicateTo(fd, 1)
  libc().duplicateTo(fd, 2)
  closeSync(fd)
}

export function openForLog (path: string): number {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o640)
  } catch (error) {
    throw new OptionsInvalidError(`log.file is "${path}", which cannot be opened: ${(error as Error).message}`)
  }
}
