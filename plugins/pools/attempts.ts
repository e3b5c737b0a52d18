const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000
/** Who comes now is to see a further attempt within his time, of which a pause is no more than this part. */
const PAUSE_PART = 0.2
const TELL_EVERY_MS = 10_000

/** Attempts to reach a server that does not let anybody in: what was wrong last, and the pauses in between, which become longer. */
export class Attempts {
  /** Undefined: the last one succeeded, or there was none. */
  lastError: unknown
  readonly #longestPauseMs: number
  readonly #tryAgain: () => void
  #pauseMs = FIRST_PAUSE_MS
  #pause: NodeJS.Timeout | undefined
  #toldMs = -Infinity

  /** `timeoutMs`: how long those wait for whom the attempts are made. */
  constructor (timeoutMs: number, tryAgain: () => void) {
    this.#longestPauseMs = Math.min(LONGEST_PAUSE_MS, timeoutMs * PAUSE_PART)
    this.#tryAgain = tryAgain
  }

  get isPausing (): boolean {
    return this.#pause !== undefined
  }

  succeeded (): void {
    this.lastError = undefined
    this.#pauseMs = FIRST_PAUSE_MS
  }

  /** True: it is time to tell of it, as there may be very many. */
  failed (error: unknown): boolean {
    this.lastError = error
    const nowMs = performance.now()
    if (nowMs - this.#toldMs <= TELL_EVERY_MS) return false
    this.#toldMs = nowMs
    return true
  }

  pause (): void {
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.#tryAgain()
    }, this.#pauseMs * (1 + Math.random()))
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#longestPauseMs)
  }

  stop (): void {
    clearTimeout(this.#pause)
  }
}
