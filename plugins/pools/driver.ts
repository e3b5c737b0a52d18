/** What a pool has to know of the connections of one kind of server. */
export interface Driver<C> {
  /** The server, for messages: 'PostgreSQL at 127.0.0.1:5432'. */
  readonly server: string
  /** Connects. Rejects with the client's error; when the signal aborts, it leaves nothing open. */
  open (signal: AbortSignal): Promise<C>
  /** `listener` is called when the connection breaks or is closed by the other end, whoever has it then; at once when that has happened already. */
  onBreak (connection: C, listener: () => void): void
  /** One round trip. Rejects when the connection is of no use any more. */
  check (connection: C): Promise<unknown>
  /**
   * Makes it as it was when it was new: a transaction is rolled back, the state of the session reset. Undefined: there is
   * nothing to do.
   */
  reset (connection: C): Promise<unknown> | undefined
  /** Says goodbye, and closes it. */
  close (connection: C): Promise<unknown>
  /** Closes it at once; what runs on it is left to the server. */
  destroy (connection: C): void
  /** Ends what runs on it, on the server too; nobody uses it after that. */
  cancel (connection: C): Promise<unknown>
  /** Whether an error of `open` will be the same however often it is tried again: a wrong password, say. */
  isFinal (error: unknown): boolean
}
