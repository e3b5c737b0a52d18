import type { Near } from '../shared-memory/index.ts'

/** Where the inner objects and arrays of a value are, and those in them. */
type Insides = ReadonlyArray<{ key: string | number, insides: Insides }>

/** The value of an entry, as objects that nobody else has. */
interface NearValue {
  readonly block: number
  readonly generation: number
  readonly bytes: number
  readonly value: object
  readonly insides: Insides
}

/** Of values as they stand in shared memory; as objects they take a few times that, and arrays of empty objects fifty times. */
const MOST_BYTES = 512 * 1024
const MOST_VALUE_BYTES = MOST_BYTES / 32
const MOST_LEVELS = 20
const PLACE_BITS = 12
const PLACES = 2 ** PLACE_BITS

/**
 * Values that this worker has read again and again, as objects: to copy one takes a fraction of the time that its text takes to
 * be parsed (bench/state). Each read finds the entry in shared memory, and only then asks whether its value is here, so they are
 * as new as without it. (A near cache, as Hazelcast calls it.)
 *
 * Each block has one place, so that a value which is not here costs next to nothing; there the one that was read twice in a row goes
 * before the one that was there. Two that share a place and are read twice by turns drive each other out.
 */
export class NearValues implements Near {
  readonly #values = new Array<NearValue | undefined>(PLACES).fill(undefined)
  /** What was read last in each place, as a mark of its block and generation. */
  readonly #readLast = new Int32Array(PLACES)
  #bytes = 0
  #hand = 0

  has (block: number, generation: number): boolean {
    const near = this.#values[placeOf(block)]
    return near !== undefined && near.block === block && near.generation === generation
  }

  /** A copy of one's own; only at once after `has`, which says that it is of this entry. */
  copyOf (block: number): object {
    const { value, insides } = this.#values[placeOf(block)]!
    return copy(value, insides)
  }

  /** Whether this worker has read the same entry before, not long ago: what is written as often as it is read is not worth it. */
  isReadAgain (block: number, generation: number): boolean {
    const place = placeOf(block)
    const mark = Math.imul(block, 0x9e3779b1) ^ generation
    if (this.#readLast[place] === mark) return true
    this.#readLast[place] = mark
    return false
  }

  /** False: it is too large, or of a form that is not copied in this way. Else the value is no longer the caller's. */
  keep (block: number, generation: number, bytes: number, value: unknown): boolean {
    if (bytes > MOST_VALUE_BYTES || typeof value !== 'object' || value === null) return false
    const insides = insidesOf(value, MOST_LEVELS)
    if (insides === undefined) return false
    const place = placeOf(block)
    this.#forget(place)
    while (this.#bytes + bytes > MOST_BYTES) this.#forget(this.#hand++ & (PLACES - 1))
    this.#values[place] = { block, generation, bytes, value, insides }
    this.#bytes += bytes
    return true
  }

  #forget (place: number): void {
    this.#bytes -= this.#values[place]?.bytes ?? 0
    this.#values[place] = undefined
  }
}

/** Entries begin some blocks apart: without the multiplication they would share a few places. */
const placeOf = (block: number): number => Math.imul(block, 0x9e3779b1) >>> 32 - PLACE_BITS

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
