/** A version of TLS that a server may be told to speak. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

const VERSION = 'TLSv1\\.[23]'

/** The schema of `https.protocols`: null, one version, a list, or the original's spelling of a list. */
export const protocolsSchema = {
  type: ['null', 'string', 'array'],
  pattern: `^\\s*${VERSION}(\\s*\\|\\s*${VERSION})*\\s*$`,
  items: { type: 'string', enum: ['TLSv1.2', 'TLSv1.3'] },
  minItems: 1,
  unit: 'protocols',
  accepts: '"TLSv1.2", "TLSv1.3", a list of these'
} as const

/** The versions that a value of {@link protocolsSchema} names, each once; null stays null. */
export function parseProtocols (value: string | readonly TlsVersion[] | null): TlsVersion[] | null {
  if (value === null) return null

  const named = typeof value === 'string' ? value.split('|').map(part => part.trim() as TlsVersion) : value
  return [...new Set(named)]
}
