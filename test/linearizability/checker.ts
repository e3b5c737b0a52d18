/*
 * Decides whether a history of concurrent operations is linearizable: whether each operation can be given one moment
 * between its call and its return so that, done one after another at these moments, all of them answer what they did.
 *
 * The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", JPDC 1993) with the two ideas that
 * make it quick: Lowe's, never to look twice at the same set of linearized operations in the same state ("Testing for
 * linearizability", 2017), and the partition into independent objects of Porcupine (Athalye, 2017), which is sound since
 * linearizability is local (Herlihy and Wing 1990).
 *
 * The operations of a process follow one another, so a set of linearized operations is one count for each process, and
 * what can be linearized next is the next operation of some process:
 *
 *     process 0   ├─ a ─┤     ├───── b ─────┤          linearized so far: a       counts 1, 0
 *     process 1      ├────── c ──────┤   ├─ d ─┤       next: b or c; not d, which was called after c had returned
 */

/** The output of an operation whose process died in it: it may have taken effect at any time since, or never. */
export const PENDING = Symbol('pending')
export type Pending = typeof PENDING

export interface Operation<Input, Output> {
  /** Who did it; the operations of one process must follow one another. */
  process: number
  /** When it was called and when it returned, by one clock. A pending operation returns at Infinity. */
  call: number
  return: number
  input: Input
  output: Output | Pending
}

/** What the object does when nobody else uses it. */
export interface Model<State, Input, Output> {
  readonly initial: State
  /** The states that the object may be in after it answered so; none when it cannot answer so. A state never changes. */
  step (state: State, input: Input, output: Output | Pending): State[]
  /** Equal for equal states. */
  key (state: State): string
  /** Which of several independent objects an operation is about. */
  partition (input: Input): number | string
}

/** Why a history is not linearizable: the operations of one object, and the furthest that an order of them goes. */
export interface Violation<Input, Output> {
  operations: Array<Operation<Input, Output>>
  order: Array<Operation<Input, Output>>
  text: string
}

const MAX_CONFIGURATIONS = 2_000_000

/** The first object of the history that is not linearizable, or undefined. */
export function violationOf<State, Input, Output> (model: Model<State, Input, Output>, history: Array<Operation<Input, Output>>): Violation<Input, Output> | undefined {
  const objects = Map.groupBy(history, ({ input }) => model.partition(input))
  for (const operations of objects.values()) {
    const search = new Search(model, operations)
    if (!search.run()) return { operations, order: search.furthest, text: show(operations, search.furthest) }
  }
  return undefined
}

class Search<State, Input, Output> {
  furthest: Array<Operation<Input, Output>> = []
  #model: Model<State, Input, Output>
  #processes: Array<Array<Operation<Input, Output>>>
  #counts: number[]
  #unreturned: number
  #order: Array<Operation<Input, Output>> = []
  #seen = new Set<string>()

  constructor (model: Model<State, Input, Output>, operations: Array<Operation<Input, Output>>) {
    this.#model = model
    this.#processes = [...Map.groupBy(operations.toSorted((a, b) => a.call - b.call), ({ process }) => process).values()]
    for (const process of this.#processes) requireSequence(process)
    this.#counts = this.#processes.map(() => 0)
    this.#unreturned = operations.filter((operation) => operation.return !== Infinity).length
  }

  run (state = this.#model.initial): boolean {
    if (this.#unreturned === 0) return true
    const configuration = `${this.#counts.join()} ${this.#model.key(state)}`
    if (this.#seen.has(configuration)) return false
    if (this.#seen.size >= MAX_CONFIGURATIONS) throw new Error(`undecided after ${MAX_CONFIGURATIONS} configurations: record shorter histories`)
    this.#seen.add(configuration)

    let firstReturn = Infinity
    for (let n = 0; n < this.#processes.length; n++) {
      firstReturn = Math.min(firstReturn, this.#processes[n]![this.#counts[n]!]?.return ?? Infinity)
    }
    for (let n = 0; n < this.#processes.length; n++) {
      const operation = this.#processes[n]![this.#counts[n]!]
      if (operation === undefined || operation.call > firstReturn) continue
      for (const next of this.#model.step(state, operation.input, operation.output)) {
        this.#linearize(n, operation)
        if (this.run(next)) return true
        this.#takeBack(n, operation)
      }
    }
    return false
  }

  #linearize (process: number, operation: Operation<Input, Output>): void {
    this.#counts[process]!++
    if (operation.return !== Infinity) this.#unreturned--
    this.#order.push(operation)
    if (this.#order.length > this.furthest.length) this.furthest = [...this.#order]
  }

  #takeBack (process: number, operation: Operation<Input, Output>): void {
    this.#counts[process]!--
    if (operation.return !== Infinity) this.#unreturned++
    this.#order.pop()
  }
}

function requireSequence (operations: Array<Operation<unknown, unknown>>): void {
  for (const [n, operation] of operations.entries()) {
    const previous = operations[n - 1]
    if (operation.return < operation.call || (previous !== undefined && previous.return > operation.call)) {
      throw new TypeError(`not a history: the operations of process ${operation.process} overlap, or return before they are called`)
    }
  }
}

/** The history in the order of the calls; at the right which place each operation has in the longest order found. */
function show (operations: Array<Operation<unknown, unknown>>, order: Array<Operation<unknown, unknown>>): string {
  const start = Math.min(...operations.map(({ call }) => call))
  const lines = operations.toSorted((a, b) => a.call - b.call).map((operation) => {
    const place = order.indexOf(operation)
    const output = operation.output === PENDING ? 'pending' : JSON.stringify(operation.output)
    const times = `${(operation.call - start).toFixed(0).padStart(9)} ${operation.return === Infinity ? '        ∞' : (operation.return - start).toFixed(0).padStart(9)}`
    return `${times}  process ${operation.process}  ${JSON.stringify(operation.input)} -> ${output}  ${place === -1 ? 'no place' : `#${place + 1}`}`
  })
  return ['not linearizable:', ...lines].join('\n')
}
