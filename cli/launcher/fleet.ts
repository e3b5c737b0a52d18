import { CrashLoopError } from '../../plugins/errors.ts'
import type { ResolvedOptions } from '../../plugins/options/index.ts'
import { Header, setSlotState } from '../../plugins/shared-memory/index.ts'
import type { LauncherMemory } from '../../plugins/shared-memory/index.ts'
import type { Distributor } from './distributor.ts'
import type { FromWorker, StartMessage } from './messages.ts'
import type { Nursery } from './nursery.ts'
import type { Reporter } from './reporter.ts'
import { RestartPolicy } from './restart-policy.ts'
import { WorkerProcess, describeExit } from './worker-process.ts'
import type { Exit } from './worker-process.ts'

/** A place in the fleet that one worker after another fills; its number is what the worker is told as its id. */
export interface Position {
  readonly workerId: number
  readonly role: 'http' | 'task'
  current: WorkerProcess | undefined
  /** Started to take the place of `current`. */
  next: WorkerProcess | undefined
  restart: NodeJS.Timeout | undefined
}

export interface FleetSettings {
  app: string
  project: string
  httpWorkers: number
  taskWorkers: number
  options: ResolvedOptions
  given: Record<string, unknown>
  reportFiles: boolean
  nursery: Nursery
}

export interface FleetEvents {
  /** The fleet cannot go on: workers died before they were ready, one after another, and none serves. */
  crashLoop (error: Error): void
  reloadAsked (worker: WorkerProcess, id: number): void
}

