import { isIPv4, isIPv6 } from 'node:net'

/*
 * Whose bucket an address takes from: an IPv4 address its own, an IPv6 one that of its /64, which one customer has to himself
 * (RFC 6177) and could otherwise walk through for ever.
 */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i
/** What some proxies make of an address: it has a port, which is another one for each connection. */
const WITH_PORT = /^(?:([\d.]+):\d+|\[([^\]]+)\](?::\d+)?)$/
const GROUPS = 8
const PREFIX_GROUPS = 4
/** The group before an IPv4 address that stands in an IPv6 one; all before it are 0. */
const MAPPED_GROUP = 5

/** The address itself, or the first 64 bits of an IPv6 address such as '2001:db8:0:1::/64'; without its port. What is neither is given back as it is. */
export function clientKey (address: string): string {
  if (!address.includes(':')) return address
  const mapped = MAPPED.exec(address)
  if (mapped !== null) return mapped[1]!
  const [, ipv4, ipv6 = address] = WITH_PORT.exec(address) ?? []
  if (ipv4 !== undefined) return isIPv4(ipv4) ? ipv4 : address
  return isIPv6(ipv6) ? prefixOf(ipv6) : address
}

function prefixOf (ipv6: string): string {
  const [head = '', tail] = ipv6.split('%')[0]!.split('::')
  const groups = groupsOf(head)
  if (tail !== undefined) {
    const after = groupsOf(tail)
    while (groups.length + after.length < GROUPS) groups.push(0)
    groups.push(...after)
  }
  if (groups[MAPPED_GROUP] === 0xffff && groups.findIndex((group) => group !== 0) === MAPPED_GROUP) {
    return groups.slice(MAPPED_GROUP + 1).map((group) => `${group >> 8}.${group & 255}`).join('.')
  }
  return `${groups.slice(0, PREFIX_GROUPS).map((group) => group.toString(16)).join(':')}::/64`
}

/** A dotted end stands for two groups. */
function groupsOf (part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a, b, c, d] = group.split('.').map(Number) as [number, number, number, number]
    return [a << 8 | b, c << 8 | d]
  })
}
