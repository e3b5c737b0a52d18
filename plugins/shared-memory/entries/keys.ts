import { createHash } from 'node:crypto'
import { keyShape } from '../keys.ts'
import { DIGEST, MOST_KEY_BYTES } from './layout.ts'

/** So many characters of a key that is too long for its block stand there before the digest of all of it. */
export const KEPT_CHARACTERS = 60
const DIGEST_BYTES = 16

/** A key as it stands in its block. */
export interface StoredKey {
  text: string
  /** Of the text, and DIGEST when it stands for a longer key: then no other key can be taken for it. */
  shape: number
}

const stored: StoredKey = { text: '', shape: 0 }

/** Valid until the next call. */
export function storedKey (key: string): StoredKey {
  stored.text = key
  // Whatever its characters are, a key that is longer has no room.
  stored.shape = key.length > MOST_KEY_BYTES ? MOST_KEY_BYTES * 2 + 2 : keyShape(key)
  if (stored.shape >>> 1 > MOST_KEY_BYTES) {
    const digest = createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('latin1').slice(0, DIGEST_BYTES)
    stored.text = key.slice(0, KEPT_CHARACTERS) + digest
    stored.shape = keyShape(stored.text) + DIGEST
  }
  return stored
}