/** All workers of the application: starts them, replaces those that die, lets them go. */
export class Fleet {
  readonly positions: Position[]
  readonly settings: FleetSettings
  generation = 1
  /** The number of the code that runs, by which caches tell what is of older code. */
  cacheReloads: number
  #memory: LauncherMemory
  #bells: string
  #distributor: Distributor | undefined
  #reporter: Reporter
  #events: FleetEvents
  #policy = new RestartPolicy()
  #all = new Set<WorkerProcess>()
  #hasStarted = false
  #isStopping = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor (settings: FleetSettings, memory: LauncherMemory, bells: string, distributor: Distributor | undefined, reporter: Reporter, events: FleetEvents) {
    this.settings = settings
    this.cacheReloads = nextCacheReloads(memory)
    this.#memory = memory
    this.#bells = bells
    this.#distributor = distributor
    this.#reporter = reporter
    this.#events = events
    const position = (role: 'http' | 'task', workerId: number): Position => ({ workerId, role, current: undefined, next: undefined, restart: undefined })
    this.positions = [
      ...Array.from({ length: settings.httpWorkers }, (_, n) => position('http', n)),
      ...Array.from({ length: settings.taskWorkers }, (_, n) => position('task', settings.httpWorkers + n))
    ]
  }

  get workers (): ReadonlySet<WorkerProcess> {
    return this.#all
  }

  get isStopping (): boolean {
    return this.#isStopping
  }

  /**
   * Starts a worker at every position: the first alone, so that it answers soon and a broken application fails once,
   * then the others at once. Rejects with the first error.
   */
  async startAll (): Promise<void> {
    const [first, ...others] = this.positions
    await this.#bringUp(first!)
    await Promise.all(others.map((position) => this.#bringUp(position)))
    this.#hasStarted = true
    for (const position of this.positions) {
      if (position.current === undefined) this.refill(position)
    }
  }

  async #bringUp (position: Position): Promise<void> {
    position.current = this.start(position)
    await position.current.ready
    this.admit(position.current)
  }

  /** Runs reloads and replacements one after another. */
  inTurn<T> (work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => {})
    return result
  }

  start (position: Position, generation = this.generation, cacheReloads = this.cacheReloads): WorkerProcess {
    const { app, project, httpWorkers, taskWorkers, options, given, reportFiles } = this.settings
    const slot = this.#memory.claim(position.role, position.workerId, generation, cacheReloads)
    const message: StartMessage = {
      type: 'start',
      app,
      project,
      role: position.role,
      workerId: position.workerId,
      workers: position.role === 'http' ? httpWorkers : taskWorkers,
      generation,
      address: position.role === 'http' ? this.#distributor?.address : undefined,
      reportFiles,
      memory: { fd: INHERITED_MEMORY_FD, bytes: this.#memory.bytes, slot, bells: this.#bells },
      options,
      given
    }
    const worker = new WorkerProcess(this.settings.nursery.take(), message, options.performance.startTimeout, (message) => this.#heard(worker, message), () => this.#distributor?.accepted(worker))
    this.#all.add(worker)
    worker.gone.then((exit) => this.#gone(position, worker, exit))
    return worker
  }

  /** A number for code that is not to see what the caches have of older code; no other code has had it, also when its workers did not come. */
  nextCacheReloads (): number {
    return nextCacheReloads(this.#memory)
  }

  /** Gives a ready worker its share of the connections. */
  admit (worker: WorkerProcess): void {
    if (worker.state !== 'ready') return
    this.#policy.ready()
    if (worker.role === 'http') this.#distributor?.add(worker)
  }

  /** Lets a worker finish what it has and leave. */
  dismiss (worker: WorkerProcess | undefined, timeoutMs = this.settings.options.performance.drainTimeout): void {
    if (worker === undefined || worker.state === 'dead') return
    if (worker.state === 'starting') return worker.kill()
    this.#distributor?.rest(worker)
    setSlotState(this.#memory.memory.region, worker.slot.index, 'draining')
    worker.drain(timeoutMs)
  }

  /** Puts the worker that was started for a position in the place of the one there, which leaves. */
  replace (position: Position): void {
    const { current, next } = position
    position.current = next
    position.next = undefined
    if (next !== undefined) this.admit(next)
    this.dismiss(current)
    if (next?.state !== 'ready') {
      position.current = undefined
      this.refill(position)
    }
  }

  /** Lets the worker that was started for a position go again; the one there stays. */
  giveUp (position: Position): void {
    this.dismiss(position.next)
    position.next = undefined
    if (position.current === undefined) this.refill(position)
  }

  /** Starts a worker at an empty position, now or after `delayMs`. */
  refill (position: Position, delayMs = 0): void {
    clearTimeout(position.restart)
    position.restart = setTimeout(() => {
      if (this.#isStopping || position.current !== undefined || position.next !== undefined) return
      const worker = position.current = this.start(position)
      // If it does not become ready it dies, and that is handled where every death is.
      worker.ready.then(() => this.admit(worker), () => {})
    }, delayMs)
  }

  /** Starts a replacement, and lets `worker` leave when that is ready. The old one serves on if it does not come. */
  recycle (worker: WorkerProcess, reason: string): Promise<void> {
    return this.inTurn(async () => {
      const position = this.positions.find(({ current }) => current === worker)
      if (position === undefined || this.#isStopping || worker.state !== 'ready') return
      this.#reporter.note(`worker ${worker.workerId} (process ${worker.pid}) is replaced: ${reason}`)
      position.next = this.start(position)
      try {
        await position.next.ready
        this.replace(position)
      } catch (error) {
        this.#reporter.warn(`worker ${worker.workerId} stays, its replacement failed: ${(error as Error).message}`)
        this.giveUp(position)
      }
    })
  }

  /** Lets all workers finish within `timeoutMs` and kills those that have not. */
  async stop (timeoutMs: number, progress: (line: string) => void): Promise<void> {
    this.#isStopping = true
    for (const { restart } of this.positions) clearTimeout(restart)
    const total = this.#all.size
    let left = 0
    const gone = [...this.#all].map(async (worker) => {
      this.dismiss(worker, timeoutMs)
      await worker.gone
      progress(`stopping ${++left}/${total}`)
    })
    await Promise.all(gone)
  }

  kill (): void {
    this.#isStopping = true
    for (const { restart } of this.positions) clearTimeout(restart)
    for (const worker of this.#all) worker.kill()
  }

  announceStop (): void {
    for (const worker of this.#all) worker.send({ type: 'unready' })
  }

  #heard (worker: WorkerProcess, message: FromWorker): void {
    switch (message.type) {
      case 'recycle':
        this.recycle(worker, message.reason)
        break
      case 'reload':
        this.#events.reloadAsked(worker, message.id)
        break
    }
  }

  #gone (position: Position, worker: WorkerProcess, exit: Exit): void {
    this.#all.delete(worker)
    this.#distributor?.remove(worker)
    this.#memory.memory.recover(worker.slot, exit)
    if (position.current !== worker || this.#isStopping) return
    position.current = undefined
    const readyForMs = worker.readyAt === 0 ? undefined : performance.now() - worker.readyAt
    const delayMs = this.#policy.died(position.workerId, { isFromOutside: exit.signal === 'SIGKILL' && !worker.wasKilled, readyForMs })
    if (!this.#hasStarted) return
    this.#reporter.warn(`worker ${worker.workerId} (process ${worker.pid}) died ${describeExit(exit)}${delayMs > 0 ? `, the next one starts in ${delayMs} ms` : ''}`)
    if (this.#isCrashLoop()) {
      const { deathsBeforeReady } = this.#policy
      worker.ready.catch((error: Error) => this.#events.crashLoop(new CrashLoopError(deathsBeforeReady, 'before they were ready', error.message)))
      return
    }
    if (position.next === undefined) this.refill(position, delayMs)
  }

  #isCrashLoop (): boolean {
    return this.#policy.deathsBeforeReady >= this.settings.options.performance.crashLimit &&
      this.positions.every(({ role, current }) => role === 'task' || current?.state !== 'ready')
  }
}

/** 0 to 2 are the standard streams and 3 is the channel to the primary. */
const INHERITED_MEMORY_FD = 4

const nextCacheReloads = ({ memory }: LauncherMemory): number => Atomics.add(memory.region.i32, Header.CACHE_RELOADS, 1) + 1
