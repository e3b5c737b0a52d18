import type { Driver } from '../../plugins/pools/index.ts'

export interface FakeConnection {
  readonly id: number
  /** A transaction is open, or something else that the next one is not to have. */
  isDirty: boolean
  /** The server has closed it; whether anybody was told is another question. */
  isDead: boolean
  checks: number
  lastUsedMs: number
  onBreak: () => void
}

/** What happens to what the pool asks for: nothing unless a test says otherwise. */
export interface Behaviour {
  open (signal: AbortSignal): Promise<void> | void
  check (connection: FakeConnection): Promise<void> | void
  reset (connection: FakeConnection): Promise<void> | void
  close (connection: FakeConnection): Promise<void> | void
}

/** A server of connections that are only counted. */
export class FakeServer implements Driver<FakeConnection> {
  readonly server = 'a fake server'
  readonly connections = new Set<FakeConnection>()
  readonly behaviour: Partial<Behaviour>
  /** Being opened: the server may count them already. */
  opening = 0
  /** Being checked or reset. */
  busy = 0
  most = 0
  opened = 0
  destroyed = 0

  constructor (behaviour: Partial<Behaviour> = {}) {
    this.behaviour = behaviour
  }

  get count (): number {
    return this.connections.size + this.opening
  }

  async open (signal: AbortSignal): Promise<FakeConnection> {
    this.opening++
    this.most = Math.max(this.most, this.count)
    try {
      await this.behaviour.open?.(signal)
      signal.throwIfAborted()
    } finally {
      this.opening--
    }
    const connection = { id: ++this.opened, isDirty: false, isDead: false, checks: 0, lastUsedMs: performance.now(), onBreak: () => {} }
    this.connections.add(connection)
    return connection
  }

  onBreak (connection: FakeConnection, listener: () => void): void {
    connection.onBreak = listener
  }

  async check (connection: FakeConnection): Promise<void> {
    connection.checks++
    await this.#during(connection, this.behaviour.check?.(connection))
    if (connection.isDead) throw new Error('the connection is dead')
  }

  reset (connection: FakeConnection): Promise<void> | undefined {
    if (!connection.isDirty) return undefined
    return this.#during(connection, this.behaviour.reset?.(connection)).then(() => {
      if (connection.isDead) throw new Error('the connection is dead')
      connection.isDirty = false
    })
  }

  async close (connection: FakeConnection): Promise<void> {
    await this.behaviour.close?.(connection)
    this.connections.delete(connection)
  }

  destroy (connection: FakeConnection): void {
    this.destroyed++
    this.connections.delete(connection)
  }

  async cancel (): Promise<void> {}

  isFinal (error: unknown): boolean {
    return (error as Error).message.startsWith('final')
  }

  /** It breaks; `isTold`: and the pool hears of it. */
  break (connection: FakeConnection, isTold = true): void {
    connection.isDead = true
    if (isTold) connection.onBreak()
  }

  async #during (connection: FakeConnection, work: Promise<void> | void): Promise<void> {
    this.busy++
    try {
      await work
    } finally {
      this.busy--
      connection.lastUsedMs = performance.now()
    }
  }
}
