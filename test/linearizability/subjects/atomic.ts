import { Int64Atomic, Uint32Atomic } from '../../../plugins/atomic/memory.ts'
import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import { NONE } from '../models.ts'
import type { CounterInput } from '../models.ts'
import { always, said } from '../subject.ts'
import type { Subject } from '../subject.ts'

export function atomic (memory: SharedMemory): Subject<CounterInput> {
  const word = new Uint32Atomic(memory, 'word', 0)
  const long = new Int64Atomic(memory, 'long', 0n)
  return {
    reset () {
      word.set(0)
      long.set(0n)
    },
    isDue: always,
    perform ({ kind, object, value, next }) {
      switch (kind) {
        case 'get': return object === 0 ? word.get() : Number(long.get())
        case 'set': {
          if (object === 0) word.set(value)
          else long.set(BigInt(value))
          return NONE
        }
        case 'add': return object === 0 ? word.add(value) : Number(long.add(BigInt(value)))
        case 'compareAndSwap': return said(object === 0 ? word.compareAndSwap(value, next) : long.compareAndSwap(BigInt(value), BigInt(next)))
      }
    }
  }
}

/** An atomic that is none: what happens between its read and its write is lost. */
export function brokenAtomic (memory: SharedMemory): Subject<CounterInput> {
  const subject = atomic(memory)
  const word = new Uint32Atomic(memory, 'word', 0)
  return {
    ...subject,
    perform (input) {
      if (input.object !== 0 || input.kind !== 'add') return subject.perform(input)
      const sum = word.get() + input.value
      word.set(sum)
      return sum
    }
  }
}
