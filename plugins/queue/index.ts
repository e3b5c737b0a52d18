import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { isDeepStrictEqual } from 'node:util'
import { SchemaMismatchError } from '../errors.ts'
import { memoryFor } from '../shared-memory/index.ts'
import { messageOf } from '../values/index.ts'
import { definitionOf } from './definition.ts'
import { SharedQueue } from './memory.ts'
import type { QueueOptions } from './memory.ts'

export type { Attempt, Backoff, ConsumeOptions, DeadLetter, Handler, PopOptions, PushOptions, QueueConsumer, QueueOptions, QueueStats, SharedQueue as Queue } from './memory.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * The queue of this name that all workers share. Its name: 1 to 1024 bytes. Without options it is the one that exists,
     * or one with the defaults. Closing the application waits up to 8 seconds for the handlers of its consumers that run.
     * Throws FST_SWOOLE_OPTIONS_INVALID, _NAME_INVALID, _SCHEMA_MISMATCH (it exists with other options), _MEMORY_FULL.
     * After the original's `SwooleQueue`.
     */
    queue<T = unknown> (name: string, options?: QueueOptions): SharedQueue<T>
  }
}

/** How long a close waits for handlers: the launcher gives all close hooks of a worker ten seconds. */
const GRACE_MS = 8000

const queue: FastifyPluginAsync = async (fastify) => {
  const memory = memoryFor(fastify.server)
  const queues = new Map<string, SharedQueue>()

  const open = (name: string, options?: QueueOptions): SharedQueue => {
    const onError = (err: unknown, _item: unknown, attempt: number, isDead: boolean) => {
      const log = (failure: object) => isDead
        ? fastify.log.error({ ...failure, queue: name, attempt }, 'an item of a queue failed for the last time and is a dead letter')
        : fastify.log.warn({ ...failure, queue: name, attempt }, 'an item of a queue failed')
      try {
        log({ err })
      } catch {
        // A frozen error, say, which the logger cannot take apart.
        log({ error: messageOf(err) })
      }
    }
    const opened = new SharedQueue(memory, name, options, onError)
    queues.set(name, opened)
    return opened
  }

  fastify.decorate('queue', <T>(name: string, options?: QueueOptions) => {
    const known = queues.get(name)
    if (known !== undefined && options !== undefined) requireSame(known, options)
    return (known ?? open(name, options)) as SharedQueue<T>
  })
  // Handlers may use what other plugins close in onClose, and their items are acknowledged in the memory that closes there.
  fastify.addHook('preClose', async () => {
    await Promise.all([...queues.values()].map(async (queue) => {
      const abandoned = await queue.stopConsumers(GRACE_MS)
      if (abandoned > 0) fastify.log.warn({ queue: queue.name, items: abandoned }, 'handlers of a queue did not end before the close: their items are ready again')
    }))
  })
  fastify.addHook('onClose', async () => memory.close())
}

function requireSame ({ name, definition }: SharedQueue, options: QueueOptions): void {
  const other = definitionOf(name, options)
  if (isDeepStrictEqual(definition, other)) return
  throw new SchemaMismatchError(`The queue "${name}"`, JSON.stringify(definition), JSON.stringify(other))
}

export default fp(queue, { fastify: '5.x', name: 'fastify-swoole-queue' })
