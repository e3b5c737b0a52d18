import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { memoryFor } from '../shared-memory/index.ts'
import { Int64Atomic, Uint32Atomic } from './memory.ts'

export type { Int64Atomic, Uint32Atomic } from './memory.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * The counter of this name that all workers share: unsigned 32 bit, wraps. `initial` (default 0) counts for the
     * first caller of the application only. Its name: 1 to 1024 bytes.
     * After the original's `SwooleAtomic`.
     */
    atomic (name: string, initial?: number): Uint32Atomic
    /** The same with a signed 64-bit value, as bigint. */
    atomicLong (name: string, initial?: bigint): Int64Atomic
  }
}

const atomic: FastifyPluginAsync = async (fastify) => {
  const memory = memoryFor(fastify.server)
  const atomics = new Map<string, Uint32Atomic>()
  const atomicLongs = new Map<string, Int64Atomic>()

  fastify.decorate('atomic', (name: string, initial = 0) => opened(atomics, name, () => new Uint32Atomic(memory, name, initial)))
  fastify.decorate('atomicLong', (name: string, initial = 0n) => opened(atomicLongs, name, () => new Int64Atomic(memory, name, initial)))
  fastify.addHook('onClose', async () => memory.close())
}

function opened<T> (known: Map<string, T>, name: string, open: () => T): T {
  let object = known.get(name)
  if (object === undefined) {
    object = open()
    known.set(name, object)
  }
  return object
}

export default fp(atomic, { fastify: '5.x', name: 'fastify-swoole-atomic' })
