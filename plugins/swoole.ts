import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import atomic from './atomic/index.ts'
import cache from './cache/index.ts'
import { NoLauncherError, NodeUnsupportedError, OptionsInvalidError } from './errors.ts'
import health from './health/index.ts'
import lock from './lock/index.ts'
import { mergeOptions, requireEnvironment, resolveOptions } from './options/index.ts'
import type { ResolvedOptions, SwooleOptions } from './options/index.ts'
import queue from './queue/index.ts'
import rateLimiter, { BYTES_PER_KEY } from './rate-limiter/index.ts'
import { launcherRuntime, workerInfos } from './runtime.ts'
import type { LauncherRuntime, WorkerInfo } from './runtime.ts'
import scheduler from './scheduler/index.ts'
import session, { defaultSize } from './session/index.ts'
import { memoryFor, readSlots, setSlotState } from './shared-memory/index.ts'
import type { SharedMemory } from './shared-memory/index.ts'
import table from './table/index.ts'
import taskWorker from './task-worker/index.ts'

export type { SwooleOptions } from './options/index.ts'
export type { WorkerInfo } from './runtime.ts'
export type { Int64Atomic, Uint32Atomic } from './atomic/index.ts'
export type { CacheItem, SharedCache as Cache } from './cache/index.ts'
export type { Lock, LockHandle } from './lock/index.ts'
export type { PoolStats, RedisPool, SqlPool, TransactionOptions, Wait } from './pools/index.ts'
export type { Queue } from './queue/index.ts'
export type { SharedRateLimiter as RateLimiter } from './rate-limiter/index.ts'
export type { JobHandler, JobReport, Scheduler, ScheduleOptions } from './scheduler/index.ts'
export type { SessionStore } from './session/index.ts'
export type { Column, SharedTable } from './table/index.ts'
export type { SharedTaskWorker as TaskWorker, TaskInfo } from './task-worker/index.ts'
export { bytes, float, int, long, string } from './table/index.ts'

/** `fastify.swoole`: who this worker is, and who the others are. */
export interface SwooleRuntime {
  /** 0-based; HTTP workers first, then task workers. Stable while the worker lives, and taken over by its replacement. */
  readonly workerId: number
  /** 'standalone': no launcher started this process. */
  readonly role: 'http' | 'task' | 'standalone'
  readonly mode: 'process' | 'thread' | 'standalone'
  /** Of the code that this worker runs: 1 at first, one more with each successful reload. */
  readonly generation: number
  /** All options, with defaults; durations in milliseconds, sizes in bytes. */
  readonly options: ResolvedOptions
  /** Every live worker of the application. */
  workers (): WorkerInfo[]
  /**
   * Replaces all workers by new ones that load the code anew, one after another, with no request dropped. Settles when
   * the new ones are in; the worker that asked leaves after it has answered.
   * Rejects with FST_SWOOLE_RELOAD_FAILED (the old workers serve on), or FST_SWOOLE_NO_LAUNCHER.
   */
  reload (): Promise<{ generation: number, durationMs: number }>
}

declare module 'fastify' {
  interface FastifyInstance {
    swoole: SwooleRuntime
  }
}

/** Blocks that are read before the application is loaded: with a launcher, its own sources count. */
const LAUNCHER_BLOCKS = ['http', 'https', 'http2', 'hotReload', 'performance', 'memory', 'log'] as const

const OLDEST_NODE = [22, 22] as const

