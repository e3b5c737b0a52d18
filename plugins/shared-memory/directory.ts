import { DirectoryFullError, NameInvalidError, SchemaMismatchError } from '../errors.ts'
import type { Allocator, Ref } from './allocator.ts'
import { hashBytes } from './hash.ts'
import type { Guard } from './guard.ts'
import { DIRECTORY_ENTRIES, DIRECTORY_ENTRY_BYTES, DIRECTORY_OFFSET, Header, REF_BYTES } from './layout.ts'
import type { Region } from './region.ts'

export const MAX_NAME_BYTES = 1024
/** An object of more bytes is made by one worker at a time: there may not be room for it as many times as there are workers. */
const LARGE_BYTES = 256 * 1024

/** What a kind of object is: `type` is its name space, `definition` what two users of one name must agree on. */
export interface ObjectSpec {
  type: string
  name: string
  definition: unknown
  bytes: number
  /** Writes the first contents into zeroed bytes, before anybody else can see them. */
  initialise? (payload: number): void
}

/*
 * The directory of named objects: an open-addressed table of references. An entry goes from 0 to a reference and
 * never back, so a look-up needs no lock, and a crash leaves either no entry or a whole object:
 *
 *     object:  key length u32 | definition length u32 | key | definition (JSON) | payload, 64-byte aligned
 */
export class Directory {
  #region: Region
  #allocator: Allocator
  #guard: Guard
  #encoder = new TextEncoder()
  #decoder = new TextDecoder()

  constructor (region: Region, allocator: Allocator, guard: Guard) {
    this.#region = region
    this.#allocator = allocator
    this.#guard = guard
  }

  /**
   * The payload's byte offset of the named object; the first caller creates it, the others find it.
   * Throws FST_SWOOLE_NAME_INVALID, _SCHEMA_MISMATCH, _DIRECTORY_FULL, _MEMORY_FULL.
   */
  open (spec: ObjectSpec): number {
    if (spec.bytes <= LARGE_BYTES || this.find(spec.type, spec.name) !== undefined) return this.#open(spec)
    // One that died inside has left nothing to mend: what it had in its hands is free again.
    this.#guard.enter(Header.CREATING)
    try {
      return this.#open(spec)
    } finally {
      this.#guard.leaveSeen(Header.CREATING)
    }
  }

  #open (spec: ObjectSpec): number {
    const key = this.#key(spec.type, spec.name)
    const definition = JSON.stringify(spec.definition)
    const [seed0, seed1] = this.#region.seed
    let created: Ref = 0
    let entry = hashBytes(key, key.length, seed0, seed1)
    for (let probe = 0; probe < DIRECTORY_ENTRIES; probe++, entry++) {
      const holder = holderOf(entry)
      if (Atomics.load(this.#region.i32, holder) === 0) {
        created ||= this.#create(spec, key, definition)
        if (this.#allocator.publish(created, holder)) return this.#payload(created)
      }
      const found = Atomics.load(this.#region.i32, holder)
      if (!this.#hasKey(found, key)) continue
      if (created !== 0) this.#allocator.free(created)
      const existing = this.#definition(found)
      if (existing !== definition) throw new SchemaMismatchError(`The ${spec.type} "${spec.name}"`, existing, definition)
      return this.#payload(found)
    }
    if (created !== 0) this.#allocator.free(created)
    throw new DirectoryFullError(spec.name, DIRECTORY_ENTRIES)
  }

  /** The definition of a named object, undefined when nobody has created it. Throws FST_SWOOLE_NAME_INVALID. */
  find (type: string, name: string): unknown {
    const key = this.#key(type, name)
    const [seed0, seed1] = this.#region.seed
    let entry = hashBytes(key, key.length, seed0, seed1)
    for (let probe = 0; probe < DIRECTORY_ENTRIES; probe++, entry++) {
      const found = Atomics.load(this.#region.i32, holderOf(entry))
      if (found === 0) return undefined
      if (this.#hasKey(found, key)) return JSON.parse(this.#definition(found))
    }
    return undefined
  }

  #create (spec: ObjectSpec, key: Uint8Array, definition: string): Ref {
    const encoded = this.#encoder.encode(definition)
    const ref = this.#allocator.allocate(payloadOffset(key.length, encoded.length) + spec.bytes)
    const start = ref * REF_BYTES
    this.#region.i32[start / 4] = key.length
    this.#region.i32[start / 4 + 1] = encoded.length
    this.#region.u8.set(key, start + 8)
    this.#region.u8.set(encoded, start + 8 + key.length)
    spec.initialise?.(this.#payload(ref))
    return ref
  }

  #key (type: string, name: string): Uint8Array {
    const bytes = typeof name === 'string' && name.isWellFormed() ? Buffer.byteLength(name) : 0
    if (bytes < 1 || bytes > MAX_NAME_BYTES) {
      throw new NameInvalidError(`the ${type}`, typeof name === 'string' ? JSON.stringify(name).slice(0, 80) : `of type ${typeof name}`, MAX_NAME_BYTES)
    }
    return this.#encoder.encode(`${type}\0${name}`)
  }

  #hasKey (ref: Ref, key: Uint8Array): boolean {
    const start = ref * REF_BYTES
    if (this.#region.i32[start / 4] !== key.length) return false
    return Buffer.compare(this.#region.u8.subarray(start + 8, start + 8 + key.length), key) === 0
  }

  #definition (ref: Ref): string {
    const start = ref * REF_BYTES + 8 + this.#region.i32[ref * REF_BYTES / 4]!
    return this.#decoder.decode(this.#region.u8.slice(start, start + this.#region.i32[ref * REF_BYTES / 4 + 1]!))
  }

  #payload (ref: Ref): number {
    const words = ref * REF_BYTES / 4
    return ref * REF_BYTES + payloadOffset(this.#region.i32[words]!, this.#region.i32[words + 1]!)
  }
}

function holderOf (entry: number): number {
  return (DIRECTORY_OFFSET + (entry & (DIRECTORY_ENTRIES - 1)) * DIRECTORY_ENTRY_BYTES) / 4
}

function payloadOffset (keyLength: number, definitionLength: number): number {
  return Math.ceil((8 + keyLength + definitionLength) / REF_BYTES) * REF_BYTES
}
