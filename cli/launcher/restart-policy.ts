const FIRST_DELAY_MS = 50
const LONGEST_DELAY_MS = 5000
const LONGEST_DELAY_FROM_OUTSIDE_MS = 500
/** A worker that served for so long has not died of its start. */
const SETTLED_MS = 1000

export interface Death {
  /** By a SIGKILL that the launcher did not send. */
  isFromOutside: boolean
  /** How long it was ready, undefined if it never was. */
  readyForMs: number | undefined
}

/**
 * When a dead worker is replaced: at once, unless it is one of a row of quick deaths; these wait twice as long each
 * time, 50 ms to 5 s. A SIGKILL from outside says little of the worker: it does not lengthen the row of one that was
 * ready, is followed by 500 ms at most, and never counts towards a crash loop.
 */
export class RestartPolicy {
  #quickDeaths = new Map<number, number>()
  #deathsBeforeReady = 0

  /** Deaths before ready, but for those from outside, since a worker of the application was ready last. */
  get deathsBeforeReady (): number {
    return this.#deathsBeforeReady
  }

  ready (): void {
    this.#deathsBeforeReady = 0
  }

  /** How many milliseconds to wait before the replacement starts. */
  died (workerId: number, { isFromOutside, readyForMs }: Death): number {
    if (readyForMs === undefined && !isFromOutside) this.#deathsBeforeReady++
    const isQuick = readyForMs === undefined || (readyForMs < SETTLED_MS && !isFromOutside)
    const row = isQuick ? (this.#quickDeaths.get(workerId) ?? 0) + 1 : 0
    this.#quickDeaths.set(workerId, row)
    const longest = isFromOutside ? LONGEST_DELAY_FROM_OUTSIDE_MS : LONGEST_DELAY_MS
    return row <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (row - 2), longest)
  }
}
