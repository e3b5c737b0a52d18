import { createHash, randomBytes } from 'node:crypto'
import { closeSync, constants, existsSync, fstatSync, lstatSync, mkdirSync, openSync, readFileSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { AppInvalidError } from '../../plugins/errors.ts'
import { libc } from '../../plugins/shared-memory/libc.ts'
import { isSameProcess, startTimeOf } from './process-identity.ts'
import type { ProcessIdentity } from './process-identity.ts'

/*
 * What a running application keeps in the file system, in a private folder that is found from the project's path:
 *
 *     lock           locked by the primary while it lives; the kernel unlocks it, however the primary ends
 *     control.sock   where commands talk to the primary
 *     primary.json   who the primary is, for a command that it does not answer
 *     bells-…/       the bells of this run's workers
 */
export interface RunDirectory {
  readonly path: string
  readonly bells: string
  readonly controlSocket: string
  remove (): void
}

/** The folder of the nearest package.json above the application's file, or the file's own folder. */
export function projectOf (file: string): string {
  const start = existsSync(file) && statSync(file).isDirectory() ? realpathSync(file) : realpathSync(dirname(resolve(file)))
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (folder === dirname(folder)) return start
  }
}

export function runDirectoryOf (project: string): string {
  const name = createHash('sha256').update(realpathSync(project)).digest('hex').slice(0, 16)
  return join(runRoot(), name)
}

export const controlSocketOf = (project: string) => join(runDirectoryOf(project), 'control.sock')

/** Takes the application's run directory, or says undefined when a running application has it. */
export function takeRunDirectory (project: string): RunDirectory | undefined {
  const path = runDirectoryOf(project)
  makePrivate(runRoot())
  const lock = lockDirectory(path)
  if (lock === undefined) return undefined
  sweep(path)
  const bells = join(path, `bells-${randomBytes(6).toString('hex')}`)
  mkdirSync(bells, { mode: 0o700 })
  const identity: ProcessIdentity = { pid: process.pid, startTime: startTimeOf(process.pid) }
  writeFileSync(join(path, 'primary.json'), JSON.stringify(identity), { mode: 0o600 })
  return {
    path,
    bells,
    controlSocket: join(path, 'control.sock'),
    remove () {
      rmSync(path, { recursive: true, force: true })
      closeSync(lock)
    }
  }
}

/** Removes what an application that is gone left behind. False: one is running. */
export function sweepRunDirectory (project: string): boolean {
  const path = runDirectoryOf(project)
  if (!existsSync(path)) return true
  const lock = lockDirectory(path)
  if (lock === undefined) return false
  rmSync(path, { recursive: true, force: true })
  closeSync(lock)
  return true
}

/** The primary that holds the run directory, if it is still the process that wrote its name there. */
export function runningPrimary (project: string): ProcessIdentity | undefined {
  try {
    const identity = JSON.parse(readFileSync(join(runDirectoryOf(project), 'primary.json'), 'utf8')) as ProcessIdentity
    return isSameProcess(identity) ? identity : undefined
  } catch {
    return undefined
  }
}

/** The locked descriptor, or undefined when another process has the lock. */
function lockDirectory (path: string): number | undefined {
  const file = join(path, 'lock')
  for (;;) {
    makePrivate(path)
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600)
    if (!libc().tryLock(fd)) {
      closeSync(fd)
      return undefined
    }
    // Who had the lock before may have removed the folder between our open and our lock: then it locks nothing.
    const onDisk = statSync(file, { throwIfNoEntry: false })
    if (onDisk?.ino === fstatSync(fd).ino) return fd
    closeSync(fd)
  }
}

function sweep (path: string): void {
  for (const name of readdirSync(path)) {
    if (name !== 'lock') rmSync(join(path, name), { recursive: true, force: true })
  }
}

function makePrivate (folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = lstatSync(folder)
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0 || !lstatSync(folder).isDirectory()) {
    throw new AppInvalidError(folder, 'its run directory must be a folder of this user that nobody else can enter; remove it')
  }
}

/** A socket's path may have 107 bytes, which some temporary folders use up. */
function runRoot (): string {
  const temporary = tmpdir()
  return join(temporary.length < 50 ? temporary : '/tmp', `fastify-swoole-${process.getuid?.() ?? 0}`)
}
