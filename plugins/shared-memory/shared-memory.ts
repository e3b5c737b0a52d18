import { closeSync } from 'node:fs'
import { Allocator } from './allocator.ts'
import { Directory } from './directory.ts'
import type { ObjectSpec } from './directory.ts'
import { Doorbell, fifoWire, noWire, threadWire } from './doorbell.ts'
import { Guard } from './guard.ts'
import { Header, Slot } from './layout.ts'
import { libc } from './libc.ts'
import { Region, formatRegion, regionBytes } from './region.ts'
import { claimSlot, freeSlot, noteDeath, slotWord } from './slots.ts'
import type { Exit, SlotIdentity } from './slots.ts'

/** One worker's view of a region: what it allocates, opens and waits for carries the tag of its slot. */
export class SharedMemory {
  readonly region: Region
  readonly slot: SlotIdentity
  readonly allocator: Allocator
  readonly doorbell: Doorbell
  readonly guard: Guard
  #directory: Directory
  #closers = new Set<() => void>()
  #isClosed = false

  /** `guard`: of the process, which knows of what it has entered. */
  constructor (region: Region, slot: SlotIdentity, doorbell: Doorbell, guard = new Guard(region, slot)) {
    this.region = region
    this.slot = slot
    this.allocator = new Allocator(region, slot)
    this.doorbell = doorbell
    this.guard = guard
    this.#directory = new Directory(region, this.allocator, this.guard)
  }

  get isClosed (): boolean {
    return this.#isClosed
  }

  /** The payload's byte offset of a named object; the first caller creates it. See `Directory.open` for its errors. */
  open (spec: ObjectSpec): number {
    return this.#directory.open(spec)
  }

  /** The definition that a named object was created with, undefined when there is none. */
  find (type: string, name: string): unknown {
    return this.#directory.find(type, name)
  }

  /** The same memory for one of several applications in this process: it closes alone, and when this one closes. */
  forApplication (): SharedMemory {
    const memory = new SharedMemory(this.region, this.slot, this.doorbell, this.guard)
    const close = () => memory.close()
    this.onClose(close)
    memory.onClose(() => this.offClose(close))
    return memory
  }

  /** Settles what the dead worker of a slot held, and frees the slot. May be done by any worker, and more than once. */
  recover (dead: SlotIdentity, exit?: Exit): void {
    if (exit !== undefined) noteDeath(this.region, dead, exit)
    this.allocator.recover(dead.index, dead.tag)
    freeSlot(this.region, dead)
    Atomics.add(this.region.i32, Header.DEATHS, 1)
    this.doorbell.ringAll()
  }

  onClose (listener: () => void): void {
    this.#closers.add(listener)
  }

  offClose (listener: () => void): void {
    this.#closers.delete(listener)
  }

  close (): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const closer of this.#closers) closer()
  }
}

/** A memory of this process alone. Rounded up to whole chunks of 64 KiB; nothing is used before it is written. */
export function createLocalMemory (bytes: number): SharedMemory {
  const region = new Region(new SharedArrayBuffer(regionBytes(bytes)))
  formatRegion(region)
  const slot = claimSlot(region, 'standalone', 0, 1)
  region.i32[slotWord(slot.index, Slot.PID)] = process.pid
  return withDoorbell(region, slot, noWire)
}

/** What a worker process needs to attach to the launcher's memory. */
export interface Attachment {
  fd: number
  bytes: number
  slot: SlotIdentity
  /** The folder of the bells. */
  bells: string
}

/** Maps the launcher's memory. The descriptor is closed: the mapping stays, and no grandchild inherits it. */
export function attachMemory ({ fd, bytes, slot, bells }: Attachment): SharedMemory {
  const region = new Region(libc().map(fd, bytes))
  closeSync(fd)
  return withDoorbell(region, slot, fifoWire(bells, slot.index))
}

/** A thread's view of a region in a SharedArrayBuffer; another thread claimed the slot for it. */
export function attachThreadMemory (buffer: SharedArrayBuffer, slot: SlotIdentity): SharedMemory {
  const region = new Region(buffer)
  return withDoorbell(region, slot, threadWire(region, slot.index))
}

/** The memory of a whole process or thread, which has the doorbell of its slot. */
export function withDoorbell (region: Region, slot: SlotIdentity, connect: ConstructorParameters<typeof Doorbell>[2]): SharedMemory {
  const doorbell = new Doorbell(region, slot, connect)
  const memory = new SharedMemory(region, slot, doorbell)
  memory.onClose(() => doorbell.close())
  return memory
}
