const MOST_SEEN = 1000
const MOST_NAMED = 200
/** A longer text was hardly made to be used again. */
const LONGEST = 10_000
/** Several statements in one text, which cannot be prepared. */
const SEVERAL = /;\s*\S/

/**
 * Names for prepared statements. A statement has one from its second use on, so that those that are made for one use do not
 * stay on the server. All connections use the same names, and each prepares a statement when it first has it.
 */
export class PreparedNames {
  readonly #seen = new Set<string>()
  readonly #names = new Map<string, string>()
  #last = 0

  of (sql: string): string | undefined {
    const name = this.#names.get(sql)
    if (name !== undefined || sql.length > LONGEST || SEVERAL.test(sql)) return name
    if (!this.#seen.delete(sql)) {
      if (this.#seen.size >= MOST_SEEN) this.#seen.clear()
      this.#seen.add(sql)
      return undefined
    }
    return this.#names.size >= MOST_NAMED ? undefined : this.#give(sql)
  }

  /** Another name for a statement that was prepared before its tables changed. */
  renew (sql: string): void {
    if (this.#names.has(sql)) this.#give(sql)
  }

  #give (sql: string): string {
    const name = `fastify_swoole_${++this.#last}`
    this.#names.set(sql, name)
    return name
  }
}
