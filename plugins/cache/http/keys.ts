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

/**
 * One key for GET and HEAD, whichever worker is asked; what a proxy tells of host and protocol counts where Fastify trusts it. A client
 * may name any host, but none with a line break: it cannot pass a part of one URL for a part of the other. What `rewriteUrl` leaves out (a
 * tenant) counts as well as what it makes.
 */
export function urlKey ({ protocol, host, originalUrl, url }: FastifyRequest): string {
  return `${protocol}://${host.toLowerCase()}\n${originalUrl}${originalUrl === url ? '' : `\n${url}`}`
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

const CODING = /^([\w!#$%&'*+.^`|~-]+)(?:\s*;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?$/i

/**
 * An Accept-Encoding field without what makes no difference (RFC 9111, section 4.1): order, weights, what is refused and would not be
 * sent anyway. Else each browser would have answers of its own. A field that cannot be understood stays as it is: who makes
 * the answer may understand it.
 */
export function acceptedCodings (field: string): string {
  const accepted = new Map<string, boolean>()
  for (const part of field.split(',').map((part) => part.trim()).filter((part) => part !== '')) {
    const [, coding, weight] = CODING.exec(part) ?? []
    if (coding === undefined) return field
    accepted.set(coding.toLowerCase().replace(/^x-gzip$/, 'gzip'), weight === undefined || Number(weight) > 0)
  }
  const others = accepted.get('*')
  if (!accepted.has('identity')) accepted.set('identity', others ?? true)
  // To one who takes all others, what is refused makes a difference.
  return [...accepted].flatMap(([name, isAccepted]) => isAccepted ? name : others === true ? `no ${name}` : []).sort().join()
}