const swoole: FastifyPluginAsync<SwooleOptions> = async (fastify, given) => {
  requireNode()
  const launcher = launcherRuntime()
  const all = mergeOptions(given, (launcher?.given ?? requireEnvironment(process.env)) as SwooleOptions)
  const options = resolveOptions(all, 'the options of the plugin fastify-swoole')
  if (launcher !== undefined) warnOfLateOptions(fastify.log, given, launcher)
  const memory = memoryFor(fastify.server, options.memory.size)
  requireRoom(all, options, memory.region.bytes)
  fastify.decorate('swoole', launcher === undefined ? standalone(options, memory) : launched(options, memory, launcher))

  for (const capability of [atomic, table, lock, queue]) await fastify.register(capability)
  if (options.cache !== false) await fastify.register(cache, options.cache)
  if (options.rateLimiter !== false) await fastify.register(rateLimiter, options.rateLimiter)
  if (options.session !== false) await fastify.register(session, options.session)
  if (options.task !== false) await fastify.register(taskWorker, options.task)
  if (options.scheduler !== false) await fastify.register(scheduler, options.scheduler)
  await registerPools(fastify, all, options)
  if (options.health !== false) await fastify.register(health, options.health)
}

/** Those whose block is there: their client libraries are only needed then. */
async function registerPools (fastify: FastifyInstance, { database: given }: SwooleOptions, { database }: ResolvedOptions): Promise<void> {
  if (!given || database === false) return
  const { enablePool, ...blocks } = database
  const plugins = {
    mysql: () => import('./mysql/index.ts'),
    postgresql: () => import('./postgres/index.ts'),
    redis: () => import('./redis/index.ts')
  }
  for (const [kind, load] of Object.entries(plugins) as Array<[keyof typeof plugins, () => Promise<{ default: FastifyPluginAsync<object> }>]>) {
    if (given[kind] === undefined) continue
    const { default: plugin } = await load()
    await fastify.register(plugin, { ...blocks[kind], ...(enablePool ? {} : { idleTimeout: 0 }) } as object)
  }
}

/** What was asked for by name has to fit into the memory together, or the first who needs it would be told so, at some request. */
function requireRoom (given: SwooleOptions, { cache, session, rateLimiter }: ResolvedOptions, bytes: number): void {
  const asked: Array<[string, number]> = []
  if (given.cache && given.cache.size != null && cache !== false) asked.push(['cache.size', cache.size!])
  if (given.session && session !== false) asked.push(['session.size', session.size ?? defaultSize(bytes)])
  if (given.rateLimiter && given.rateLimiter.maxKeys != null && rateLimiter !== false) asked.push(['rateLimiter.maxKeys', rateLimiter.maxKeys! * BYTES_PER_KEY])
  const sum = asked.reduce((sum, [, wanted]) => sum + wanted, 0)
  if (sum < bytes) return
  throw new OptionsInvalidError(`memory.size is ${bytes} bytes, but ${asked.map(([name, wanted]) => `${name} takes ${wanted} of them`).join(' and ')}: raise memory.size`)
}

function requireNode (): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return
  throw new NodeUnsupportedError(OLDEST_NODE.join('.'), process.versions.node)
}

function launched (options: ResolvedOptions, memory: SharedMemory, { workerId, role, mode, generation, reload }: LauncherRuntime): SwooleRuntime {
  return { workerId, role, mode, generation, options, reload, workers: () => workerInfos(readSlots(memory.region)) }
}

function standalone (options: ResolvedOptions, memory: SharedMemory): SwooleRuntime {
  setSlotState(memory.region, memory.slot.index, 'ready')
  return {
    workerId: 0,
    role: 'standalone',
    mode: 'standalone',
    generation: 1,
    options,
    workers: () => workerInfos(readSlots(memory.region)),
    async reload () {
      throw new NoLauncherError('fastify.swoole.reload()')
    }
  }
}

function warnOfLateOptions (log: { warn (object: object, message: string): void }, given: SwooleOptions, launcher: LauncherRuntime): void {
  const late = LAUNCHER_BLOCKS.filter((block) => given[block] !== undefined && JSON.stringify(given[block]) !== JSON.stringify(launcher.given[block]))
  if (late.length === 0) return
  log.warn({ options: late }, 'these options are read before the application is loaded: put them into swoole.config.ts, the environment or the command line')
}

export default fp(swoole, { fastify: '5.x', name: 'fastify-swoole' })
