import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { Slot } from './layout.ts'
import type { Region } from './region.ts'
import { isAlive, slotWord, slotsUsed } from './slots.ts'
import type { SlotIdentity } from './slots.ts'

const RETRY_MS = 20
/** Rings that are read at once. */
const RINGS_READ = 256

/** How a bell reaches another worker's event loop. */
interface Wire {
  send (slotIndex: number): void
  close (): void
}

/**
 * Wakes workers: who makes true what another waits for rings the other's bell, and the other looks at all that is
 * ready for it. Nobody waits by polling, and no event loop is blocked.
 *
 * The bell word of a slot holds the tag of who rang since the worker looked last. While that ringer lives, it has
 * sent or will send the wake-up, so a second ring need not: one system call wakes a worker, however many ring.
 */
export class Doorbell {
  #region: Region
  #slot: SlotIdentity
  #wire: Wire
  #listeners = new Set<() => void>()
  #localRing = false
  #isClosed = false

  constructor (region: Region, slot: SlotIdentity, connect: (answer: () => void) => Wire) {
    this.#region = region
    this.#slot = slot
    this.#wire = connect(() => this.answer())
    // Who rang before this worker listened has marked it, and nobody heard.
    Atomics.store(region.i32, slotWord(slot.index, Slot.BELL), 0)
  }

  /** `listener` is called whenever this worker's bell was rung; it must look at everything it waits for. */
  onRing (listener: () => void): void {
    this.#listeners.add(listener)
  }

  offRing (listener: () => void): void {
    this.#listeners.delete(listener)
  }

  ring (slotIndex: number): void {
    if (slotIndex === this.#slot.index) {
      if (this.#localRing) return
      this.#localRing = true
      queueMicrotask(() => {
        this.#localRing = false
        this.answer()
      })
      return
    }
    const before = Atomics.exchange(this.#region.i32, slotWord(slotIndex, Slot.BELL), this.#slot.tag)
    if (before === 0 || !isAlive(this.#region, before)) this.#send(slotIndex)
  }

  /** After a death: the dead may have made true what others wait for, and not have come to its wake-up. */
  ringAll (): void {
    for (let index = 0; index < slotsUsed(this.#region); index++) {
      if (index === this.#slot.index) {
        this.ring(index)
      } else {
        Atomics.store(this.#region.i32, slotWord(index, Slot.BELL), this.#slot.tag)
        this.#send(index)
      }
    }
  }

  /** Who rings has done what it rings for, so it must not fail now: without a free file descriptor it tries again. */
  #send (slotIndex: number): void {
    if (this.#isClosed) return
    try {
      this.#wire.send(slotIndex)
    } catch (error) {
      if (!['EMFILE', 'ENFILE', 'ENOMEM'].includes((error as NodeJS.ErrnoException).code!)) throw error
      setTimeout(() => this.#send(slotIndex), RETRY_MS)
    }
  }

  /** The mark is taken away before the look, so a ring during the look makes another. */
  answer (): void {
    Atomics.store(this.#region.i32, slotWord(this.#slot.index, Slot.BELL), 0)
    for (const listener of this.#listeners) listener()
  }

  close (): void {
    this.#isClosed = true
    this.#listeners.clear()
    this.#wire.close()
  }
}

export const bellPath = (folder: string, slotIndex: number) => join(folder, `bell-${slotIndex}`)

/** Between processes: a FIFO for each slot, which libuv polls like any pipe. */
export function fifoWire (folder: string, ownSlot: number) {
  return (answer: () => void): Wire => {
    const ring = Buffer.of(1)
    const writers = new Map<number, number>()
    const fd = openSync(bellPath(folder, ownSlot), constants.O_RDWR | constants.O_NONBLOCK)
    // Into a buffer that stays: a stream of chunks would take half of the time from ring to answer.
    const callback = () => { answer(); return true }
    const reader = new Socket({ fd, readable: true, writable: false, onread: { buffer: Buffer.alloc(RINGS_READ), callback } })
    reader.unref()

    const writer = (slotIndex: number) => {
      let fd = writers.get(slotIndex)
      if (fd === undefined) {
        fd = openSync(bellPath(folder, slotIndex), constants.O_WRONLY | constants.O_NONBLOCK)
        writers.set(slotIndex, fd)
      }
      return fd
    }

    return {
      send (slotIndex) {
        try {
          writeSync(writer(slotIndex), ring)
        } catch (error) {
          // EAGAIN: the pipe is full of rings. EPIPE, ENXIO, ENOENT: nobody is left to hear it.
          if (!['EAGAIN', 'EPIPE', 'ENXIO', 'ENOENT'].includes((error as NodeJS.ErrnoException).code!)) throw error
        }
      },
      close () {
        reader.destroy()
        for (const fd of writers.values()) closeSync(fd)
        writers.clear()
      }
    }
  }
}

/** Between threads of one process, over a SharedArrayBuffer. */
export function threadWire (region: Region, ownSlot: number) {
  return (answer: () => void): Wire => {
    let isOpen = true
    const word = slotWord(ownSlot, Slot.BELL)
    const listen = async () => {
      const waiting = Atomics.waitAsync(region.i32 as Int32Array<SharedArrayBuffer>, word, 0)
      if (waiting.async) await waiting.value
      if (!isOpen) return
      answer()
      listen()
    }
    listen()
    return {
      send (slotIndex) {
        Atomics.notify(region.i32, slotWord(slotIndex, Slot.BELL))
      },
      close () {
        isOpen = false
        Atomics.notify(region.i32, word)
      }
    }
  }
}

/** For a process that is alone: nobody else can be rung. */
export function noWire (): Wire {
  return { send () {}, close () {} }
}
