import type { Worker } from 'node:cluster'
import { WorkerStartError } from '../../plugins/errors.ts'
import type { SlotIdentity } from '../../plugins/shared-memory/index.ts'
import type { ConnectionHandle, Taker } from './distributor.ts'
import type { FromWorker, StartMessage, ToWorker } from './messages.ts'

export interface Exit {
  code: number | null
  signal: string | null
}

/**
 *     starting ──▶ ready ──▶ draining ──▶ dead
 *
 * A worker may die in every state.
 */
export type WorkerState = 'starting' | 'ready' | 'draining' | 'dead'

/** One worker process as the primary sees it. */
export class WorkerProcess implements Taker {
  readonly workerId: number
  readonly role: 'http' | 'task'
  readonly generation: number
  readonly slot: SlotIdentity
  readonly pid: number
  state: WorkerState = 'starting'
  readyAt = 0
  /** By the launcher, with SIGKILL. */
  wasKilled = false
  /** Heartbeats seen, to tell a stuck event loop. */
  heartbeat = { count: -1, at: performance.now() }
  /** Settles when the worker is ready, or rejects with FST_SWOOLE_WORKER_START and the worker's own error. */
  readonly ready: Promise<void>
  /** Settles when the process is gone and all that it had sent is read. */
  readonly gone: Promise<Exit>
  files: string[] = []
  #worker: Worker
  #listener: (message: FromWorker) => void

  constructor (worker: Worker, start: StartMessage, startTimeoutMs: number, listener: (message: FromWorker) => void, accepted: () => void) {
    this.workerId = start.workerId
    this.role = start.role
    this.generation = start.generation
    this.slot = start.memory.slot
    this.#listener = listener
    this.#worker = worker
    this.pid = this.#worker.process.pid ?? 0
    this.gone = this.#watchEnd()
    this.ready = this.#watchStart(startTimeoutMs)
    this.ready.catch(() => {})
    this.send(start)
    // Node itself tells the sender of a handle that it has arrived (or could not). A message of ours beside that would
    // cost as much as the connection's own (bench/http).
    this.#worker.process.on('internalMessage' as 'message', (message: { cmd?: string }) => {
      if (message.cmd === 'NODE_HANDLE_ACK' || message.cmd === 'NODE_HANDLE_NACK') accepted()
    })
  }

  give (connection: ConnectionHandle): void {
    this.send(CONNECTION, connection)
  }

  send (message: ToWorker, handle?: ConnectionHandle): void {
    // A channel that is closing already is the worker's death, which `gone` reports.
    this.#worker.process.send(message, handle as never, undefined, ignore)
  }

  drain (timeoutMs: number): void {
    if (this.state === 'dead' || this.state === 'draining') return
    this.state = 'draining'
    this.send({ type: 'drain', timeoutMs })
    // The worker keeps its own deadline; this one is for a worker that cannot.
    const timer = setTimeout(() => this.kill(), timeoutMs + KILL_GRACE_MS)
    this.gone.then(() => clearTimeout(timer))
  }

  kill (): void {
    if (this.state === 'dead') return
    this.wasKilled = true
    this.#worker.process.kill('SIGKILL')
  }

  #watchEnd (): Promise<Exit> {
    const { process } = this.#worker
    return new Promise((resolve) => {
      const settle = (code: number | null, signal: string | null) => {
        this.state = 'dead'
        resolve({ code, signal })
      }
      // Not 'exit', before which messages may be unread; not 'disconnect', which does not come while a handle is under way.
      process.once('close', settle)
      process.once('error', () => settle(1, null))
    })
  }

  #watchStart (timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => reject(new WorkerStartError(this.workerId, reason))
      const timer = setTimeout(() => {
        fail(`it was not ready within ${timeoutMs} ms (performance.startTimeout)`)
        this.kill()
      }, timeoutMs)
      this.#worker.process.on('message', (message: FromWorker) => {
        if (message.type === 'failed') {
          clearTimeout(timer)
          fail(message.error)
        } else if (message.type === 'ready') {
          clearTimeout(timer)
          if (this.state === 'starting') this.state = 'ready'
          this.readyAt = performance.now()
          this.files = message.files
          resolve()
        }
        this.#listener(message)
      })
      this.gone.then((exit) => {
        clearTimeout(timer)
        fail(`it ended ${describeExit(exit)} before it was ready`)
      })
    })
  }
}

const KILL_GRACE_MS = 5000
const CONNECTION: ToWorker = { type: 'connection' }
const ignore = () => {}

export function describeExit ({ code, signal }: Exit): string {
  return signal === null ? `with exit code ${code}` : `by ${signal}`
}
