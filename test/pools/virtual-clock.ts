const realSetImmediate = setImmediate

/** Lets all that is due without any time happen. */
export function turn (): Promise<void> {
  return new Promise((resolve) => realSetImmediate(resolve))
}

interface Timer {
  atMs: number
  run (): void
  ref (): Timer
  unref (): Timer
}

/**
 * Time that passes when it is told to, so that hours of a schedule take milliseconds and each run of it is the same.
 * While it is installed, timers, `performance.now` and `AbortSignal.timeout` follow it.
 */
export class VirtualClock {
  nowMs = 1000
  readonly #timers = new Set<Timer>()
  readonly #real = { setTimeout, clearTimeout, now: performance.now, timeout: AbortSignal.timeout }

  get timers (): number {
    return this.#timers.size
  }

  install (): void {
    globalThis.setTimeout = ((run: (...given: unknown[]) => void, ms = 0, ...given: unknown[]) => this.#add(ms, () => run(...given))) as never
    globalThis.clearTimeout = ((timer: Timer) => { this.#timers.delete(timer) }) as never
    performance.now = () => this.nowMs
    AbortSignal.timeout = (ms) => {
      const controller = new AbortController()
      // As the real one it keeps nothing waiting, so it is none of those that count.
      this.#deadlines.push({ atMs: this.nowMs + ms, controller })
      return controller.signal
    }
  }

  uninstall (): void {
    Object.assign(globalThis, { setTimeout: this.#real.setTimeout, clearTimeout: this.#real.clearTimeout })
    performance.now = this.#real.now
    AbortSignal.timeout = this.#real.timeout
  }

  sleep (ms: number): Promise<void> {
    return new Promise((resolve) => this.#add(ms, resolve))
  }

  async advance (ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    await turn()
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.nowMs = Math.max(this.nowMs, next.atMs)
      next.run()
      await turn()
    }
    this.nowMs = endMs
  }

  #deadlines: Array<{ atMs: number, controller: AbortController }> = []

  #next (endMs: number): { atMs: number, run (): void } | undefined {
    const due = [
      ...[...this.#timers].map((timer) => ({ atMs: timer.atMs, run: () => { this.#timers.delete(timer); timer.run() } })),
      ...this.#deadlines.map((deadline) => ({
        atMs: deadline.atMs,
        run: () => {
          this.#deadlines.splice(this.#deadlines.indexOf(deadline), 1)
          deadline.controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
        }
      }))
    ].filter(({ atMs }) => atMs <= endMs)
    return due.sort((one, other) => one.atMs - other.atMs)[0]
  }

  #add (ms: number, run: () => void): Timer {
    const timer: Timer = { atMs: this.nowMs + Math.max(1, ms), run, ref: () => timer, unref: () => timer }
    this.#timers.add(timer)
    return timer
  }
}
