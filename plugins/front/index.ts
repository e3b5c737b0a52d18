import http from 'node:http'
import https from 'node:https'
import type { Server, ServerOptions } from 'node:http'
import { OptionsInvalidError } from '../errors.ts'
import { FrontServer } from './server.ts'

/** Of Fastify's own options, those that its server gets. */
interface FastifyServerSettings {
  http?: ServerOptions | null
  https?: https.ServerOptions | boolean | null
  http2?: boolean
  connectionTimeout?: number
  keepAliveTimeout?: number
  requestTimeout?: number
  maxRequestsPerSocket?: number
}

/**
 * For `Fastify({ serverFactory: front() })`: a server that reads plain HTTP/1.1 itself, and has node:http read all else. Options are those of
 * `http.createServer`, with the same names and defaults, and go before what Fastify has in `http` or `https`.
 * Throws FST_SWOOLE_OPTIONS_INVALID with `http2`.
 */
export function front (options: ServerOptions = {}): (handler: http.RequestListener, settings?: FastifyServerSettings) => Server {
  return (handler, settings = {}) => {
    if (settings.http2) throw new OptionsInvalidError('front() speaks HTTP/1.1: leave the option serverFactory away with http2')
    const secure = settings.https === true ? {} : settings.https
    const server = secure
      ? https.createServer({ ...secure, ...options }, handler)
      : http.createServer({ ...settings.http, ...options }, handler)
    // As Fastify does with a server of its own.
    const given = options as Partial<Record<'keepAliveTimeout' | 'requestTimeout', number>>
    if (settings.keepAliveTimeout !== undefined) server.keepAliveTimeout = given.keepAliveTimeout ?? settings.keepAliveTimeout
    if (settings.requestTimeout !== undefined) server.requestTimeout = given.requestTimeout ?? settings.requestTimeout
    if (settings.connectionTimeout !== undefined) server.setTimeout(settings.connectionTimeout)
    if ((settings.maxRequestsPerSocket ?? 0) > 0) server.maxRequestsPerSocket = settings.maxRequestsPerSocket!
    const front = new FrontServer(server, secure ? 'secureConnection' : 'connection')
    return front.server
  }
}

export default front
