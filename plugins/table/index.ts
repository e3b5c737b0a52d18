import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { memoryFor } from '../shared-memory/index.ts'
import type { Columns } from './columns.ts'
import type { TableDefinition } from './layout.ts'
import { SharedTable } from './memory.ts'

export { bytes, float, int, long, string } from './columns.ts'
export type { Column, Columns, RowOf } from './columns.ts'
export type { TableDefinition } from './layout.ts'
export type { SharedTable, TableStats } from './memory.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * The table of this name that all workers share. The first caller of the application creates it, and its memory is
     * taken at once; it stays through reloads. `rows` of them fit, whatever their keys; `maxKeyBytes` (default 64, at most
     * 1024) bounds their keys.
     * Throws FST_SWOOLE_TABLE_DEFINITION, FST_SWOOLE_SCHEMA_MISMATCH (another definition has this name),
     * FST_SWOOLE_NAME_INVALID (1 to 1024 bytes), FST_SWOOLE_MEMORY_FULL.
     */
    table<C extends Columns> (name: string, definition: { rows: number, columns: C, maxKeyBytes?: number }): SharedTable<C>
  }
}

const table: FastifyPluginAsync = async (fastify) => {
  const memory = memoryFor(fastify.server)
  const tables = new Map<string, SharedTable<never>>()

  fastify.decorate('table', <C extends Columns>(name: string, definition: TableDefinition & { columns: C }) => {
    let table = tables.get(name) as SharedTable<C> | undefined
    if (table === undefined) {
      table = new SharedTable(memory, name, definition)
      tables.set(name, table as SharedTable<never>)
    } else {
      table.requireSame(definition)
    }
    return table
  })
  fastify.addHook('onClose', async () => memory.close())
}

export default fp(table, { fastify: '5.x', name: 'fastify-swoole-table' })
