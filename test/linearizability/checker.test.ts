import t from 'tap'
import { random } from '../shared-memory/random.ts'
import { PENDING, violationOf } from './checker.ts'
import type { Model, Operation, Pending } from './checker.ts'
import { NO, NONE, TORN, YES, counter, lock, lockAnswer, queue, readWriteLock, row, rowAnswer, tokens } from './models.ts'
import type { CounterInput, LockInput, QueueInput, RowInput } from './models.ts'

type Line<Kind> = [process: number, call: number, end: number, kind: Kind, value: number, output: number | Pending, next?: number]

function historyOf<Input extends { kind: string }> (lines: Array<Line<Input['kind']>>): Array<Operation<Input, number>> {
  return lines.map(([process, call, end, kind, value, output, next = 0]) => (
    { process, call, return: end, input: { kind, object: 0, value, next, process } as unknown as Input, output }
  ))
}

const counts = (...lines: Array<Line<CounterInput['kind']>>) => violationOf(counter, historyOf<CounterInput>(lines))
const rows = (...lines: Array<Line<RowInput['kind']>>) => violationOf(row, historyOf<RowInput>(lines))
const locks = (permits: number, ...lines: Array<Line<LockInput['kind']>>) => violationOf(lock(permits), historyOf<LockInput>(lines))
const queues = (...lines: Array<Line<QueueInput['kind']>>) => violationOf(queue(2), historyOf<QueueInput>(lines))

t.test('operations that overlap may have happened in any order', async t => {
  t.notOk(counts([0, 0, 10, 'set', 7, NONE], [1, 1, 9, 'get', 0, 0], [1, 9.5, 11, 'get', 0, 7]))
  t.notOk(counts([0, 0, 10, 'add', 1, 2], [1, 0, 10, 'add', 1, 1]))
  t.notOk(counts([0, 0, 10, 'compareAndSwap', 0, YES, 5], [1, 5, 15, 'compareAndSwap', 5, YES, 0], [0, 11, 12, 'get', 0, 0]))
  t.notOk(queues([0, 0, 10, 'push', 1, YES], [1, 0, 10, 'push', 2, YES], [0, 11, 12, 'pop', 0, 2], [0, 13, 14, 'pop', 0, 1]))
})

t.test('two operations that meet in one moment overlap', async t => {
  t.notOk(counts([0, 0, 5, 'set', 7, NONE], [1, 5, 6, 'get', 0, 0]))
})

t.test('an atomic: a stale read, a lost update, a swap of two processes that both had the value', async t => {
  t.ok(counts([0, 0, 4, 'set', 7, NONE], [1, 5, 6, 'get', 0, 0]))
  t.ok(counts([0, 0, 10, 'set', 7, NONE], [1, 1, 2, 'get', 0, 7], [2, 3, 4, 'get', 0, 0]), 'new, then old again')
  t.ok(counts([0, 0, 10, 'add', 1, 1], [1, 0, 10, 'add', 1, 1]))
  t.ok(counts([0, 0, 10, 'add', 1, 1], [1, 0, 10, 'add', 1, 2], [0, 11, 12, 'get', 0, 1]))
  t.ok(counts([0, 0, 10, 'compareAndSwap', 0, YES, 1], [1, 0, 10, 'compareAndSwap', 0, YES, 2]))
  t.ok(counts([0, 0, 10, 'compareAndSwap', 0, NO, 1]))
})

t.test('a row: a torn read, a lost increment, a read of what was deleted, a column that was not kept', async t => {
  t.notOk(rows([0, 0, 1, 'setCount', 3, NONE], [0, 2, 3, 'setText', 4, NONE], [1, 4, 5, 'get', 0, rowAnswer({ count: 3, text: 4 })]))
  t.ok(rows([0, 0, 10, 'set', 3, NONE], [1, 0, 10, 'get', 0, TORN]))
  t.ok(rows([0, 0, 10, 'set', 3, NONE], [1, 0, 10, 'get', 0, rowAnswer({ count: 3, text: 0 })]))
  t.ok(rows([0, 0, 10, 'incr', 1, 1], [1, 0, 10, 'incr', 1, 1]))
  t.ok(rows([0, 0, 1, 'set', 3, NONE], [0, 2, 3, 'delete', 0, YES], [1, 4, 5, 'get', 0, rowAnswer({ count: 3, text: 3 })]))
  t.ok(rows([0, 0, 1, 'set', 3, NONE], [0, 2, 3, 'delete', 0, YES], [1, 2, 4, 'delete', 0, YES]))
  t.ok(rows([0, 0, 1, 'set', 3, NONE], [0, 2, 3, 'setCount', 4, NONE], [1, 4, 5, 'get', 0, rowAnswer({ count: 4, text: 0 })]))
})

