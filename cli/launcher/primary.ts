import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { AlreadyRunningError } from '../../plugins/errors.ts'
import type { ResolvedOptions } from '../../plugins/options/index.ts'
import { workerInfos } from '../../plugins/runtime.ts'
import { Header, createLauncherMemory, readSlots } from '../../plugins/shared-memory/index.ts'
import type { LauncherMemory } from '../../plugins/shared-memory/index.ts'
import { setAside } from './cache-folder.ts'
import { listenForCommands } from './control-server.ts'
import type { ControlRequest } from './control-server.ts'
import { Distributor } from './distributor.ts'
import { Fleet } from './fleet.ts'
import { openLogFile } from './log-file.ts'
import { watchWorkers } from './recycling.ts'
import { rollingReload } from './reload.ts'
import type { Reload } from './reload.ts'
import type { Nursery } from './nursery.ts'
import type { Reporter } from './reporter.ts'
import { runningPrimary, takeRunDirectory } from './run-directory.ts'
import type { RunDirectory } from './run-directory.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface PrimarySettings {
  app: string
  project: string
  options: ResolvedOptions
  /** What of the options the user gave; the rest are defaults. */
  given: Record<string, unknown>
  httpWorkers: number
  taskWorkers: number
  compileCache: string
  nursery: Nursery
  reportFiles: boolean
  reporter: Reporter
}

export interface ReloadRequest {
  clearCache: boolean
  clearOpcache: boolean
  roles?: Array<'http' | 'task'>
}

/** The running application, as commands, signals and the watcher have it. */
export interface Primary {
  readonly url: string
  readonly startedInMs: number
  /** Files that the workers loaded, when `reportFiles` is set. */
  loadedFiles (): string[]
  reload (request: ReloadRequest, progress: (line: string) => void): Reload
  /** Starts the processes of the next reload ahead, so that it has less to wait for. */
  prepareReload (): void
  stop (force?: boolean): void
  /** Settles with the exit code when the application has ended and nothing of it is left. */
  readonly ended: Promise<number>
}

/** Starts the application. Rejects when it does not come up; then nothing of it is left. */
export async function startPrimary (settings: PrimarySettings): Promise<Primary> {
  const { project, options, reporter } = settings
  const directory = takeRunDirectory(project)
  if (directory === undefined) throw new AlreadyRunningError(runningPrimary(project)?.pid ?? 'unknown')
  let memory: LauncherMemory | undefined
  try {
    const { memory: { size, file } } = options
    memory = createLauncherMemory({
      bytes: size,
      folder: directory.bells,
      anonymousFd: settings.nursery.memoryFd,
      file: file && resolve(project, file),
      warn: (message) => reporter.warn(message)
    })
    await settings.nursery.useMemory(memory.fd)
    const { host, port } = options.http
    const distributor = options.performance.enableReusePort ? undefined : await Distributor.listen(host, port)
    return await new RunningPrimary(settings, directory, memory, distributor).start()
  } catch (error) {
    memory?.close()
    directory.remove()
    throw error
  }
}

class RunningPrimary implements Primary {
  readonly ended: Promise<number>
  startedInMs = 0
  #settings: PrimarySettings
  #directory: RunDirectory
  #memory: LauncherMemory
  #distributor: Distributor | undefined
  #fleet: Fleet
  #server: Awaited<ReturnType<typeof listenForCommands>> | undefined
  #stopWatching = () => {}
  #isStopping = false
  #end!: (code: number) => void

  constructor (settings: PrimarySettings, directory: RunDirectory, memory: LauncherMemory, distributor: Distributor | undefined) {
    this.#settings = settings
    this.#directory = directory
    this.#memory = memory
    this.#distributor = distributor
    this.ended = new Promise((resolve) => { this.#end = resolve })
    this.#fleet = new Fleet(settings, memory, directory.bells, distributor, settings.reporter, {
      crashLoop: (error) => {
        settings.reporter.warn(error.message)
        this.#shutDown({ force: true, code: 1 })
      },
      reloadAsked: (worker, id) => this.#reloadForWorker(worker, id)
    })
  }

