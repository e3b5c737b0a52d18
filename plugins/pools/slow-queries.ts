import type { PoolLog } from './pool.ts'
import { shapeOf } from './statements.ts'

/** Logs statements that take long, without what is of one call in them. */
export class SlowQueries {
  readonly #name: string
  readonly #slowMs: number | null
  readonly #log: PoolLog

  /** `slowMs`: null logs none. */
  constructor (name: string, slowMs: number | null, log: PoolLog) {
    this.#name = name
    this.#slowMs = slowMs
    this.#log = log
  }

  /** Undefined: nobody wants to know. */
  begin (): number | undefined {
    return this.#slowMs === null ? undefined : performance.now()
  }

  end (sql: unknown, begunMs: number): void {
    const durationMs = performance.now() - begunMs
    if (durationMs < this.#slowMs!) return
    this.#log.warn({ pool: this.#name, durationMs: Math.round(durationMs), statement: shapeOf(sql) }, 'a statement was slow')
  }
}
