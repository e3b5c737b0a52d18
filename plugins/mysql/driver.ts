import type { Duplex } from 'node:stream'
import type { Connection as CoreConnection, PoolConnection as CorePoolConnection } from 'mysql2'
import type { PoolConnection } from 'mysql2/promise'
import { OptionsInvalidError, TransactionAbortedError } from '../errors.ts'
import { effectOf, orAbort } from '../pools/index.ts'
import type { Answer, SlowQueries, SqlDriver } from '../pools/index.ts'

/** What mysql2 has and its types do not tell. */
type Core = CorePoolConnection & {
  readonly stream: Duplex
  config: Config
  readonly _fatalError: unknown
  readonly _protocolError: unknown
  /** What is under way; its `next` is null when it has ended, and says so. */
  readonly _command: { readonly next: unknown } | null | undefined
  readonly _commands: { readonly length: number }
  /** What it does with the next chunk. */
  readonly packetParser: { readonly execute: unknown }
  _handleFatalError (error: Error): void
  addCommand (command: object): unknown
}
export type Client = PoolConnection & { readonly connection: Core }

type Callback = (error: Error | null, rows?: unknown, fields?: unknown) => void
/** A prepared statement that is run. */
interface Execute {
  readonly statement: { readonly parameters: readonly unknown[] }
  readonly parameters?: readonly unknown[]
  readonly onResult?: (error: Error) => void
  start (packet: unknown, connection: unknown): unknown
  emit (event: 'error', error: Error): void
}
type Command = { once (event: 'end', listener: () => void): void, sql?: string } | undefined

interface Config {
  user?: string
  password?: string
  database?: string
  charsetNumber: number
}

interface State {
  /** What was done on it since it was lent may have changed the session. */
  isChanged: boolean
  inTransaction: boolean
  /** The server has said that it closes the connection; it may take a while until that is seen. */
  isEnding: boolean
  /** A statement has met another transaction: the server may have rolled back all that was done before it. */
  hasConflict: boolean
  /** With which it was opened. */
  readonly config: Config
}

/** A wrong password, database or certificate does not mend itself. */
const FINAL = [
  'ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR', 'ER_BAD_DB_ERROR', 'ER_NOT_SUPPORTED_AUTH_MODE', 'ER_ACCESS_DENIED_NO_PASSWORD_ERROR',
  'HANDSHAKE_NO_SSL_SUPPORT', 'HANDSHAKE_SSL_ERROR', 'AUTH_SWITCH_PLUGIN_ERROR'
]
/** A deadlock, a lock that was not free in time, and what MariaDB says when its snapshot is too old. */
const CONFLICTS = [1213, 1205, 1020]

/** A shut-down, a KILL, a connection that was idle for too long; what is interrupted may be so by either kind of KILL. */
const ENDING = [1053, 1152, 1184, 1317, 1927, 3169, 4031]

const IN_TRANSACTION = 1

export interface MysqlSettings {
  /** Of the pool. */
  name: string
  server: string
  timeoutMs: number
}

export class MysqlDriver implements SqlDriver<Client> {
  readonly server: string
  /** What `release` of a connection does. */
  onRelease: (client: Client) => void = () => {}
  readonly #connect: () => Promise<Core>
  readonly #connectAlone: () => CoreConnection
  readonly #slow: SlowQueries
  readonly #name: string
  readonly #timeoutMs: number
  readonly #states = new WeakMap<Core, State>()

  /** `connect` gets a new connection of the library's pool, `connectAlone` one that is of no pool. */
  constructor (connect: () => Promise<CorePoolConnection>, connectAlone: () => CoreConnection, slow: SlowQueries, settings: MysqlSettings) {
    this.server = settings.server
    this.#connect = connect as () => Promise<Core>
    this.#connectAlone = connectAlone
    this.#slow = slow
    this.#name = settings.name
    this.#timeoutMs = settings.timeoutMs
  }

