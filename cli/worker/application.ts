import { createRequire } from 'node:module'
import * as nodeModule from 'node:module'
import type { Server } from 'node:http'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { FastifyHttpOptions, FastifyInstance, FastifyPluginAsync, fastify as createFastify } from 'fastify'
import { AppInvalidError } from '../../plugins/errors.ts'
import { front } from '../../plugins/front/index.ts'
import type { ResolvedOptions } from '../../plugins/options/index.ts'

interface Application {
  plugin: FastifyPluginAsync<Record<string, unknown>>
  options: Record<string, unknown>
}

/**
 * Loads the file that `fastify start` takes: a default export `async (fastify, options)`, or `module.exports`, and an
 * optional export `options` for the server. Throws FST_SWOOLE_APP_INVALID.
 */
export async function loadApplication (file: string): Promise<Application> {
  const module = await import(pathToFileURL(file).href)
  const plugin = typeof module.default === 'function' ? module.default : module.default?.default
  if (typeof plugin !== 'function') {
    throw new AppInvalidError(file, 'it has no default export; export default async function (fastify, options) { … }')
  }
  return { plugin, options: module.options ?? plugin.options ?? {} }
}

export interface ApplicationServer {
  fastify: FastifyInstance
  /** The server itself and every context that a plugin made in it. */
  contexts: FastifyInstance[]
}

/** A server with the application in it, ready but not listening. */
export async function createServer (file: string, { plugin, options }: Application, { performance }: ResolvedOptions): Promise<ApplicationServer> {
  const defaults: FastifyHttpOptions<Server> = {
    logger: { level: 'warn' },
    bodyLimit: performance.packageMaxLength,
    keepAliveTimeout: performance.heartbeatIdleTime,
    http: { connectionsCheckingInterval: performance.heartbeatInterval },
    ...(performance.front === 'fast' && !(options as { http2?: boolean }).http2 ? { serverFactory: front() as never } : {})
  }
  const fastify: FastifyInstance = loadFastify(file)({ ...defaults, ...options })
  const contexts = [fastify]
  fastify.addHook('onRegister', (instance) => { contexts.push(instance) })
  await fastify.register(plugin, options)
  await fastify.ready()
  return { fastify, contexts }
}

/** The application's own Fastify: plugins and errors are compared with that one. */
function loadFastify (file: string): typeof createFastify {
  const require = createRequire(file)
  try {
    return require('fastify')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause
    throw new AppInvalidError(file, 'the package fastify is not installed beside it: npm install fastify', { cause })
  }
}

/** Collects the files outside node_modules that are loaded from now on. */
export function collectLoadedFiles (): Set<string> {
  const files = new Set<string>()
  nodeModule.registerHooks({
    load (url, context, nextLoad) {
      if (url.startsWith('file:') && !url.includes('/node_modules/')) files.add(fileURLToPath(url.replace(/[?#].*$/, '')))
      return nextLoad(url, context)
    }
  })
  return files
}
