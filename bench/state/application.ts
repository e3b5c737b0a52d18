import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import swoole from '../../plugins/swoole.ts'
import type { SwooleOptions } from '../../plugins/swoole.ts'
import { useMemory } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'

/** An application on this memory, as in a worker of the launcher. */
export async function startApplication (memory: SharedMemory, options: SwooleOptions): Promise<FastifyInstance> {
  useMemory(memory)
  const app = fastify()
  await app.register(swoole, options)
  await app.ready()
  return app
}
