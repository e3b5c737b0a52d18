import { createRequire } from 'node:module'
import { SessionStore } from '../../plugins/session/store.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'

/*
 * Loaded before a test of @fastify/session, express-session or memorystore: puts our store in the place of theirs, which
 * keeps sessions in a Map. FASTIFY_SWOOLE_PEER names the files that export theirs.
 */
type Callback = (error?: unknown) => void

class Store extends SessionStore {
  /** Who sees all sessions in a Map of theirs sees those of ours. */
  readonly store: Map<string, unknown>
  readonly #ids = new Set<string>()

  constructor (given?: unknown) {
    super(createLocalMemory(2 * 1024 * 1024), { size: 512 * 1024 })
    this.store = given instanceof Map ? given : new Map()
    for (const [id, session] of this.store) this.set(id, session as object)
    const find = (id: string) => {
      let found: unknown
      this.get(id, (_error, session) => { found = session })
      return found
    }
    const all = () => [...this.#ids].map((id) => [id, find(id)] as const).filter(([, session]) => session !== undefined)
    Object.defineProperties(this.store, {
      size: { get: () => all().length },
      entries: { value: all },
      get: { value: find },
      has: { value: (id: string) => find(id) !== undefined },
      set: { value: (id: string, session: object) => this.set(id, session) }
    })
  }

  override set (id: string, session: object, callback?: Callback): void {
    this.#ids.add(String(id))
    super.set(id, session, callback)
  }

  all (callback: (error: unknown, sessions: object) => void): void {
    callback(null, Object.fromEntries(this.store.entries()))
  }

  ids (callback: (error: unknown, ids: string[]) => void): void {
    callback(null, [...this.store.entries()].map(([id]) => id).reverse())
  }

  stopInterval (): void {}
}

const require = createRequire(import.meta.url)
for (const file of process.env.FASTIFY_SWOOLE_PEER!.split(',')) {
  require(file)
  const module = require.cache[require.resolve(file)]!
  // memorystore exports what makes its class.
  module.exports = file.includes('memorystore') ? () => Store : Object.assign(Store, { Store, MemoryStore: Store, default: Store })
}
