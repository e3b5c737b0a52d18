import type { EntrySpace } from '../shared-memory/index.ts'
import type { Stored } from './store.ts'

/** Where the inner objects and arrays of a value are, and those in them. */
type Insides = ReadonlyArray<{ key: string | number, insides: Insides }>

/** A value that was read from shared memory, and where. */
export interface NearValue {
  readonly space: EntrySpace
  readonly block: number
  readonly generation: number
  readonly staleMs: number
  readonly bytes: number
  /** Nobody else has it. */
  readonly stored: Stored
  readonly insides: Insides
}

/** Of values as they stand in shared memory; as objects they take a few times that. */
const MOST_BYTES = 512 * 1024
const MOST_VALUE_BYTES = MOST_BYTES / 32
const MOST_LEVELS = 20
/** So many entries that were read last are known, if none of them share a place. */
const READ_LAST = 1024

/**
 * Values that this worker has read again and again, as objects: to copy one takes a fraction of the time that its text takes to be parsed (bench/state). Whether the
 * entry is still the same is looked up in shared memory at each read, so they are as new as without it. (A near cache, as Hazelcast calls it.)
 *
 * Two generations: what was not read while a young one filled up goes.
 */
export class NearValues {
  #young = new Map<string, NearValue>()
  #old = new Map<string, NearValue>()
  #youngBytes = 0
  readonly #readLast = new Int32Array(READ_LAST)

  get (key: string): NearValue | undefined {
    const young = this.#young.get(key)
    if (young !== undefined || this.#old.size === 0) return young
    const old = this.#old.get(key)
    if (old !== undefined) {
      this.#old.delete(key)
      this.#add(key, old)
    }
    return old
  }

  delete (key: string): void {
    const young = this.#young.get(key)
    if (young === undefined) return
    this.#young.delete(key)
    this.#youngBytes -= young.bytes
  }

  /** Whether this worker has read the same entry before, not long ago: what is written as often as it is read is not worth it. */
  isReadAgain (block: number, generation: number): boolean {
    const place = block % READ_LAST
    const mark = Math.imul(block, 0x9e3779b1) ^ generation
    if (this.#readLast[place] === mark) return true
    this.#readLast[place] = mark
    return false
  }

  /** Undefined: it is too large, or of a form that is not copied in this way. */
  keep (key: string, value: Omit<NearValue, 'insides'>): NearValue | undefined {
    const object = value.stored.value
    if (value.bytes > MOST_VALUE_BYTES || typeof object !== 'object' || object === null) return undefined
    const insides = insidesOf(object, MOST_LEVELS)
    if (insides === undefined) return undefined
    const near = { ...value, insides }
    this.delete(key)
    this.#add(key, near)
    return near
  }

  #add (key: string, value: NearValue): void {
    if (this.#youngBytes + value.bytes > MOST_BYTES / 2) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(key, value)
    this.#youngBytes += value.bytes
  }
}

/** A copy of one's own. */
export function copyOfNear ({ stored: { value, createdMs, expiresMs, computeMs, version }, insides }: NearValue, nowMs: number): Stored {
  return { value: copy(value as object, insides), isStale: expiresMs <= nowMs, createdMs, expiresMs, computeMs, version }
}

// Spread and `slice` copy an object with its shape. With the insides known, no property is looked at.
function copy (value: object, insides: Insides): object {
  const made = (Array.isArray(value) ? value.slice() : { ...value }) as Record<string | number, object>
  for (let n = 0; n < insides.length; n++) {
    const { key, insides: inner } = insides[n]!
    made[key] = copy(made[key]!, inner)
  }
  return made
}

function insidesOf (value: object, levels: number): Insides | undefined {
  const insides: Array<Insides[number]> = []
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== 'object' || item === null) continue
    // To assign it would not make a property of it.
    const inner = levels === 0 || key === '__proto__' ? undefined : insidesOf(item, levels - 1)
    if (inner === undefined) return undefined
    insides.push({ key: Array.isArray(value) ? Number(key) : key, insides: inner })
  }
  return insides
}
