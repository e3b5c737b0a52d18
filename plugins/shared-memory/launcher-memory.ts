import {
  closeSync, constants, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readSync, renameSync, statSync, unlinkSync, writeSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { MemoryFileError } from '../errors.ts'
import { Allocator } from './allocator.ts'
import { bellPath, fifoWire } from './doorbell.ts'
import { Header, MAGIC, Slot } from './layout.ts'
import { libc } from './libc.ts'
import { Region, formatRegion, headerFault, regionBytes } from './region.ts'
import { withDoorbell } from './shared-memory.ts'
import type { SharedMemory } from './shared-memory.ts'
import { inspectedBytes, soundnessFault } from './soundness.ts'
import { claimSlot, freeSlot, readSlots, slotWord } from './slots.ts'
import type { Role, SlotIdentity } from './slots.ts'

const HALF_MADE = Int32Array.of(MAGIC[0])

export interface LauncherMemoryOptions {
  bytes: number
  /** Where the bells are; a private folder. */
  folder: string
  /** An empty anonymous memory file that was made before, or -1. */
  anonymousFd?: number
  /** A file to map instead of anonymous memory, which then survives a stop. */
  file?: string | null
  /** Told when a file that cannot be used was set aside. */
  warn (message: string): void
}

/** The memory as the launcher has it: it makes the region, gives slots to workers and recovers those of the dead. */
export interface LauncherMemory {
  readonly memory: SharedMemory
  readonly fd: number
  readonly bytes: number
  claim (role: Role, workerId: number, generation: number, cacheReloads?: number): SlotIdentity
  close (): void
}

/** Throws FST_SWOOLE_MEMORY_FILE, FST_SWOOLE_MEMORY_UNAVAILABLE. */
export function createLauncherMemory ({ bytes: wanted, folder, anonymousFd = -1, file, warn }: LauncherMemoryOptions): LauncherMemory {
  const bytes = regionBytes(wanted)
  const fd = file ? openFile(file, bytes, warn) : openAnonymous(folder, bytes, anonymousFd)
  const region = new Region(libc().map(fd, bytes))
  if (region.i32[Header.MAGIC_1] === 0) formatRegion(region)
  const makeBell = (slot: SlotIdentity) => libc().mkfifo(bellPath(folder, slot.index), 0o600)

  const previous = readSlots(region)
  const slot = claimSlot(region, 'primary', 0, 1)
  recoverAll(region, slot, previous)
  region.i32[slotWord(slot.index, Slot.PID)] = process.pid
  Atomics.store(region.i32, Header.GENERATION, 1)
  makeBell(slot)
  const memory = withDoorbell(region, slot, fifoWire(folder, slot.index))

  return {
    memory,
    fd,
    bytes,
    claim (role, workerId, generation, cacheReloads) {
      const slot = claimSlot(region, role, workerId, generation, cacheReloads)
      makeBell(slot)
      return slot
    },
    close () {
      memory.close()
      if (file) {
        fsyncSync(fd)
        libc().unlock(fd)
      }
      closeSync(fd)
    }
  }
}

/** The last users of a file are all gone: what they had in their hands is settled, and their slots are free. */
function recoverAll (region: Region, own: SlotIdentity, previous: SlotIdentity[]): void {
  const allocator = new Allocator(region, own)
  for (const dead of previous) {
    allocator.recover(dead.index, dead.tag)
    freeSlot(region, dead)
  }
}

function openAnonymous (folder: string, bytes: number, made: number): number {
  let fd = made === -1 ? libc().memfd('fastify-swoole') : made
  if (fd === -1) {
    // No memfd on this system: a file that only its descriptor keeps alive.
    const path = join(folder, 'memory')
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
    unlinkSync(path)
  }
  libc().truncate(fd, bytes)
  return fd
}

function openFile (file: string, bytes: number, warn: (message: string) => void): number {
  const fd = openLocked(file)
  try {
    const fault = prepare(fd, file, bytes)
    if (fault === undefined) return fd
    const aside = `${file}.refused-${new Date().toISOString().replaceAll(':', '')}`
    renameSync(file, aside)
    warn(`memory.file ${file} was refused, because ${fault}; it was set aside as ${aside} and a new one is made`)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  closeSync(fd)
  return openFile(file, bytes, warn)
}

/** Why the file cannot be used. Undefined: it can, and all of it has its room on the disk. */
function prepare (fd: number, file: string, bytes: number): string | undefined {
  const { size } = fstatSync(fd)
  const header = new Int32Array(Header.CHECKSUM + 1)
  readSync(fd, header, 0, header.byteLength, 0)
  const isNew = size === 0 || isHalfMade(header)
  const fault = isNew ? undefined : fileFault(header, size) ?? contentFault(fd, size)
  if (fault !== undefined) return fault
  if (!isNew && size !== bytes) throw new MemoryFileError(file, `it has ${size} bytes, but memory.size says ${bytes}; use the size that it has, or move it away`)
  try {
    if (isNew) {
      ftruncateSync(fd)
      writeSync(fd, HALF_MADE, 0, 4, 0)
    }
    libc().allocate(fd, bytes)
    libc().truncate(fd, bytes)
  } catch (error) {
    if (isNew) ftruncateSync(fd)
    throw new MemoryFileError(file, (error as Error).message)
  }
  return undefined
}

/** The file under that name, locked: while this waited for the lock, another launcher may have set the file aside. */
function openLocked (file: string): number {
  const fd = openPrivate(file)
  if (!libc().tryLock(fd)) {
    closeSync(fd)
    throw new MemoryFileError(file, 'another application has it open')
  }
  if (statSync(file, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return fd
  closeSync(fd)
  return openLocked(file)
}

function openPrivate (file: string): number {
  try {
    mkdirSync(dirname(file), { recursive: true })
    return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600)
  } catch (error) {
    throw new MemoryFileError(file, (error as Error).message)
  }
}

/** A launcher that died while it made the file has left the first half of the magic and not the second. */
function isHalfMade (header: Int32Array): boolean {
  return header[Header.MAGIC_0] === MAGIC[0] && header[Header.MAGIC_1] === 0
}

function fileFault (header: Int32Array, size: number): string | undefined {
  if (size !== regionBytes(size)) return `it has ${size} bytes, which is no size of a shared memory`
  return headerFault(header, size)
}

function contentFault (fd: number, size: number): string | undefined {
  const words = new Int32Array(inspectedBytes(size) / 4)
  readSync(fd, words, 0, words.byteLength, 0)
  return soundnessFault(words, size)
}