  async open (signal: AbortSignal): Promise<Client> {
    const core = await orAbort(this.#connect(), signal, (late) => destroy(late))
    const state = { isChanged: false, inTransaction: false, isEnding: false, hasConflict: false, config: core.config }
    // The library has one object for all of its connections, in which it notes what one of them has as its user, database and character set.
    core.config = Object.assign(Object.create(Object.getPrototypeOf(core.config)), core.config)
    this.#states.set(core, state)
    this.#note(core, state)
    // A packet that is not the next one: the library would take what is in it for an answer.
    core.on('warn' as 'error', (error: Error) => {
      core._handleFatalError(error)
      core.stream.destroy(error)
    })
    core.stream.on('data', () => {
      if (core._command == null && core.packetParser.execute !== betweenPackets(core)) destroy(core)
    })
    const client = core.promise() as Client
    core.release = () => this.onRelease(client)
    return client
  }

  onBreak (client: Client, listener: () => void): void {
    const { connection } = client
    connection.on('error', listener)
    connection.once('end', listener)
    connection.stream.once('close', listener)
    if (this.isBroken(client)) listener()
  }

  check ({ connection }: Client): Promise<void> {
    return called((callback) => connection.ping(callback))
  }

  reset ({ connection }: Client): Promise<unknown> | undefined {
    const { isChanged, inTransaction, isEnding } = this.#states.get(connection)!
    if (isEnding) return Promise.reject(new Error('The server closes the connection'))
    // A statement that its borrower did not wait for is not to be in the way of the next one's.
    if (!isChanged && !inTransaction && !isBusy(connection)) return undefined
    return isChanged ? this.#reset(connection) : called((callback) => connection.query('ROLLBACK', callback))
  }

  async close ({ connection }: Client): Promise<void> {
    const closed = new Promise<void>((resolve) => connection.stream.once('close', resolve))
    connection.end()
    await closed
  }

  destroy ({ connection }: Client): void {
    destroy(connection)
  }

  /** KILL QUERY, on a connection of its own. */
  async cancel ({ connection: { threadId } }: Client): Promise<void> {
    const killer = this.#connectAlone()
    const killed = new Promise<void>((resolve, reject) => {
      killer.on('error', reject)
      killer.query(`KILL QUERY ${Number(threadId)}`, (error: Error | null) => error === null ? resolve() : reject(error))
    })
    try {
      await orAbort(killed, AbortSignal.timeout(this.#timeoutMs), () => {})
    } finally {
      destroy(killer)
    }
  }

  isFinal (error: unknown): boolean {
    return FINAL.includes((error as { code?: string } | null)?.code!)
  }

  async run ({ connection }: Client, sql: string, params: readonly unknown[]): Promise<Answer> {
    const missing = params.indexOf(undefined)
    if (missing >= 0) throw new OptionsInvalidError(`Parameter ${missing + 1} of a statement is undefined, but must be a value: use null for none`)
    return await new Promise<Answer>((resolve, reject) => {
      const done = (error: Error | null, rows: unknown, fields: unknown) => error === null ? resolve(answerOf(rows, fields)) : reject(error)
      if (params.length === 0) connection.query(sql, done)
      else connection.execute(sql, params as never, done)
    })
  }

  async begin ({ connection }: Client, isolation: string | undefined, readOnly: boolean): Promise<void> {
    if (isolation !== undefined) {
      // For the next transaction alone: nothing of it stays in the session.
      const { isChanged } = this.#states.get(connection)!
      await called((callback) => connection.query(`SET TRANSACTION ISOLATION LEVEL ${isolation}`, callback))
      this.#states.get(connection)!.isChanged = isChanged
    }
    this.#states.get(connection)!.hasConflict = false
    await called((callback) => connection.query(readOnly ? 'START TRANSACTION READ ONLY' : 'START TRANSACTION', callback))
  }

  async commit ({ connection }: Client): Promise<void> {
    // There is nothing left to commit then, which the server takes for no error.
    if (this.#states.get(connection)!.hasConflict && !(await isInTransaction(connection))) throw new TransactionAbortedError(this.#name, 'another one was in its way')
    await called((callback) => connection.query('COMMIT', callback))
  }

  isConflict (error: unknown): boolean {
    return CONFLICTS.includes((error as { errno?: number } | null)?.errno!)
  }

  isBroken ({ connection }: Client): boolean {
    return this.#states.get(connection)!.isEnding || connection.stream.destroyed || connection._fatalError != null || connection._protocolError != null
  }

  /** Notes what each statement may leave behind, whoever sends it, and which are slow. */
  #note (core: Core, state: State): void {
    const noted = (send: (...given: unknown[]) => Command) => (...given: unknown[]): Command => {
      const [query] = given
      const sql = typeof query === 'string' ? query : (query as { sql?: unknown } | undefined)?.sql
      const { changesSession, beginsTransaction, endsTransaction } = effectOf(sql)
      if (changesSession) state.isChanged = true
      if (beginsTransaction) state.inTransaction = true
      if (endsTransaction) state.inTransaction = false
      const callback = given.at(-1)
      if (typeof callback === 'function') {
        given[given.length - 1] = (...answer: unknown[]) => {
          const [error] = answer as [{ errno?: number } | null]
          if (error != null && ENDING.includes(error.errno!)) state.isEnding = true
          if (this.isConflict(error)) state.hasConflict = true
          callback(...answer)
        }
      }
      const begunMs = this.#slow.begin()
      const command = send.apply(core, given)
      if (begunMs !== undefined) command?.once('end', () => this.#slow.end(sql, begunMs))
      return command
    }
    const { addCommand } = core
    core.addCommand = (command) => {
      if ('statement' in command && 'parameters' in command) (command as Execute).start = startCounted
      return addCommand.call(core, command)
    }
    const { query, execute, prepare, changeUser } = core as unknown as Record<string, (...given: unknown[]) => Command>
    Object.assign(core, {
      query: noted(query!),
      execute: noted(execute!),
      prepare (...given: unknown[]) {
        // It can be executed later, past us.
        state.isChanged = true
        return prepare!.apply(core, given)
      },
      changeUser (...given: unknown[]) {
        state.isChanged = true
        return changeUser!.apply(core, given)
      }
    })
  }

  /** To log in again is the only way back from another database and another character set: COM_RESET_CONNECTION leaves both. */
  async #reset (core: Core): Promise<void> {
    const state = this.#states.get(core)!
    const { user, password, database, charsetNumber } = state.config
    Object.assign(core.config, { user, password, database, charsetNumber })
    await called((callback) => core.changeUser({}, callback))
    Object.assign(state, { isChanged: false, inTransaction: false })
  }
}

/** With an error, so that whoever waits for an answer on it hears of it. */
export function destroy (connection: CoreConnection): void {
  (connection as Core).stream.destroy(new Error('The connection was closed by its pool'))
}

/** It has read all packets that have come: an answer has ended, and there is no part of another thing behind it. */
function betweenPackets ({ packetParser }: Core): unknown {
  return (Object.getPrototypeOf(packetParser) as { executeStart: unknown }).executeStart
}

function isBusy ({ _command: command, _commands: { length } }: Core): boolean {
  return length > 0 || (command != null && command.next !== null)
}

/** The library sends more values than there are placeholders, and the server then takes other bytes for the values, without an error. */
function startCounted (this: Execute, packet: unknown, connection: unknown): unknown {
  const { statement, parameters = [] } = this
  if (parameters.length === statement.parameters.length) return (Object.getPrototypeOf(this) as Execute).start.call(this, packet, connection)
  const error = new OptionsInvalidError(`A statement has ${statement.parameters.length} placeholders, but was given ${parameters.length} parameters: give one for each`)
  if (this.onResult) this.onResult(error)
  else this.emit('error', error)
  return null
}

function isInTransaction (core: Core): Promise<boolean> {
  return new Promise<boolean>((resolve, reject) => {
    core.query('DO 0', (error: Error | null, answer: unknown) => error === null ? resolve(((answer as { serverStatus: number }).serverStatus & IN_TRANSACTION) !== 0) : reject(error))
  })
}

function called (call: (callback: Callback) => unknown): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    call((error) => error == null ? resolve() : reject(error))
  })
}

/** A procedure answers with several sets of rows: the first counts. */
function answerOf (answer: unknown, fields: unknown): Answer {
  if (!Array.isArray(answer)) return { rows: [], affected: (answer as { affectedRows?: number }).affectedRows ?? 0 }
  const hasSeveral = Array.isArray(fields) && fields.some((of) => of === undefined || Array.isArray(of))
  return hasSeveral ? answerOf(answer[0], undefined) : { rows: answer, affected: 0 }
}
