import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Forward } from './cache-status.ts'
import { hitStatus } from './cache-status.ts'
import { isUnchanged } from './conditional.ts'
import type { KeptAnswer } from './kept.ts'
import type { Fields } from './policy.ts'

/** What tells of a body that is not there. */
const OF_BODY = ['content-type', 'content-length', 'content-encoding', 'content-language', 'content-range']

const MOST_JOINED_BYTES = 16 * 1024

/**
 * Answers with what is kept, past the onSend hooks: they had their part in it when it was made, and what changes a body would
 * change it twice. Fields that hooks have set for this request are its own, as they are not kept.
 */
export function sendKept (request: FastifyRequest, reply: FastifyReply, kept: KeptAnswer, nowMs: number, collapsed?: Forward): void {
  const { raw } = reply
  const { status, headers, body } = fieldsFor(kept, reply.getHeaders() as Fields, nowMs)
  const upstream = headers['cache-status']
  const ours = hitStatus(kept.expiresMs - nowMs, collapsed)
  headers['cache-status'] = upstream === undefined ? ours : `${String(upstream)}, ${ours}`
  if (status === 200 && isUnchanged(request.headers, headers)) {
    raw.writeHead(304, withoutBody(headers))
    raw.end()
    return
  }
  raw.writeHead(status, headers)
  if (request.method === 'HEAD') raw.end()
  else if (body.length > MOST_JOINED_BYTES) raw.end(body)
  // node:http sends head and body in one piece, at a third less per answer, only when the body is a string.
  else raw.end(body.toString('latin1'), 'latin1')
}

/** A kept answer for a request whose hooks have set `own`, to which it is added. */
export function fieldsFor ({ answer, createdMs }: KeptAnswer, own: Fields, nowMs: number): { status: number, headers: Fields, body: Buffer } {
  const { status, headers, body } = answer
  for (const name in headers) {
    const value = headers[name]
    if (value === null) delete own[name]
    else own[name] = value
  }
  own.age = Math.max(0, Math.floor((nowMs - createdMs) / 1000))
  if (status !== 204) own['content-length'] = body.length
  return { status, headers: own, body }
}

/** The fields of a 304 that stands for an answer (RFC 9110, section 15.4.5). */
export function withoutBody (headers: Fields): Fields {
  const left = { ...headers }
  for (const name of OF_BODY) delete left[name]
  return left
}
