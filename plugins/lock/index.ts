import fp from 'fastify-plugin'
import type {
  FastifyBaseLogger, FastifyInstance, FastifyPluginAsync, FastifyTypeProvider, FastifyTypeProviderDefault, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase,
  RawServerDefault
} from 'fastify'
import { memoryFor } from '../shared-memory/index.ts'
import { SharedLock } from './memory.ts'
import type { Lock, LockOptions } from './memory.ts'

export type { Lock, LockHandle, LockOptions, LockType, Wait } from './memory.ts'

/**
 * The lock of this name that all workers share; a `mutex` unless `type` says otherwise. It is released when its holder
 * dies, and the next one is told (`handle.abandoned`). Its name: 1 to 1024 bytes. Without options, a name that this
 * application has opened before is the lock that it opened.
 * Throws FST_SWOOLE_LOCK_TYPE, FST_SWOOLE_DURATION_INVALID, FST_SWOOLE_NAME_INVALID; FST_SWOOLE_SCHEMA_MISMATCH for another type
 * or number of permits than it has; FST_SWOOLE_MEMORY_FULL and, as no name is ever freed, FST_SWOOLE_DIRECTORY_FULL after 16,384.
 * After the original's `SwooleLock`.
 */
export interface OpenLock {
  (name: string): Lock
  // One property at least, or TypeScript would take a route's handler for these options before it looks at Fastify's signature.
  (name: string, options: LockOptions & (Required<Pick<LockOptions, 'type'>> | Required<Pick<LockOptions, 'permits'>> | Required<Pick<LockOptions, 'deadlockTimeout'>>)): Lock
}

/*
 * Fastify's types have a `lock` already, for routes of WebDAV's method LOCK; there is none at run time before
 * `addHttpMethod('LOCK')`. A property cannot be declared anew, so its type gets the signature as well.
 */
/* eslint-disable @typescript-eslint/no-unused-vars -- the parameters have to be those of the interface that this adds to */
declare module 'fastify' {
  interface RouteShorthandMethod<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger
  > extends OpenLock {}
}

const lock: FastifyPluginAsync = async (fastify) => {
  const memory = memoryFor(fastify.server)
  const locks = new Map<string, SharedLock>()

  const open = (name: string, options?: LockOptions): Lock => {
    let lock = locks.get(name)
    if (lock === undefined) {
      lock = new SharedLock(memory, name, options)
      locks.set(name, lock)
    } else if (options !== undefined) {
      lock.reopen(options)
    }
    return lock
  }
  fastify.decorate('lock', open as FastifyInstance['lock'])
  fastify.addHook('onClose', async () => memory.close())
}

export default fp(lock, { fastify: '5.x', name: 'fastify-swoole-lock' })