t.test('a lock: two holders, a token that does not grow, a refusal while it was free, an unlock of another\'s', async t => {
  const token = (number: number) => lockAnswer(number, false)
  t.notOk(locks(1, [0, 0, 1, 'lock', 0, token(1)], [1, 0, 5, 'lock', 0, token(2)], [0, 2, 3, 'unlock', 0, NONE]))
  t.notOk(locks(2, [0, 0, 1, 'lock', 0, token(1)], [1, 2, 3, 'trylock', 0, token(2)], [2, 4, 5, 'trylock', 0, NONE]))
  t.ok(locks(1, [0, 0, 1, 'lock', 0, token(1)], [1, 2, 3, 'lock', 0, token(2)], [0, 4, 5, 'unlock', 0, NONE]))
  t.ok(locks(1, [0, 0, 1, 'lock', 0, token(2)], [0, 2, 3, 'unlock', 0, NONE], [1, 4, 5, 'lock', 0, token(2)]))
  t.ok(locks(1, [0, 0, 1, 'trylock', 0, NONE], [1, 2, 3, 'lock', 0, token(1)]))
  t.ok(locks(1, [0, 0, 1, 'lock', 0, NONE]), 'a lock that was waited for is not refused')
  t.ok(locks(1, [0, 0, 1, 'lock', 0, token(1)], [1, 2, 3, 'unlock', 0, NONE]))
})

t.test('a lock of readers and writers: a writer beside a reader, two writers', async t => {
  const readersAndWriters = (...lines: Array<Line<LockInput['kind']>>) => violationOf(readWriteLock, historyOf<LockInput>(lines))
  t.notOk(readersAndWriters([0, 0, 1, 'lockRead', 0, 2], [1, 2, 3, 'trylockRead', 0, 4], [2, 4, 5, 'trylock', 0, NONE], [2, 6, 20, 'lock', 0, 6], [0, 7, 8, 'unlock', 0, NONE], [1, 9, 10, 'unlock', 0, NONE]))
  t.ok(readersAndWriters([0, 0, 1, 'lockRead', 0, 2], [1, 2, 3, 'lock', 0, 4], [0, 4, 5, 'unlock', 0, NONE]))
  t.ok(readersAndWriters([0, 0, 1, 'lock', 0, 2], [1, 2, 3, 'lockRead', 0, 4], [0, 4, 5, 'unlock', 0, NONE]))
  t.ok(readersAndWriters([0, 0, 1, 'lock', 0, 2], [1, 2, 3, 'lock', 0, 4]))
})

t.test('fencing tokens: one that is not larger than another that was given before', async t => {
  const drawn = (...lines: Array<Line<LockInput['kind']>>) => violationOf(tokens, historyOf<LockInput>(lines))
  t.notOk(drawn([0, 0, 5, 'lock', 0, lockAnswer(2, false)], [1, 0, 5, 'lock', 0, lockAnswer(1, false)]))
  t.ok(drawn([0, 0, 5, 'lock', 0, lockAnswer(2, false)], [1, 6, 8, 'lock', 0, lockAnswer(1, false)]))
  t.ok(drawn([0, 0, 5, 'lock', 0, lockAnswer(2, false)], [1, 0, 5, 'lock', 0, lockAnswer(2, true)]))
})

t.test('a lock whose holder died is given on as abandoned, once', async t => {
  const died: Array<Line<LockInput['kind']>> = [[0, 0, 1, 'lock', 0, lockAnswer(1, false)], [0, 2, 5, 'death', 0, NONE]]
  t.notOk(locks(1, ...died, [1, 1, 9, 'lock', 0, lockAnswer(2, true)], [1, 10, 11, 'unlock', 0, NONE], [2, 12, 13, 'lock', 0, lockAnswer(3, false)]))
  t.ok(locks(1, ...died, [1, 6, 9, 'lock', 0, lockAnswer(2, false)]))
  t.ok(locks(1, ...died, [1, 6, 9, 'lock', 0, lockAnswer(2, true)], [1, 10, 11, 'unlock', 0, NONE], [2, 12, 13, 'lock', 0, lockAnswer(3, true)]))
  t.ok(locks(1, ...died, [1, 1, 1.5, 'lock', 0, lockAnswer(2, true)]), 'before the death')
})