  async start (): Promise<this> {
    try {
      await this.#fleet.startAll()
      await this.#settings.nursery.discard()
      this.#server = await listenForCommands(this.#directory.controlSocket, (request, progress) => this.#obey(request, progress))
    } catch (error) {
      this.#fleet.kill()
      await Promise.all([...this.#fleet.workers].map(({ gone }) => gone))
      this.#distributor?.close()
      throw error
    }
    this.#stopWatching = watchWorkers(this.#fleet, this.#memory)
    this.#listenForSignals()
    this.startedInMs = Math.round(performance.now())
    return this
  }

  get url (): string {
    const { host, port } = this.#settings.options.http
    const shown = host.includes(':') ? `[${host}]` : host
    return `http://${shown}:${this.#distributor?.address.port ?? port}`
  }

  loadedFiles (): string[] {
    return [...this.#fleet.workers].flatMap(({ files }) => files)
  }

  reload ({ clearCache, clearOpcache, roles = ['http', 'task'] }: ReloadRequest, progress: (line: string) => void): Reload {
    const old = this.#clearCaches(clearCache, clearOpcache)
    const reload = rollingReload(this.#fleet, roles, clearCache, progress)
    const discard = () => old.forEach((folder) => folder.discard())
    reload.finished.then(discard, discard)
    return reload
  }

  prepareReload (): void {
    if (!this.#isStopping) this.#settings.nursery.prepare(this.#fleet.positions.length)
  }

  stop (force = false): void {
    this.#shutDown({ force, code: 0 })
  }

  async #obey (request: ControlRequest, progress: (line: string) => void): Promise<unknown> {
    switch (request.command) {
      case 'status':
        return this.#status()
      case 'reload':
        if (!request.onlyCache) return this.reload(request, progress).finished
        this.#clearCaches(request.clearCache, request.clearOpcache).forEach((folder) => folder.discard())
        // The workers read it where they use it.
        if (request.clearCache) Atomics.add(this.#memory.memory.region.i32, Header.CACHE_CLEARS, 1)
        return null
      case 'stop':
        return this.#shutDown({ force: request.force, code: 0, timeoutMs: request.timeoutMs, progress })
    }
  }

  #status (): object {
    const { app, options: { engine }, httpWorkers } = this.#settings
    return {
      pid: process.pid,
      app,
      url: this.url,
      engine,
      generation: this.#fleet.generation,
      uptimeMs: Math.round(process.uptime() * 1000),
      wanted: { http: httpWorkers, task: this.#fleet.positions.length - httpWorkers },
      memory: this.#memory.memory.allocator.usage(),
      workers: workerInfos(readSlots(this.#memory.memory.region))
    }
  }

  #clearCaches (clearCache: boolean, clearOpcache: boolean) {
    const { project, options: { performance: { cacheFolder } }, compileCache } = this.#settings
    return [
      setAside(clearCache && cacheFolder !== null ? resolve(project, cacheFolder) : null),
      setAside(clearOpcache ? compileCache : null)
    ]
  }

  async #reloadForWorker (worker: WorkerProcess, id: number): Promise<void> {
    try {
      const result = await this.reload({ clearCache: true, clearOpcache: false }, () => {}).swapped
      worker.send({ type: 'reloaded', id, result })
    } catch (error) {
      worker.send({ type: 'reloaded', id, result: { error: (error as Error).message } })
    }
  }

  async #shutDown ({ force, code, timeoutMs, progress = () => {} }: { force: boolean, code: number, timeoutMs?: number | undefined, progress?: (line: string) => void }): Promise<void> {
    const { drainTimeout, readinessDelay } = this.#settings.options.performance
    if (force) this.#fleet.kill()
    if (this.#isStopping) {
      await this.ended
      return
    }
    this.#isStopping = true
    this.#stopWatching()
    if (!force) {
      if (readinessDelay > 0) {
        this.#fleet.announceStop()
        await sleep(readinessDelay)
      }
      await Promise.race([this.#distributor?.stop(), sleep(HAND_OUT_MS, undefined, { ref: false })])
    }
    await Promise.all([this.#settings.nursery.discard(), this.#fleet.stop(timeoutMs ?? drainTimeout, progress)])
    this.#distributor?.close()
    this.#server?.close()
    this.#memory.close()
    this.#directory.remove()
    this.#end(code)
  }

  #listenForSignals (): void {
    const { reporter, options: { log }, project } = this.#settings
    const reload = (roles: Array<'http' | 'task'>) => {
      const { finished } = this.reload({ clearCache: true, clearOpcache: false, roles }, (line) => reporter.note(line))
      finished.then(
        ({ generation, durationMs }) => reporter.note(`reloaded in ${durationMs} ms, generation ${generation}`),
        (error: Error) => reporter.warn(error.message))
    }
    process.on('SIGTERM', () => this.stop())
    process.on('SIGINT', () => this.stop(this.#isStopping))
    process.on('SIGUSR1', () => reload(['http', 'task']))
    process.on('SIGUSR2', () => reload(['task']))
    process.on('SIGHUP', () => {
      if (log.file !== null) openLogFile(resolve(project, log.file))
      for (const worker of this.#fleet.workers) worker.send({ type: 'reopen-logs' })
    })
  }
}

/** At a stop, how long accepted connections may wait for a worker that takes them. */
const HAND_OUT_MS = 1000
