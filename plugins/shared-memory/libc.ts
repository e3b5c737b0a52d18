import { createRequire } from 'node:module'
import { getSystemErrorMessage } from 'node:util'
import { MemoryUnavailableError } from '../errors.ts'

/*
 * The few system calls that Node does not have, through koffi. They are bound when first asked for: a process alone
 * keeps its memory in a SharedArrayBuffer and never loads koffi.
 */

export interface Libc {
  memfd (name: string): number
  truncate (fd: number, bytes: number): void
  allocate (fd: number, bytes: number): void
  map (fd: number, bytes: number): ArrayBuffer
  mkfifo (path: string, mode: number): void
  /**
   * False when somebody else holds the lock. It lasts while a process has the open file or a mapping of it, so closing
   * the descriptor of a mapped file needs `unlock` first; it never outlives the processes.
   */
  tryLock (fd: number): boolean
  unlock (fd: number): void
  duplicateTo (from: number, to: number): void
}

const PROT_READ_WRITE = 1 | 2
const MAP_SHARED = 1
const MFD_CLOEXEC = 1
const LOCK_EX_NB = 2 | 4
const LOCK_UN = 8
const EWOULDBLOCK = 'EAGAIN'

let bound: Libc | undefined

/** Throws FST_SWOOLE_MEMORY_UNAVAILABLE where koffi does not load (install scripts forbidden, no build for the platform). */
export function libc (): Libc {
  bound ??= bind()
  return bound
}

function bind (): Libc {
  const koffi = loadKoffi()
  const library = koffi.load(null)
  const optional = (prototype: string) => {
    try {
      return library.func(prototype)
    } catch {
      return undefined
    }
  }
  const memfdCreate = optional('int memfd_create(const char *name, unsigned int flags)')
  const posixFallocate = optional('int posix_fallocate(int fd, int64_t offset, int64_t length)')
  const ftruncate = library.func('int ftruncate(int fd, int64_t length)')
  const mmap = library.func('void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)')
  const mkfifo = library.func('int mkfifo(const char *path, unsigned int mode)')
  const flock = library.func('int flock(int fd, int operation)')
  const dup2 = library.func('int dup2(int from, int to)')

  const failed = (what: string, errno = koffi.errno()) =>
    new MemoryUnavailableError(what, getSystemErrorMessage(-errno))
  const check = (result: number, what: string) => {
    if (result < 0) throw failed(what)
    return result
  }

  return {
    memfd (name) {
      if (memfdCreate === undefined) return -1
      return check(memfdCreate(name, MFD_CLOEXEC), 'made')
    },
    truncate (fd, bytes) {
      check(ftruncate(fd, bytes), `sized to ${bytes} bytes`)
    },
    allocate (fd, bytes) {
      if (posixFallocate === undefined) return
      const errno = posixFallocate(fd, 0, bytes)
      if (errno !== 0) throw failed(`given ${bytes} bytes on disk`, errno)
    },
    map (fd, bytes) {
      const address = mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED, fd, 0)
      if (BigInt.asIntN(64, BigInt(address)) === -1n) throw failed('mapped')
      return koffi.view(address, bytes)
    },
    mkfifo (path, mode) {
      if (mkfifo(path, mode) < 0 && koffi.errno() !== koffi.os.errno['EEXIST']) throw failed(`given the bell ${path}`)
    },
    tryLock (fd) {
      if (flock(fd, LOCK_EX_NB) === 0) return true
      if (koffi.errno() === koffi.os.errno[EWOULDBLOCK]) return false
      throw failed('locked')
    },
    unlock (fd) {
      check(flock(fd, LOCK_UN), 'unlocked')
    },
    duplicateTo (from, to) {
      check(dup2(from, to), `sent to descriptor ${to}`)
    }
  }
}

function loadKoffi (): typeof import('koffi') {
  try {
    return createRequire(import.meta.url)('koffi')
  } catch (cause) {
    throw new MemoryUnavailableError('mapped', 'the package koffi does not load; allow its install script and run "npm rebuild koffi"', { cause })
  }
}
