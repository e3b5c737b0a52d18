import type { ResolvedOptions } from '../../plugins/options/index.ts'
import type { Attachment } from '../../plugins/shared-memory/index.ts'

/** What a worker needs to start; the first message that it gets. */
export interface StartMessage {
  type: 'start'
  app: string
  project: string
  role: 'http' | 'task'
  workerId: number
  workers: number
  generation: number
  /** The primary's own address, undefined when the worker listens for itself or not at all. */
  address: { address: string, port: number, family: string } | undefined
  /** The worker collects which files it loaded and reports them with `ready`. */
  reportFiles: boolean
  memory: Attachment
  options: ResolvedOptions
  given: Record<string, unknown>
}

export type ToWorker =
  | StartMessage
  /** Carries the handle of a connection. */
  | { type: 'connection' }
  /** A stop is announced: readiness says 503 while the worker serves as ever. */
  | { type: 'unready' }
  | { type: 'drain', timeoutMs: number }
  | { type: 'reopen-logs' }
  | { type: 'reloaded', id: number, result: { generation: number, durationMs: number } | { error: string } }

export type FromWorker =
  | { type: 'ready', port: number | null, files: string[] }
  | { type: 'failed', error: string }
  /** Replace this worker: it serves until it is told to drain. */
  | { type: 'recycle', reason: string }
  | { type: 'reload', id: number }
