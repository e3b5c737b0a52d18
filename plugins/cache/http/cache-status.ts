/** This cache's name in the field Cache-Status (RFC 9211). */
const NAME = 'fastify-swoole'

/** Why a request went on to the handler. */
export type Forward = 'bypass' | 'request' | 'uri-miss' | 'vary-miss' | 'stale' | 'miss'

/** `hit; ttl=12`, a negative one when it is stale; what another request of the same moment made is `fwd=uri-miss; collapsed`. */
export function hitStatus (ttlMs: number, collapsed: Forward | undefined): string {
  const ttl = Math.floor(ttlMs / 1000)
  return collapsed === undefined ? `${NAME}; hit; ttl=${ttl}` : `${NAME}; fwd=${collapsed}; collapsed; ttl=${ttl}`
}

export function forwardStatus (forward: Forward, { isStored = false, status = 0 } = {}): string {
  return `${NAME}; fwd=${forward}${status === 0 ? '' : `; fwd-status=${status}`}${isStored ? '; stored' : ''}`
}
