import { flushCompileCache } from 'node:module'
import { resolve } from 'node:path'
import type { Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { ReloadFailedError } from '../../plugins/errors.ts'
import { setLauncherRuntime } from '../../plugins/runtime.ts'
import { attachMemory, setSlotState, useMemory } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import type { ConnectionHandle } from '../launcher/distributor.ts'
import { openLogFile } from '../launcher/log-file.ts'
import type { StartMessage, ToWorker } from '../launcher/messages.ts'
import { sweepRunDirectory } from '../launcher/run-directory.ts'
import { collectLoadedFiles, createServer, loadApplication } from './application.ts'
import { Connections } from './connections.ts'
import type { Send } from './main.ts'
import { listenThroughPrimary } from './primary-handle.ts'
import { showVitalSigns } from './vital-signs.ts'

/** A close hook that never ends must not keep a worker. */
const CLOSE_MS = 10_000
const FLUSH_AFTER_MS = 1000
/** How much later than `maxRequest` a worker is recycled at most, as a part of it, so that not all are at once. */
const JITTER = 0.2

type ReloadResult = { generation: number, durationMs: number }

export class ServingWorker {
  isReady = false
  #start: StartMessage
  #send: Send
  #memory: SharedMemory
  #fastify: FastifyInstance | undefined
  #contexts: FastifyInstance[] = []
  #connections: Connections | undefined
  #accept: ((connection: ConnectionHandle) => void) | undefined
  #drains: Array<(timeoutMs: number) => Promise<void>> = []
  #isAnnounced = false
  #isLeaving = false
  #reloads = new Map<number, PromiseWithResolvers<ReloadResult>>()

  constructor (start: StartMessage, send: Send) {
    this.#start = start
    this.#send = send
    this.#memory = attachMemory(start.memory)
    useMemory(this.#memory)
    setLauncherRuntime({
      workerId: start.workerId,
      role: start.role,
      mode: 'process',
      generation: start.generation,
      given: start.given,
      isReady: () => this.isReady && !this.#isAnnounced && !this.#isLeaving,
      reload: () => this.#reload(),
      recycle: (reason) => this.#send({ type: 'recycle', reason }),
      onDrain: (drain) => { this.#drains.push(drain) }
    })
  }

  async start (): Promise<void> {
    const { app, options, role, reportFiles } = this.#start
    this.#openLogFile()
    const files = reportFiles ? collectLoadedFiles() : new Set<string>()
    const { fastify, contexts } = await createServer(app, await loadApplication(app), options)
    this.#fastify = fastify
    this.#contexts = contexts
    const server = fastify.server as Server
    this.#connections = new Connections(server, this.#recycler())
    showVitalSigns(this.#memory, this.#connections)
    if (role === 'http') await this.#listen(fastify, server)
    setSlotState(this.#memory.region, this.#memory.slot.index, 'ready')
    this.isReady = true
    const address = server.address()
    this.#send({ type: 'ready', port: typeof address === 'object' && address !== null ? address.port : null, files: [...files] })
    // It takes its time with a cold cache, and one worker has compiled what all others have.
    if (this.#start.workerId === 0) setTimeout(flushCompileCache, FLUSH_AFTER_MS).unref()
  }

  hear (message: ToWorker, handle: unknown): void {
    switch (message.type) {
      case 'connection':
        this.#accept!(handle as ConnectionHandle)
        break
      case 'unready':
        this.#isAnnounced = true
        break
      case 'drain':
        this.leave('it was told to', message.timeoutMs)
        break
      case 'reopen-logs':
        this.#openLogFile()
        break
      case 'reloaded': {
        const { id, result } = message
        if ('error' in result) this.#reloads.get(id)?.reject(new ReloadFailedError(result.error))
        else this.#reloads.get(id)?.resolve(result)
        this.#reloads.delete(id)
      }
    }
  }

  /** Finishes what it has, closes the application and ends the process. */
  async leave (reason: string, timeoutMs = this.#start.options.performance.drainTimeout): Promise<void> {
    if (this.#isLeaving) return
    this.#isLeaving = true
    const { project, options: { performance } } = this.#start
    if (this.#fastify === undefined || !this.isReady) process.exit(0)
    this.#fastify.log.debug({ reason }, 'worker leaves')
    setSlotState(this.#memory.region, this.#memory.slot.index, 'draining')
    closeWebSockets(this.#contexts)
    await Promise.all([this.#connections!.drain(timeoutMs, performance.drainIdleTimeout), ...this.#drains.map((drain) => drain(timeoutMs))])
    await Promise.race([this.#fastify.close(), sleep(CLOSE_MS)])
    // Without a primary nobody else would; it does nothing while another worker or a new launcher has the folder.
    if (!process.connected) sweepRunDirectory(project)
    process.exit(0)
  }

  async #listen (fastify: FastifyInstance, server: Server): Promise<void> {
    const { address, options: { http: { host, port }, performance }, workers } = this.#start
    server.maxConnections = Math.ceil(performance.maxConnection / workers)
    if (address !== undefined) this.#accept = listenThroughPrimary(server, address)
    await fastify.listen({ host: address?.address ?? host, port: address?.port ?? port, ...(address === undefined ? { reusePort: true, exclusive: true } : {}) } as never)
  }

  #openLogFile (): void {
    const { project, options: { log } } = this.#start
    if (log.file !== null) openLogFile(resolve(project, log.file))
  }

  #recycler (): () => void {
    const { maxRequest } = this.#start.options.performance
    if (maxRequest === 0) return () => {}
    const limit = maxRequest + Math.floor(Math.random() * maxRequest * JITTER)
    let next = limit
    return () => {
      if (this.#connections!.requests < next) return
      next += limit
      this.#send({ type: 'recycle', reason: `it has answered ${this.#connections!.requests} requests (performance.maxRequest)` })
    }
  }

  #reload (): Promise<ReloadResult> {
    const id = this.#reloads.size === 0 ? 0 : Math.max(...this.#reloads.keys()) + 1
    const result = Promise.withResolvers<ReloadResult>()
    this.#reloads.set(id, result)
    this.#send({ type: 'reload', id })
    return result.promise
  }
}

/**
 * Closes the connections of @fastify/websocket with 1012: the service restarts, and the client may come back at once
 * (RFC 6455, registry of close codes). It stands in the context where the application registered it.
 */
function closeWebSockets (contexts: FastifyInstance[]): void {
  type WithWebSockets = { websocketServer?: { clients: Set<{ close (code: number, reason: string): void }> } }
  const servers = new Set(contexts.map((context) => (context as WithWebSockets).websocketServer))
  for (const server of servers) {
    for (const client of server?.clients ?? []) client.close(1012, 'service restart')
  }
}
