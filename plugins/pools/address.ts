import { OptionsInvalidError } from '../errors.ts'

export interface Address {
  url: string | null
  host: string
  port: number
  user: string | null
  password: string | null
  database: string | number | null
}

/**
 * The URL of the options, with what it does not name from the other options. Throws FST_SWOOLE_OPTIONS_INVALID; nothing of
 * the URL is in the message, for there may be a password in it.
 */
export function completedUrl (path: string, schemes: readonly string[], { url, host, port, user, password, database }: Address & { url: string }): string {
  if (!URL.canParse(url)) throw new OptionsInvalidError(`${path} cannot be read as a URL: give scheme://user:password@host:port/database, with what is no letter or digit in them percent-encoded`)
  const full = new URL(url)
  if (!schemes.includes(full.protocol.slice(0, -1))) throw new OptionsInvalidError(`${path} begins with "${full.protocol}", but must with ${schemes.map((scheme) => `"${scheme}:"`).join(' or ')}`)
  for (const part of [full.username, full.password, full.hostname, full.pathname]) {
    if (!canDecode(part)) throw new OptionsInvalidError(`${path} has a % that begins no character: give %25 for a percent sign, and what is no letter or digit percent-encoded in UTF-8`)
  }
  full.hostname ||= hostInUrl(host)
  full.port ||= String(port)
  full.username ||= encodeURIComponent(user ?? '')
  full.password ||= encodeURIComponent(password ?? '')
  if (full.pathname === '' || full.pathname === '/') full.pathname = `/${encodeURIComponent(database ?? '')}`
  return full.href
}

function canDecode (part: string): boolean {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** An address of IPv6 is in brackets there, and the path of a socket encoded. */
function hostInUrl (host: string): string {
  return host.includes(':') ? `[${host}]` : encodeURIComponent(host)
}

/** For messages: where the server is, without who connects. */
export function serverOf (kind: string, { url, host, port }: Address): string {
  const { hostname, port: urlPort } = url === null ? { hostname: '', port: '' } : new URL(url)
  return `${kind} at ${decodeURIComponent(hostname) || host}:${urlPort || port}`
}
