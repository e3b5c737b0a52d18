import type { Duplex } from 'node:stream'
import type { Cluster, Redis } from 'ioredis'
import { orAbort } from '../pools/index.ts'
import type { Driver } from '../pools/index.ts'
import { Silence } from './silence.ts'

export type Client = Redis | Cluster

/** After these the connection is not what it was; it is closed rather than lent to somebody else. */
const CHANGING = ['select', 'auth', 'hello', 'client', 'monitor', 'readonly', 'readwrite', 'asking', 'subscribe', 'psubscribe', 'ssubscribe', 'reset', 'quit']
const EFFECTS = new Map<string, Partial<State>>([
  ...CHANGING.map((name) => [name, { isChanged: true }] as const),
  ['watch', { isWatching: true }],
  ['multi', { inTransaction: true }],
  ['exec', { inTransaction: false, isWatching: false }],
  ['discard', { inTransaction: false, isWatching: false }],
  ['unwatch', { isWatching: false }]
])
/** Who listens to these listens to what the next one subscribes to. */
const MESSAGES = ['message', 'pmessage', 'smessage', 'messageBuffer', 'pmessageBuffer', 'smessageBuffer', 'monitor']
/** A wrong password, database or certificate does not mend itself. */
const FINAL = /^(?:WRONGPASS|NOAUTH|NOPERM|ERR invalid password|ERR (?:DB|invalid DB) index|ERR invalid username)/i
const FINAL_CODES = ['ERR_TLS_CERT_ALTNAME_INVALID', 'SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'CERT_HAS_EXPIRED']

interface State {
  isChanged: boolean
  isWatching: boolean
  inTransaction: boolean
}

export interface RedisSettings {
  server: string
  database: number
  /** How long nothing may come over the shared connection though something was asked; 0 is for ever. A Cluster sees to that for itself. */
  commandTimeoutMs: number
}

export class RedisDriver implements Driver<Client> {
  readonly server: string
  readonly #create: (isShared: boolean) => Client
  readonly #settings: RedisSettings
  readonly #states = new WeakMap<Client, State>()
  /** The first one: all commands go over it, and it connects again by itself. */
  #shared: Client | undefined

  /** `create` makes a client that does not connect yet; one that is shared is to connect again when it has lost its connection. */
  constructor (create: (isShared: boolean) => Client, settings: RedisSettings) {
    this.server = settings.server
    this.#create = create
    this.#settings = settings
  }

  async open (signal: AbortSignal): Promise<Client> {
    const isShared = this.#shared === undefined
    const client = this.#create(isShared)
    let reason: unknown
    // Without a listener it would print them. After an answer that nobody has asked for, the next ones would go to the wrong callers.
    client.on('error', (error: Error) => {
      reason = error
      if (error.message.startsWith('Command queue state error')) (client as { stream?: Duplex }).stream?.destroy(error)
    })
    try {
      await orAbort(this.#connected(client), signal, () => {})
    } catch (error) {
      client.disconnect()
      // What the client says then is often less than what it has said before.
      throw signal.aborted ? error : reason ?? error
    }
    if (isShared) this.#shared = client
    this.#note(client, isShared)
    return client
  }

  onBreak (client: Client, listener: () => void): void {
    if (client === this.#shared) return
    client.once('close', listener)
    if (client.status !== 'ready') listener()
  }

  check (client: Client): Promise<unknown> {
    return client.ping()
  }

  reset (client: Client): Promise<unknown> | undefined {
    if (client === this.#shared) return undefined
    const state = this.#states.get(client)!
    const isBusy = ((client as unknown as { commandQueue?: { length: number } }).commandQueue?.length ?? 0) > 0
    if (isBusy || state.isChanged || MESSAGES.some((event) => client.listenerCount(event) > 0)) return Promise.reject(new Error('the connection is not what it was'))
    if (!state.inTransaction && !state.isWatching) return undefined
    // DISCARD forgets what is watched as well.
    return client.call(state.inTransaction ? 'discard' : 'unwatch')
  }

  async close (client: Client): Promise<void> {
    await client.quit()
  }

  destroy (client: Client): void {
    client.disconnect()
  }

  /** The server ends what blocks a connection when that is closed. */
  async cancel (client: Client): Promise<void> {
    client.disconnect()
  }

  isFinal (error: unknown): boolean {
    const { code = '', message = '' } = error as { code?: string, message?: string }
    return FINAL.test(message) || FINAL_CODES.includes(code)
  }

  async #connected (client: Client): Promise<void> {
    await client.connect()
    // The client goes on in another database when it may not use this one.
    if (this.#settings.database !== 0) await (client as Redis).select(this.#settings.database)
  }

  /** Notes what each command leaves behind. */
  #note (client: Client, isShared: boolean): void {
    const state: State = { isChanged: false, isWatching: false, inTransaction: false }
    this.#states.set(client, state)
    const send = client.sendCommand.bind(client) as Send
    const joinWrites = new JoinedWrites()
    const { commandTimeoutMs } = this.#settings
    const silence = isShared && commandTimeoutMs > 0 ? new Silence(client as never, commandTimeoutMs) : undefined
    const sendCommand: Send = (command, stream, node) => {
      // Who gives its name as a string may write it as Redis' manual does.
      const effect = EFFECTS.get(command.name.toLowerCase())
      if (effect !== undefined) Object.assign(state, effect)
      silence?.expectAnswer()
      joinWrites.begin((client as unknown as { stream?: Duplex }).stream)
      return send(command, stream, node)
    }
    Object.assign(client, { sendCommand })
  }
}

/** The third is of a Cluster: which node has the keys of a pipeline. */
type Send = (command: { readonly name: string }, stream?: unknown, node?: unknown) => unknown

/**
 * What is sent in one turn of the event loop goes in two writes: the first command at once, so that the server has something to do
 * meanwhile, and the others together, for a write costs more than all else of a command (bench/pools).
 */
class JoinedWrites {
  #stream: Duplex | undefined
  #corked: Duplex | undefined

  /** A Cluster has no stream: its nodes have. */
  begin (stream: Duplex | undefined): void {
    if (stream === undefined) return
    if (stream !== this.#stream) {
      this.#stream = stream
      // After all that waits for an answer of this turn has gone on.
      process.nextTick(this.#end, stream)
    } else if (stream !== this.#corked) {
      this.#corked = stream
      stream.cork()
    }
  }

  readonly #end = (stream: Duplex): void => {
    if (stream === this.#stream) this.#stream = undefined
    if (stream !== this.#corked) return
    this.#corked = undefined
    stream.uncork()
  }
}
