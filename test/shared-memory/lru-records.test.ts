import t from 'tap'
import { LruRecords } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { diesAtWrite, everyPlace } from './crashing.ts'
import { random } from './random.ts'
import { MEBIBYTE, World } from './world.ts'

const CAPACITY = 4
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f']

/** Records of one number by key, as an owner of them would write it. */
class Numbers {
  readonly records: LruRecords
  readonly #i32: Int32Array
  readonly #space

  constructor (memory: SharedMemory, capacity = CAPACITY, isSpent?: (value: number) => boolean) {
    this.#i32 = memory.region.i32
    this.records = new LruRecords(memory, { type: 'test', name: 'numbers', records: capacity, payloadWords: 2 }, isSpent && ((payload) => isSpent(this.#i32[payload]!)))
    this.#space = this.records.space('numbers')
  }

  get (key: string): number | undefined {
    this.records.enter(this.#space, key)
    const payload = this.records.find()
    const value = payload === 0 ? undefined : this.#i32[payload]
    this.records.leave()
    return value
  }

  set (key: string, value: number): void {
    this.records.enter(this.#space, key)
    const found = this.records.find()
    if (found !== 0) this.records.touch(found)
    this.#i32[found === 0 ? this.records.add() : found] = value
    this.records.leave()
  }

  delete (key: string): boolean {
    this.records.enter(this.#space, key)
    const found = this.records.find()
    if (found !== 0) this.records.remove(found)
    this.records.leave()
    return found !== 0
  }

  all (keys: string[]): Record<string, number> {
    return Object.fromEntries(keys.map((key) => [key, this.get(key)]).filter(([, value]) => value !== undefined))
  }
}

t.test('the least recently used go first', async t => {
  const numbers = new Numbers(new World().worker())
  for (const [n, key] of ['a', 'b', 'c', 'd'].entries()) numbers.set(key, n)
  numbers.set('a', 10)
  numbers.set('e', 4)
  numbers.set('f', 5)
  t.strictSame(numbers.all(KEYS), { a: 10, d: 3, e: 4, f: 5 })
  t.strictSame(numbers.records.stats(), { records: 4, capacity: 4, evictions: 2 })
})

t.test('one that is spent goes before the least recently used, and is no eviction', async t => {
  const numbers = new Numbers(new World().worker(), CAPACITY, (value) => value < 0)
  numbers.set('a', 1)
  numbers.set('b', -1)
  numbers.set('c', 1)
  numbers.set('d', 1)
  numbers.set('e', 1)
  t.strictSame(numbers.all(KEYS), { a: 1, c: 1, d: 1, e: 1 })
  t.equal(numbers.records.stats().evictions, 0)
})

t.test('random operations agree with a Map in order of use', async t => {
  const numbers = new Numbers(new World().worker(), 50)
  const model = new Map<string, number>()
  const next = random(7)
  for (let n = 0; n < 50_000; n++) {
    const key = `key ${next(100)}`
    if (next(4) === 0) {
      if (numbers.delete(key) !== model.delete(key)) t.fail(`deleting ${key}`)
    } else if (next(2) === 0) {
      if (numbers.get(key) !== model.get(key)) t.fail(`${key} is ${numbers.get(key)}`)
    } else {
      if (!model.delete(key) && model.size === 50) model.delete(model.keys().next().value!)
      model.set(key, n)
      numbers.set(key, n)
    }
  }
  t.equal(numbers.records.stats().records, model.size)
  t.strictSame(numbers.all([...model.keys()]), Object.fromEntries(model))
})

t.test('many records, in shards, all have room', async t => {
  const COUNT = 100_000
  const numbers = new Numbers(new World(16 * MEBIBYTE).worker(), COUNT)
  for (let n = 0; n < COUNT; n++) numbers.set(`key ${n}`, n)
  t.equal(numbers.records.stats().evictions, 0)
  let wrong = 0
  for (let n = 0; n < COUNT; n++) if (numbers.get(`key ${n}`) !== n) wrong++
  t.equal(wrong, 0)

  const words = new Set<number>()
  const passes = [...numbers.records.sweep((payload) => words.add(payload).size % 2 === 0)].length
  t.equal(words.size, COUNT)
  t.ok(passes >= COUNT / 256)
  t.equal(numbers.records.stats().records, COUNT / 2)
})

const fill = (numbers: Numbers) => ['a', 'b', 'c', 'd'].forEach((key, n) => numbers.set(key, n))

const scenarios = [
  { name: 'adds the first', act: (numbers: Numbers) => numbers.set('a', 9) },
  { name: 'adds one for which another goes', prepare: fill, act: (numbers: Numbers) => numbers.set('e', 9) },
  {
    name: 'adds one where one was',
    prepare (numbers: Numbers) {
      fill(numbers)
      numbers.delete('b')
    },
    act: (numbers: Numbers) => numbers.set('f', 9)
  },
  { name: 'uses the oldest', prepare: fill, act: (numbers: Numbers) => numbers.set('a', 9) },
  { name: 'uses one in between', prepare: fill, act: (numbers: Numbers) => numbers.set('c', 9) },
  { name: 'removes the oldest', prepare: fill, act: (numbers: Numbers) => numbers.delete('a') },
  { name: 'removes one in between', prepare: fill, act: (numbers: Numbers) => numbers.delete('b') },
  { name: 'removes the newest', prepare: fill, act: (numbers: Numbers) => numbers.delete('d') }
]

function start ({ prepare, act }: typeof scenarios[number]) {
  const world = new World().trace()
  const [worker, other] = [world.worker(), world.worker()]
  const numbers = new Numbers(worker)
  prepare?.(numbers)
  const before = numbers.all(KEYS)
  return { world, worker, other, numbers, before, act: () => act(numbers) }
}

function faultOf (numbers: Numbers, before: Record<string, number>): string | undefined {
  const found = numbers.all(KEYS)
  for (const [key, value] of Object.entries(found)) {
    // A record begins with zeros.
    if (value !== before[key] && value !== 9 && value !== 0) return `${key} is ${value}`
  }
  const lost = Object.keys(before).filter((key) => !(key in found))
  if (lost.length > 1) return `${lost} are lost`
  if (numbers.records.stats().records !== Object.keys(found).length) return `${numbers.records.stats().records} are counted, there are ${Object.keys(found)}`
  const keys = ['new 1', 'new 2', 'new 3', 'new 4']
  keys.forEach((key, n) => numbers.set(key, n))
  const news = numbers.all([...keys, ...KEYS])
  if (Object.keys(news).join() !== keys.join()) return `of four new ones there are ${Object.keys(news)}`
  numbers.set('new 1', 1)
  numbers.set('x', 1)
  if (numbers.get('new 2') !== undefined || numbers.get('new 1') !== 1) return 'the order of use is lost'
  for (const key of ['new 1', 'new 3', 'new 4', 'x']) if (!numbers.delete(key)) return `${key} cannot be removed`
  return numbers.records.stats().records === 0 ? undefined : 'records are left'
}

for (const scenario of scenarios) {
  t.test(`a worker that dies while it ${scenario.name}, and one that dies while it mends that, leave all others`, async t => {
    const faults: string[] = []
    const places = everyPlace((n) => {
      let isDead = false
      everyPlace((m) => {
        const { world, worker, other, before, act } = start(scenario)
        isDead = diesAtWrite(n, act)
        if (!isDead) return false
        other.recover(worker.slot)
        const mending = new Numbers(other)
        const isDeadToo = diesAtWrite(m, () => mending.get('a'))
        const third = world.worker()
        if (isDeadToo) third.recover(other.slot)
        const fault = faultOf(new Numbers(third), before)
        if (fault !== undefined) faults.push(`store ${n}, then ${m}: ${fault}`)
        return isDeadToo
      })
      return isDead
    })
    t.strictSame(faults, [])
    t.ok(places > 3)
  })
}
