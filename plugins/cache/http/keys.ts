import type { FastifyRequest } from 'fastify'
import type { Fields } from './policy.ts'

/**
 * What stands under a URL when its answers vary: the names of the request's fields that tell them apart, in lower case and in
 * order, and an id of its own. It begins the keys of the answers, so that whoever removes this removes them.
 */
export interface Variants {
  id: string
  names: readonly string[]
}

/** One key for GET and HEAD, whichever worker is asked; what a proxy tells of host and protocol counts where Fastify trusts it. */
export function urlKey (request: FastifyRequest): string {
  return `${request.protocol}://${request.host.toLowerCase()}${request.url}`
}

/** `route` is what tells apart the routes of one URL. */
export function variantKey ({ id, names }: Variants, headers: Fields, route: string): string {
  let key = id
  for (const name of names) {
    const value = headers[name]
    // A field has no line break in it.
    key += value === undefined ? '\n-' : `\n=${name === 'accept-encoding' ? acceptedCodings(String(value)) : String(value)}`
  }
  return `${key}\n${route}`
}

/** Codings that servers and browsers know: an answer in one of these is right for all who accept the same of them. */
const CODINGS = ['br', 'deflate', 'gzip', 'identity', 'zstd']
const CODING = /^\s*([^\s;]+)\s*(?:;\s*q\s*=\s*([\d.]+)\s*)?$/i

/**
 * An Accept-Encoding field without what makes no difference (RFC 9111, section 4.1): order, weights, unknown codings. Else
 * each browser would have answers of its own.
 */
export function acceptedCodings (field: string): string {
  const accepted = new Map<string, boolean>()
  for (const part of field.split(',')) {
    const [, coding, weight] = CODING.exec(part) ?? []
    if (coding !== undefined) accepted.set(coding.toLowerCase().replace(/^x-gzip$/, 'gzip'), weight === undefined || Number(weight) > 0)
  }
  const others = accepted.get('*')
  return CODINGS.filter((coding) => accepted.get(coding) ?? others ?? coding === 'identity').join()
}
