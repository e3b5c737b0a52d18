/** So many readings of the same millisecond in a row are a busy time; so many requests are then given the time that was read last. */
const READ_IN_A_ROW = 8
const GIVEN = 32

/**
 * The time of requests. Reading it is more than half of what a limiter does, so while very many are asked for, those of
 * one turn of the event loop are given the same time, at most 32 of them: as nginx does, and no more wrong than that all
 * of them had arrived when the turn began. `read` is for whoever needs to know better.
 */
export class BusyClock {
  #nowMs = 0
  #inARow = 0
  #left = 0
  #isTurnAwaited = false

  now (): number {
    if (this.#left === 0) return this.read()
    this.#left--
    return this.#nowMs
  }

  read (): number {
    const nowMs = Date.now()
    this.#inARow = nowMs === this.#nowMs ? this.#inARow + 1 : 0
    this.#nowMs = nowMs
    this.#left = this.#inARow < READ_IN_A_ROW ? 0 : GIVEN
    if (this.#left > 0 && !this.#isTurnAwaited) {
      this.#isTurnAwaited = true
      setImmediate(this.#endTurn)
    }
    return nowMs
  }

  #endTurn = (): void => {
    this.#isTurnAwaited = false
    this.#left = 0
  }
}
