import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type * as Pg from 'pg'
import { OptionsInvalidError, TransactionAbortedError } from '../errors.ts'
import { effectOf, orAbort } from '../pools/index.ts'
import type { Answer, SlowQueries, SqlDriver } from '../pools/index.ts'
import { Framing } from './framing.ts'
import { PreparedNames } from './prepared-names.ts'

/** What node-postgres has and its types do not tell. */
export interface Client extends Omit<Pg.PoolClient, 'connection'> {
  /** False: it has broken. */
  readonly _queryable: boolean
  readonly host: string
  readonly port: number
  readonly processID: number
  readonly secretKey: number
  readonly connectionParameters: { ssl?: unknown }
  readonly connection: { stream: { destroy (): void }, parsedStatements: Record<string, string> }
  /** False: something was sent, and the server has not said yet that it is done with it. */
  readonly readyForQuery: boolean
  /** '`I`': no transaction is open. */
  getTransactionStatus (): 'I' | 'T' | 'E' | null
  /** What was done on it since it was lent may have changed the session. */
  isChanged: boolean
}

interface CancelConnection extends NodeJS.EventEmitter {
  readonly stream: { destroy (): void }
  connect (portOrPath: number | string, host?: string): void
  requestSsl (): void
  cancel (processID: number, secretKey: number): void
}

interface Library {
  readonly Connection: new (config: { ssl: unknown }) => CancelConnection
  readonly Query: new (text: string, values: readonly unknown[], callback: Callback) => Query
}

/** What is used of the connection below a client. */
interface Wire {
  stream: Duplex
  attachListeners (stream: Pick<Duplex, 'on'>): void
}

interface BaseClient {
  readonly connection: Wire
  connect (callback: (error: Error | null, client?: unknown) => void): void
  query (...given: unknown[]): unknown
  on (event: 'error', listener: () => void): unknown
}

/**
 * A client that notes whether its statements change the session, and which are slow, and that closes its connection when what
 * comes over it is not PostgreSQL's protocol.
 */
export function notingClient (Base: typeof Pg.Client, slow: SlowQueries): typeof Pg.Client {
  // A class of JavaScript that has more overloads than can be repeated.
  const Client = Base as unknown as new (config: unknown) => BaseClient
  class NotingClient extends Client {
    isChanged = false

    constructor (config: unknown) {
      super(config)
      const { connection } = this
      const attach = connection.attachListeners
      connection.attachListeners = (stream) => attach.call(connection, framed(stream as Duplex))
    }

    override connect (callback: (error: Error | null, client?: unknown) => void): void {
      super.connect((error, client) => {
        // Otherwise it may go on to connect though nobody knows of it any more.
        if (error) this.connection.stream.destroy()
        // The packet that opens it may say goodbye as well, before anybody listens.
        else this.on('error', () => {})
        callback(error, client)
      })
    }

    override query (...given: unknown[]): unknown {
      const [config] = given
      const text = typeof config === 'string' ? config : (config as { text?: unknown } | null)?.text
      if (!this.isChanged && effectOf(text).changesSession) this.isChanged = true
      const begunMs = slow.begin()
      if (begunMs === undefined) return super.query(...given)
      const end = () => slow.end(text, begunMs)
      const callback = given.at(-1)
      // The promise of the client, with the look at its time within it: one more would be a part of what a transaction costs (bench/pools).
      if (typeof config === 'string' && typeof callback !== 'function') {
        return new Promise((resolve, reject) => {
          super.query(config, given[1], endedBefore((error, result) => error ? reject(error) : resolve(result), end))
        }).catch(retraced)
      }
      if (isQuery(config)) config.callback = endedBefore(config.callback, end)
      else if (typeof callback === 'function') given[given.length - 1] = endedBefore(callback as Callback, end)
      const result = super.query(...given)
      if (result instanceof Promise) result.then(end, end)
      return result
    }
  }
  return NotingClient as unknown as typeof Pg.Client
}