t.test('a queue: a doubled pop, one out of order, one of nothing, a refusal with room, and one item too many', async t => {
  const pushed: Array<Line<QueueInput['kind']>> = [[0, 0, 1, 'push', 1, YES], [0, 2, 3, 'push', 2, YES]]
  t.notOk(queues(...pushed, [1, 4, 9, 'push', 3, NO], [2, 10, 11, 'pop', 0, 1], [1, 12, 13, 'push', 3, YES], [0, 14, 15, 'getSize', 0, 2]))
  t.ok(queues(...pushed, [1, 4, 9, 'pop', 0, 1], [2, 4, 9, 'pop', 0, 1]))
  t.ok(queues(...pushed, [1, 4, 5, 'pop', 0, 2]))
  t.ok(queues(...pushed, [1, 4, 9, 'peek', 0, 2], [2, 10, 11, 'pop', 0, 1]))
  t.ok(queues([0, 0, 1, 'push', 1, YES], [1, 2, 3, 'pop', 0, NONE]))
  t.ok(queues([0, 0, 1, 'push', 1, NO]))
  t.ok(queues(...pushed, [1, 4, 5, 'push', 3, YES]))
  t.ok(queues(...pushed, [1, 4, 5, 'getSize', 0, 1]))
})

t.test('a pending operation has taken effect, or has not, or does so late; never before it was called', async t => {
  const pending: Line<QueueInput['kind']> = [0, 0, Infinity, 'push', 1, PENDING]
  t.notOk(queues(pending, [1, 5, 6, 'pop', 0, NONE]))
  t.notOk(queues(pending, [1, 5, 6, 'pop', 0, 1]))
  t.notOk(queues(pending, [1, 5, 6, 'pop', 0, NONE], [1, 7, 8, 'pop', 0, 1]))
  t.ok(queues(pending, [1, 5, 6, 'pop', 0, 1], [1, 7, 8, 'pop', 0, 1]), 'but not twice')
  t.ok(queues([0, 7, Infinity, 'push', 1, PENDING], [1, 5, 6, 'pop', 0, 1]))
  t.notOk(locks(1, [0, 0, Infinity, 'trylock', 0, PENDING], [1, 1, 2, 'trylock', 1, NONE]))
  t.notOk(locks(1, [0, 0, Infinity, 'trylock', 0, PENDING], [1, 1, 2, 'trylock', 1, lockAnswer(1, false)]))
})

