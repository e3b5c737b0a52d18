import { OptionsInvalidError } from '../errors.ts'
import { showValue } from './show.ts'

/** A size in bytes: an integer, or a number with a unit of 1024: '512kb', '64mb', '1gb' (upper or lower case). */
export type Bytes = number | string

const SIZE = /^(\d+(?:\.\d+)?)([kKmMgG]?)[bB]$/
const FACTOR = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }
const ACCEPTED = 'a size: bytes or "512kb", "64mb", "1gb"'

/** The schema of an option that is a size in bytes; its `minimum` and `maximum` hold for the string forms as well. */
export const bytesSchema = {
  type: ['integer', 'string'],
  pattern: SIZE.source,
  unit: 'bytes',
  accepts: ACCEPTED
} as const

/** As {@link bytesSchema}, with null. */
export const bytesOrNullSchema = { ...bytesSchema, type: ['integer', 'string', 'null'] } as const

/**
 * The bytes of a {@link Bytes} value. `name` says in the error whose value it is.
 *
 * @throws FST_SWOOLE_OPTIONS_INVALID for what is negative, not finite, a fraction of a byte, or no size at all
 * @example parseBytes('64mb', 'memory.size') // 67108864
 */
export function parseBytes (value: unknown, name: string): number {
  const bytes = typeof value === 'string' ? sizeInBytes(value) : value
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) {
    throw new OptionsInvalidError(`${name} is ${showValue(value, name.split('.'))}, but must be ${ACCEPTED}`)
  }
  return bytes
}

/** The bytes of a size's string form, rounded to whole ones; undefined for any other string. */
export function sizeInBytes (text: string): number | undefined {
  const match = SIZE.exec(text)
  if (match === null) return undefined

  return Math.round(Number(match[1]) * FACTOR[match[2]!.toLowerCase() as keyof typeof FACTOR])
}
