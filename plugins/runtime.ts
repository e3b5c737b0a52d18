import type { SlotInfo, State } from './shared-memory/index.ts'

/** A worker of the application, as it last described itself (about once a second). */
export interface WorkerInfo {
  id: number
  role: 'http' | 'task'
  pid: number
  generation: number
  state: State
  startedAt: Date
  requests: number
  inFlight: number
  connections: number
  /** Resident memory in bytes. */
  rss: number
  /** 0 to 1. */
  eventLoopUtilization: number
  eventLoopDelayP99Ms: number
}

/** What the launcher tells the root plugin of a worker. */
export interface LauncherRuntime {
  readonly workerId: number
  readonly role: 'http' | 'task'
  readonly mode: 'process'
  readonly generation: number
  /** The options that the command line, the environment or the configuration file set. */
  readonly given: Record<string, unknown>
  /** False from the moment that a stop is announced: readiness answers 503. */
  isReady (): boolean
  reload (): Promise<{ generation: number, durationMs: number }>
  /** Asks for this worker to be replaced: it serves until it is told to leave. */
  recycle (reason: string): void
  /** `drain` is called when the worker leaves, before the application closes, and settles when what it stands for has ended, after that time at the latest. */
  onDrain (drain: (timeoutMs: number) => Promise<void>): void
}

// Kept on globalThis: the launcher may be another copy of this package than the one that the application imports.
const RUNTIME = Symbol.for('fastify-swoole.runtime')
const registry = globalThis as { [RUNTIME]?: LauncherRuntime }

export function setLauncherRuntime (runtime: LauncherRuntime): void {
  registry[RUNTIME] = runtime
}

/** Undefined when no launcher started this process. */
export function launcherRuntime (): LauncherRuntime | undefined {
  return registry[RUNTIME]
}

export function workerInfos (slots: SlotInfo[]): WorkerInfo[] {
  return slots
    .filter(({ role }) => role !== 'primary')
    .map(({ index, tag, role, ...info }) => ({ ...info, role: role === 'task' ? 'task' as const : 'http' as const }))
    .sort((a, b) => a.id - b.id || a.generation - b.generation)
}
