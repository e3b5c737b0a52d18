/*
 * Whose bucket an address takes from: an IPv4 address its own, an IPv6 one that of its /64, which one customer has to himself
 * (RFC 6177) and could otherwise walk through for ever.
 */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i
const GROUPS = 8
const PREFIX_GROUPS = 4

/** The address itself, or the first 64 bits of an IPv6 address such as '2001:db8:0:1::/64'. What is neither is given back as it is. */
export function clientKey (address: string): string {
  if (!address.includes(':')) return address
  const mapped = MAPPED.exec(address)
  if (mapped !== null) return mapped[1]!
  const [head = '', tail] = address.split('%')[0]!.split('::')
  const groups = groupsOf(head)
  if (tail !== undefined) {
    const after = groupsOf(tail)
    while (groups.length + after.length < GROUPS) groups.push('0')
    groups.push(...after)
  }
  return `${groups.slice(0, PREFIX_GROUPS).map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}

/** A dotted end stands for two groups. */
function groupsOf (part: string): string[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => group.includes('.') ? ['0', '0'] : [group])
}
