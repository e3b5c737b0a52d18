/*
 * The loops that are measured. Each is compiled from text for each use, so that it has type feedback of its own: with
 * one function for all, the call in it would see many kinds of objects and be slower than in an application. What the
 * calls return is used, so none can be optimised away.
 */
export type Loop = (count: number) => unknown

const compile = (body: string, parameters: Record<string, unknown>) => {
  // eslint-disable-next-line no-new-func -- a function of its own for each use is the point; the text is ours
  const make = new Function(...Object.keys(parameters), `return (count) => { ${body} }`)
  return make(...Object.values(parameters)) as Loop
}

const sum = (expression: string) => `let sum = 0; for (let n = 0; n < count; n++) sum = (sum + ${expression}) | 0; return sum`
const last = (expression: string) => `let last; for (let n = 0; n < count; n++) last = ${expression}; return last`

export const OPERATIONS = ['add(1)', 'get()', 'compareAndSwap', 'long.add(1n)'] as const
export type Operation = typeof OPERATIONS[number]

/** The operation as bare `Atomics` on a word of an array. */
export function bareLoop (operation: Operation, { words, values }: { words: Int32Array, values: BigInt64Array }, index: number): Loop {
  switch (operation) {
    case 'add(1)': return compile(sum('Atomics.add(words, index, 1)'), { words, index })
    case 'get()': return compile(sum('Atomics.load(words, index)'), { words, index })
    case 'compareAndSwap': return compile(sum('(Atomics.compareExchange(words, index, 5, 5) === 5 ? 1 : 0)'), { words, index })
    case 'long.add(1n)': return compile(last('Atomics.add(values, index, 1n)'), { values, index })
  }
}

/** The operation on an object of the atomic plugin. */
export function ourLoop (operation: Operation, atomic: object): Loop {
  switch (operation) {
    case 'add(1)': return compile(sum('atomic.add(1)'), { atomic })
    case 'get()': return compile(sum('atomic.get()'), { atomic })
    case 'compareAndSwap': return compile(sum('(atomic.compareAndSwap(5, 5) ? 1 : 0)'), { atomic })
    case 'long.add(1n)': return compile(last('atomic.add(1n)'), { atomic })
  }
}

export function nanosecondsPerOperation (loop: Loop, count: number): number {
  const startedAt = process.hrtime.bigint()
  loop(count)
  return Number(process.hrtime.bigint() - startedAt) / count
}
