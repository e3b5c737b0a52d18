import { closeSync, constants, fstatSync, fsyncSync, mkdirSync, openSync, renameSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { MemoryFileError } from '../errors.ts'
import { Allocator } from './allocator.ts'
import { bellPath, fifoWire } from './doorbell.ts'
import { Header, Slot } from './layout.ts'
import { libc } from './libc.ts'
import { Region, formatRegion, regionBytes, regionFault } from './region.ts'
import { SharedMemory } from './shared-memory.ts'
import { claimSlot, freeSlot, readSlots, slotWord } from './slots.ts'
import type { Role, SlotIdentity } from './slots.ts'

export interface LauncherMemoryOptions {
  bytes: number
  /** Where the bells are; a private folder. */
  folder: string
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
  claim (role: Role, workerId: number, generation: number): SlotIdentity
  close (): void
}

/** Throws FST_SWOOLE_MEMORY_FILE, FST_SWOOLE_MEMORY_UNAVAILABLE. */
export function createLauncherMemory ({ bytes: wanted, folder, file, warn }: LauncherMemoryOptions): LauncherMemory {
  const bytes = regionBytes(wanted)
  const fd = file ? openFile(file, bytes, warn) : openAnonymous(folder, bytes)
  const region = new Region(libc().map(fd, bytes))
  if (region.i32[Header.MAGIC_0] === 0) formatRegion(region)
  const makeBell = (slot: SlotIdentity) => libc().mkfifo(bellPath(folder, slot.index), 0o600)

  const previous = readSlots(region)
  const slot = claimSlot(region, 'primary', 0, 1)
  recoverAll(region, slot, previous)
  region.i32[slotWord(slot.index, Slot.PID)] = process.pid
  Atomics.store(region.i32, Header.GENERATION, 1)
  Atomics.store(region.i32, Header.IN_USE, 1)
  makeBell(slot)
  const memory = new SharedMemory(region, slot, fifoWire(folder, slot.index))

  return {
    memory,
    fd,
    bytes,
    claim (role, workerId, generation) {
      const slot = claimSlot(region, role, workerId, generation)
      makeBell(slot)
      return slot
    },
    close () {
      memory.close()
      Atomics.store(region.i32, Header.IN_USE, 0)
      if (file) fsyncSync(fd)
      closeSync(fd)
    }
  }
}

/** The last users of a file are all gone: what they had in their hands is settled, and their slots are free. */
function recoverAll (region: Region, own: SlotIdentity, previous: SlotIdentity[]): void {
  const allocator = new Allocator(region, own)
  for (const { index, tag } of previous) {
    allocator.recover(index, tag)
    freeSlot(region, index)
  }
}

function openAnonymous (folder: string, bytes: number): number {
  let fd = libc().memfd('fastify-swoole')
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
  const fd = openPrivate(file)
  if (!libc().tryLock(fd)) throw new MemoryFileError(file, 'another application has it open')
  const { size } = fstatSync(fd)
  if (size === 0) {
    libc().allocate(fd, bytes)
    libc().truncate(fd, bytes)
    return fd
  }
  const fault = fileFault(fd, size)
  if (fault === undefined) {
    if (size === bytes) return fd
    throw new MemoryFileError(file, `it has ${size} bytes, but memory.size says ${bytes}; use the size that it has, or move it away`)
  }
  closeSync(fd)
  const aside = `${file}.refused-${new Date().toISOString().replaceAll(':', '')}`
  renameSync(file, aside)
  warn(`memory.file ${file} was refused, because ${fault}; it was set aside as ${aside} and a new one is made`)
  return openFile(file, bytes, warn)
}

function openPrivate (file: string): number {
  try {
    mkdirSync(dirname(file), { recursive: true })
    return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600)
  } catch (error) {
    throw new MemoryFileError(file, (error as Error).message)
  }
}

function fileFault (fd: number, size: number): string | undefined {
  if (size !== regionBytes(size)) return `it has ${size} bytes, which is no size of a shared memory`
  return regionFault(new Region(libc().map(fd, size)))
}
