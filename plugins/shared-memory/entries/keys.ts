import { createHash } from 'node:crypto'

/** So many characters of a key that is too long for its block stand there before the digest of all of it. */
export const KEPT_CHARACTERS = 60
const DIGEST_BYTES = 16

/** The text that stands in the block for a key that is too long for it. */
export function shortened (key: string): string {
  const digest = createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('latin1').slice(0, DIGEST_BYTES)
  return key.slice(0, KEPT_CHARACTERS) + digest
}
