import type { SharedMemory } from '../shared-memory/index.ts'

export interface Log {
  warn (object: object, message: string): void
}

const SECONDS = 60

/** When it was last told, in seconds, and how many went since. */
const Word = { TOLD: 0, EVICTED: 1 } as const

/** Tells of live sessions that went for others, at most once a minute, whichever workers meet them. */
export class EvictionReport {
  readonly #i32: Int32Array
  readonly #first: number
  readonly #log: Log

  /** Throws FST_SWOOLE_MEMORY_FULL. */
  constructor (memory: SharedMemory, name: string, log: Log) {
    this.#i32 = memory.region.i32
    this.#first = memory.open({ type: 'evicted sessions', name, definition: {}, bytes: 8 }) / 4
    this.#log = log
  }

  add (evicted: number, nowMs: number): void {
    const seconds = Math.floor(nowMs / 1000) | 0
    Atomics.add(this.#i32, this.#first + Word.EVICTED, evicted)
    const told = Atomics.load(this.#i32, this.#first + Word.TOLD)
    const since = seconds - told
    if (since >= 0 && since < SECONDS) return
    if (Atomics.compareExchange(this.#i32, this.#first + Word.TOLD, told, seconds) !== told) return
    const sessions = Atomics.exchange(this.#i32, this.#first + Word.EVICTED, 0)
    this.#log.warn({ sessions }, 'the memory for sessions is full: the least recently used ones went before their time; raise session.size')
  }
}
