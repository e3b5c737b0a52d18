import { accessSync, constants, existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the workers of a project keep what V8 compiled: NODE_COMPILE_CACHE, or a folder of the project, or of the system. */
export function compileCacheOf (project: string): string {
  if (process.env.NODE_COMPILE_CACHE) return process.env.NODE_COMPILE_CACHE
  const modules = join(project, 'node_modules')
  return isWritable(modules)
    ? join(modules, '.cache', 'fastify-swoole', 'compiled')
    : join(tmpdir(), `fastify-swoole-compiled-${process.getuid?.() ?? 0}`)
}

function isWritable (folder: string): boolean {
  if (!existsSync(folder)) return false
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
