import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { parseBytes } from '../options/index.ts'
import type { Bytes } from '../options/index.ts'
import { launcherRuntime } from '../runtime.ts'
import { memoryFor } from '../shared-memory/index.ts'
import { messageOf } from '../values/index.ts'
import { SharedTaskWorker } from './memory.ts'

export type { Backoff, DeadTask, DispatchOptions, HandlerOptions, SharedTaskWorker, TaskData, TaskHandler, TaskInfo, TaskStats, Wait } from './memory.ts'

export interface TaskWorkerOptions {
  /** Task workers that the launcher starts. Default 2; with 0 each HTTP worker runs tasks. */
  workerNum?: number
  /** Tasks after which a task worker is replaced; 0 is never. Default 10,000. */
  maxRequest?: number
  /** Tasks of a type that may wait at once, 1 to 1,048,576. Default 100,000. */
  maxQueued?: number
  /** Bytes that the data of a task may have. Default '16mb'. */
  maxPayload?: Bytes
}

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Runs work outside of requests, in the launcher's task workers, or in this process when there is no launcher.
     * After the original's `TaskWorker`.
     */
    taskWorker: SharedTaskWorker
  }
}

const DEFAULTS = { workerNum: 2, maxRequest: 10_000, maxQueued: 100_000, maxPayload: '16mb' }
/** How long a close waits for tasks that run: the launcher gives all close hooks of a worker ten seconds. */
const GRACE_MS = 8000
/** How many more tasks than `maxRequest` a worker runs at most, as a part of it, so that not all are replaced at once. */
const JITTER = 0.2

const taskWorker: FastifyPluginAsync<TaskWorkerOptions> = async (fastify, given) => {
  const options = { ...DEFAULTS, ...given }
  const launcher = launcherRuntime()
  const memory = memoryFor(fastify.server)
  const { log } = fastify
  const limit = options.maxRequest === 0 ? Infinity : Math.ceil(options.maxRequest * (1 + Math.random() * JITTER))
  let ended = 0

  const role = launcher === undefined ? 'standalone' : options.workerNum === 0 ? 'http' : 'task'
  const tasks = new SharedTaskWorker(memory, {
    role,
    maxQueued: options.maxQueued,
    maxPayload: parseBytes(options.maxPayload, 'task.maxPayload'),
    withStack: process.env.NODE_ENV === 'development',
    onError (type, error, task, attempt, isDead) {
      const taskId = (task as { id?: string } | undefined)?.id
      const tell = (failure: object) => isDead
        ? log.error({ ...failure, type, taskId, attempt }, 'a task failed for the last time and is a dead letter')
        : log.warn({ ...failure, type, taskId, attempt }, 'a task failed')
      try {
        tell({ err: error })
      } catch {
        // A frozen error, say, which the logger cannot take apart.
        tell({ error: messageOf(error) })
      }
    },
    onEnd () {
      if (++ended === limit) launcher?.recycle(`it has run ${ended} tasks (task.maxRequest)`)
    }
  })
  const stop = async (graceMs: number) => {
    const abandoned = await tasks.stop(graceMs)
    if (abandoned > 0) log.warn({ tasks: abandoned }, 'tasks did not end before the worker had to leave: they are run again by others')
  }

  fastify.decorate('taskWorker', tasks)
  if (role === 'standalone' || role === launcher?.role) fastify.addHook('onReady', async () => tasks.start())
  launcher?.onDrain(stop)
  // Handlers may use what other plugins close in onClose.
  fastify.addHook('preClose', async () => await stop(GRACE_MS))
  fastify.addHook('onClose', async () => memory.close())
}

export default fp(taskWorker, { fastify: '5.x', name: 'fastify-swoole-task-worker' })