t.test('objects are judged one by one, and the text of a violation shows the one that is wrong', async t => {
  const right: CounterInput = { kind: 'add', object: 1, value: 1, next: 0 }
  const wrong: CounterInput = { kind: 'add', object: 2, value: 1, next: 0 }
  const violation = violationOf(counter, [
    { process: 0, call: 0, return: 10, input: right, output: 1 },
    { process: 0, call: 11, return: 20, input: wrong, output: 1 },
    { process: 1, call: 11, return: 20, input: wrong, output: 1 },
    { process: 2, call: 12, return: Infinity, input: { ...wrong, kind: 'get' }, output: PENDING }
  ])
  t.equal(violation!.operations.length, 3)
  t.match(violation!.text, /not linearizable:\n +0 +9 {2}process 0 .*"object":2.*-> 1 {2}#1\n.*process 1 .* no place\n +1 +∞ {2}process 2 .*pending/)
})

t.test('what is not a history is refused', async t => {
  t.throws(() => counts([0, 0, 10, 'get', 0, 0], [0, 5, 15, 'get', 0, 0]), TypeError)
  t.throws(() => counts([0, 10, 5, 'get', 0, 0]), TypeError)
  t.throws(() => counts([0, 0, Infinity, 'get', 0, PENDING], [0, 5, 15, 'get', 0, 0]), TypeError)
})

/** Operations of four processes with real overlap and right answers: each takes effect at a random moment between call and return; what cannot be done is left out. */
function rightHistory<State, Input> (model: Model<State, Input, number>, next: (limit: number) => number, { processes, each, input, outputs }: Random<Input>): Array<Operation<Input, number>> {
  const drafts = Array.from({ length: processes }, (_, process) => {
    let time = next(100)
    return Array.from({ length: each }, () => {
      const call = time + next(60)
      const moment = call + 1 + next(100)
      const end = moment + 1 + next(100)
      time = end + 1
      return { process, call, return: end, moment, input: input(process) }
    })
  }).flat()
  let state = model.initial
  return drafts.toSorted((a, b) => a.moment - b.moment).flatMap(({ moment, ...draft }) => {
    const output = outputs.find((output) => model.step(state, draft.input, output).length > 0)
    if (output === undefined) return []
    state = model.step(state, draft.input, output)[0]!
    return { ...draft, output }
  })
}

interface Random<Input> {
  processes: number
  each: number
  input (process: number): Input
  outputs: number[]
}

const SMALL = Array.from({ length: 40 }, (_, n) => n - 1)
const LARGE = Array.from({ length: 2000 }, (_, n) => n - 1)
const ROWS = [0, 1, 2, 3, 4, 5, 6].flatMap((count) => [0, 1, 2].map((text) => rowAnswer({ count, text })))

function subjects (next: (limit: number) => number) {
  const kinds = <Kind>(...all: Kind[]) => all[next(all.length)]!
  let item = 0
  return [
    { name: 'counter', model: counter as Model<unknown, unknown, number>, outputs: SMALL, input: () => ({ kind: kinds('get', 'set', 'add', 'compareAndSwap'), object: 0, value: next(3), next: next(3) }) },
    { name: 'row', model: row as Model<unknown, unknown, number>, outputs: [...SMALL, ...ROWS], input: () => ({ kind: kinds('get', 'get', 'set', 'setCount', 'setText', 'has', 'delete', 'incr'), object: 0, value: next(3) }) },
    { name: 'queue', model: queue(3) as Model<unknown, unknown, number>, outputs: LARGE, input: () => ({ kind: kinds('push', 'push', 'pop', 'pop', 'peek', 'getSize'), object: 0, value: item++ % 1900 }) },
    { name: 'lock', model: lock(1) as Model<unknown, unknown, number>, outputs: LARGE, input: (process: number) => ({ kind: kinds('trylock', 'trylock', 'unlock'), object: 0, process }) },
    { name: 'semaphore', model: lock(2) as Model<unknown, unknown, number>, outputs: [...LARGE.slice(2), NONE], input: (process: number) => ({ kind: kinds('trylock', 'trylock', 'death'), object: 0, process }) }
  ]
}

/** All orders that respect who returned before whom, with every choice of pending operations. */
function bruteForce<State, Input> (model: Model<State, Input, number>, history: Array<Operation<Input, number>>, state = model.initial): boolean {
  if (history.every((operation) => operation.return === Infinity)) return true
  return history.some((operation, n) => {
    if (history.some((other) => other.return < operation.call)) return false
    return model.step(state, operation.input, operation.output).some((next) => bruteForce(model, history.toSpliced(n, 1), next))
  })
}

t.test('right histories of 100 operations that overlap are accepted, corrupted ones refused, in milliseconds each', async t => {
  const next = random(7)
  for (const { name, model, ...rest } of subjects(next)) {
    for (let round = 0; round < 20; round++) {
      const history = rightHistory(model, next, { processes: 4, each: 25, ...rest })
      const violation = violationOf(model, history)
      if (violation !== undefined) t.fail(`${name}: ${violation.text}`)
      const corrupted = history.with(next(history.length), { ...history[0]!, process: 9, call: 100_000, return: 100_001, output: TORN })
      if (violationOf(model, corrupted) === undefined) t.fail(`${name}: a torn answer was accepted`)
    }
  }
})

t.test('of small random histories, right, corrupted and with pending operations, it says what all orders tried say', async t => {
  const next = random(11)
  for (const { name, model, input, outputs } of subjects(next)) {
    const said = { linearizable: 0, not: 0 }
    for (let round = 0; round < 1500; round++) {
      let history = rightHistory(model, next, { processes: 3, each: 2, input, outputs })
      const answers = history.map(({ output }) => output)
      for (let change = history.length === 0 ? 0 : next(3); change > 0; change--) {
        const at = next(history.length)
        history = history.with(at, { ...history[at]!, output: answers[next(answers.length)]! })
      }
      const last = history.findLastIndex(({ process }) => process === 1)
      if (last !== -1 && next(2) === 0 && history.every(({ process, call }) => process !== 1 || call <= history[last]!.call)) {
        history = history.with(last, { ...history[last]!, return: Infinity, output: PENDING })
      }
      const expected = bruteForce(model, history)
      said[expected ? 'linearizable' : 'not']++
      const violation = violationOf(model, history)
      if ((violation === undefined) !== expected) t.fail(`${name}, round ${round}: ${JSON.stringify(history)} is ${expected ? '' : 'not '}linearizable`)
    }
    t.ok(Math.min(said.linearizable, said.not) > 100, `${name}: ${said.linearizable} are linearizable, ${said.not} are not`)
  }
})