/** The stream as the library's parser sees it: what is no message of the protocol does not reach it, and ends the connection. */
function framed (stream: Duplex): Pick<Duplex, 'on'> {
  return {
    on (event: string, listener: (...given: any[]) => void) {
      if (event !== 'data') return stream.on(event, listener)
      const framing = new Framing(listener)
      return stream.on('data', (chunk: Buffer) => {
        try {
          framing.receive(chunk)
        } catch (error) {
          stream.destroy(error as Error)
        }
      })
    }
  }
}

/** With the stack of who asked; it was that of the socket. */
function retraced (error: Error): never {
  Error.captureStackTrace(error)
  throw error
}

type Callback = (error: Error | null, result: Pg.QueryResult | Pg.QueryResult[]) => void
/** What is sent as it is; the types tell less of it. */
interface Query { submit (connection: unknown): unknown, name?: string, callback?: Callback }

function isQuery (config: unknown): config is Query & { callback: Callback } {
  const { submit, callback } = config as Partial<Query>
  return typeof submit === 'function' && typeof callback === 'function'
}

function endedBefore (callback: Callback, end: () => void): Callback {
  return (error, result) => {
    end()
    callback(error, result)
  }
}

/** A wrong password, database or certificate does not mend itself. */
const FINAL = ['28000', '28P01', '3D000', '42501', 'ERR_TLS_CERT_ALTNAME_INVALID', 'SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'CERT_HAS_EXPIRED']
const NO_TLS = 'The server does not support SSL connections'
const NO_PASSWORD = /client password must be a/
const CONFLICTS = ['40001', '40P01']
/** The protocol counts them in 16 bits, and the library sends the rest of a larger number. */
const MOST_PARAMETERS = 65_535
/** The tables have changed since it was prepared; it is not there, or another is. */
const STALE = ['0A000', '26000', '42P05']

export interface PostgresSettings {
  /** Of the pool. */
  name: string
  server: string
  /** Prepare statements that are used again. */
  prepare: boolean
  timeoutMs: number
}

export class PostgresDriver implements SqlDriver<Client> {
  readonly server: string
  /** What `release` of a client does, as those know it who come from the library. */
  onRelease: (client: Client, error?: Error | boolean) => void = () => {}
  readonly #connect: () => Promise<Client>
  readonly #Connection: Library['Connection']
  readonly #Query: Library['Query']
  readonly #settings: PostgresSettings
  readonly #names = new PreparedNames()
  /** What gives a client back to the pool of the library that made it, which then closes it. */
  readonly #releases = new WeakMap<Client, (destroy: boolean) => void>()
  readonly #broken = new WeakSet<Client>()

  /** `connect` gets a new client of the library's pool. */
  constructor (pg: object, connect: () => Promise<Client>, settings: PostgresSettings) {
    this.server = settings.server
    this.#connect = connect
    this.#Connection = (pg as Library).Connection
    this.#Query = (pg as Library).Query
    this.#settings = settings
  }

  async open (signal: AbortSignal): Promise<Client> {
    const connecting = this.#connect().then((client) => {
      this.#releases.set(client, client.release)
      client.release = (error) => this.onRelease(client, error)
      return client
    })
    return await orAbort(connecting, signal, (late) => this.destroy(late))
  }

  onBreak (client: Client, listener: () => void): void {
    const broken = () => {
      this.#broken.add(client)
      listener()
    }
    client.on('error', broken)
    client.once('end', broken)
    if (!client._queryable) broken()
  }

  async check (client: Client): Promise<void> {
    await client.query('SELECT 1')
  }

  reset (client: Client): Promise<void> | undefined {
    if (client.readyForQuery && client.getTransactionStatus() === 'I' && !client.isChanged) return undefined
    return this.#reset(client)
  }

  async close (client: Client): Promise<void> {
    const ended = once(client, 'end')
    this.#release(client)
    await ended
  }

  destroy (client: Client): void {
    client.connection.stream.destroy()
    this.#release(client)
  }

  /** By the protocol's own request, on a connection of its own (PostgreSQL, "Canceling Requests in Progress"). */
  async cancel ({ host, port, processID, secretKey, connectionParameters: { ssl = false } }: Client): Promise<void> {
    const connection = new this.#Connection({ ssl })
    const send = () => connection.cancel(processID, secretKey)
    connection.on('connect', () => ssl ? connection.requestSsl() : send())
    connection.on('sslconnect', send)
    // The first is told by `once`; one that comes after it has nobody to go to.
    connection.on('error', () => {})
    if (host?.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
    // The server says nothing, and closes when it has told the other.
    try {
      await once(connection, 'end', { signal: AbortSignal.timeout(this.#settings.timeoutMs) })
    } finally {
      connection.stream.destroy()
    }
  }

  isFinal (error: unknown): boolean {
    const { code = '', message = '' } = error as { code?: string, message?: string }
    return FINAL.includes(code) || message === NO_TLS || NO_PASSWORD.test(message)
  }

  async run (client: Client, text: string, values: readonly unknown[]): Promise<Answer> {
    if (values.length > MOST_PARAMETERS) throw new OptionsInvalidError(`A statement was given ${values.length} parameters, but PostgreSQL takes ${MOST_PARAMETERS} at most: give an array as one of them, and unnest it`)
    const name = this.#settings.prepare ? this.#names.of(text) : undefined
    if (name === undefined) return await this.#ask(client, text, values)
    try {
      return await this.#ask(client, text, values, name)
    } catch (error) {
      if (!STALE.includes((error as { code?: string }).code!) || client.getTransactionStatus() !== 'I') throw error
      // It was refused before it did anything.
      this.#names.renew(text)
      return await this.#ask(client, text, values)
    }
  }

  async begin (client: Client, isolation: string | undefined, readOnly: boolean): Promise<void> {
    await client.query(`BEGIN${isolation === undefined ? '' : ` ISOLATION LEVEL ${isolation}`}${readOnly ? ' READ ONLY' : ''}`)
  }

  async commit (client: Client): Promise<void> {
    const { command } = await client.query('COMMIT')
    if (command !== 'COMMIT') throw new TransactionAbortedError(this.#settings.name, 'a statement in it had failed')
  }

  isConflict (error: unknown): boolean {
    return CONFLICTS.includes((error as { code?: string } | null)?.code!)
  }

  isBroken (client: Client): boolean {
    return this.#broken.has(client) || !client.readyForQuery
  }

  /** The library copies a description of a statement by its property descriptors, which takes longer than all else that we do (bench/pools). */
  #ask (client: Client, text: string, values: readonly unknown[], name?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const query = new this.#Query(text, values, (error, result) => {
        if (error) return reject(error)
        try {
          resolve(answerOf(result))
        } catch (wrong) {
          this.destroy(client)
          reject(wrong)
        }
      })
      query.name = name
      client.query(query as never)
    })
  }

  /** Back to the pool of the library, which closes it; once. */
  #release (client: Client): void {
    const release = this.#releases.get(client)
    this.#releases.delete(client)
    release?.(true)
  }

  async #reset (client: Client): Promise<void> {
    // There is something that its borrower did not wait for, or the server has said goodbye: it does not get ready any more then.
    if (!client.readyForQuery) await once(client, 'drain')
    if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK')
    if (!client.isChanged) return
    await client.query('DISCARD ALL')
    client.connection.parsedStatements = {}
    client.isChanged = false
  }
}

/** Throws when there are not as many rows as the server says. */
function answerOf (result: Pg.QueryResult | Pg.QueryResult[]): Answer {
  const { rows, rowCount, fields, command } = Array.isArray(result) ? result.at(-1)! : result
  if (command === 'SELECT' && fields.length > 0 && rows.length !== rowCount) throw new Error(`PostgreSQL sent ${rows.length} of ${rowCount} rows`)
  return { rows, affected: rowCount ?? 0 }
}
