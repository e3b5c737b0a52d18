import type { Bytes } from './bytes.ts'
import type { Duration } from './duration.ts'
import type { TlsVersion } from './protocols.ts'

/*
 * The types of the options, read off their schemas, so that an option is described in one place. Only the part of
 * JSON Schema that the blocks use is known here.
 */

type Names<T> = T extends readonly (infer Name)[] ? Name : T
type Null<S> = S extends { type: infer T } ? 'null' extends Names<T> ? null : never : never

type Plain<Name, S> =
  Name extends 'integer' | 'number' ? number
    : Name extends 'string' ? string
      : Name extends 'boolean' ? boolean
        : Name extends 'null' ? null
          : Name extends 'array' ? S extends { items: infer Item } ? Array<Leaf<Item>> : never
            : Name extends 'object' ? Record<string, unknown>
              : never

type Leaf<S> =
  S extends { enum: readonly (infer Value)[] } ? Value
    : S extends { type: infer T } ? Plain<Names<T>, S> : never

// {} alone would take any value
type Block<T> = keyof T extends never ? Record<string, never> : { [K in keyof T]: T[K] }

/** What a user may write: everything optional, durations and sizes in any of their forms. */
export type Input<S> =
  S extends { anyOf: readonly (infer Choice)[] } ? Input<Choice>
    : S extends { const: infer Value } ? Value
      : S extends { properties: infer P } ? Block<{ -readonly [K in keyof P]?: Input<P[K]> }>
        : S extends { unit: 'duration' } ? Duration | Null<S>
          : S extends { unit: 'bytes' } ? Bytes | Null<S>
            : Leaf<S>

/** What the code reads: everything present, durations in milliseconds, sizes in bytes. */
export type Resolved<S> =
  S extends { anyOf: readonly (infer Choice)[] } ? Resolved<Choice>
    : S extends { const: infer Value } ? Value
      : S extends { properties: infer P } ? Block<{ -readonly [K in keyof P]: Resolved<P[K]> }>
        : S extends { unit: 'duration' | 'bytes' } ? number | Null<S>
          : S extends { unit: 'protocols' } ? TlsVersion[] | null
            : Leaf<S>
