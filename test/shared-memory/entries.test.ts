import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import t from 'tap'
import { SharedEntries } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory, WriteOptions } from '../../plugins/shared-memory/index.ts'
import type { Scratch } from '../../plugins/shared-memory/entries/scratch.ts'
import { diesAtWrite, everyPlace, interruptedAt } from './crashing.ts'
import { random } from './random.ts'
import { MEBIBYTE, World } from './world.ts'

const KIBIBYTE = 1024
/** A hundred blocks or so. */
const SMALL = 72 * KIBIBYTE

/** Text as a value. */
function textOf (text: string) {
  const bytes = Buffer.from(text)
  return { kind: 7, bytes: bytes.length, write: (target: Scratch, start: number) => target.u8.set(bytes, start) }
}

class Texts {
  readonly entries: SharedEntries
  readonly space
  now = 1000

  constructor (memory: SharedMemory, bytes = SMALL, eviction: 'lru' | 's3-fifo' = 's3-fifo') {
    this.entries = new SharedEntries(memory, { type: 'test', name: 'texts', bytes, eviction })
    this.space = this.entries.space('texts')
  }

  get (key: string): string | undefined {
    if (!this.entries.read(this.space, key, this.now)) return undefined
    const { found, scratch } = this.entries
    return scratch.buffer.toString('utf8', 0, found.bytes)
  }

  set (key: string, text: string, options: Partial<WriteOptions> = {}) {
    return this.entries.write(this.space, key, textOf(text), { nowMs: this.now, expiresMs: Infinity, ...options })
  }

  delete (key: string): boolean {
    return this.entries.remove(this.space, key, this.now)
  }

  invalidate (tag: string): number {
    return [...this.entries.invalidate(tag, this.now)].reduce((sum, count) => sum + count, 0)
  }
}

const world = (bytes = MEBIBYTE) => new World(bytes).worker()

t.test('a value is read as it was written, whatever its size, by every worker', async t => {
  const both = new World(4 * MEBIBYTE)
  const [one, other] = [both.worker(), both.worker()].map((memory) => new Texts(memory, 2 * MEBIBYTE)) as [Texts, Texts]
  for (const length of [0, 1, 3, 4, 100, 151, 152, 153, 391, 392, 393, 1000, 10_000, 400_000]) {
    const text = Array.from({ length }, (_, n) => n % 10).join('')
    t.equal(one.set('key', text), 'written')
    t.ok(other.get('key') === text, `${length} bytes`)
    t.equal(other.entries.found.kind, 7)
  }
  t.equal(one.entries.stats().entries, 1)
  t.equal(one.set('key', 'x'.repeat(one.entries.maxBytes)), 'written')
  t.equal(one.set('key', 'x'.repeat(600_000)), 'too large')
  t.equal(other.get('key')?.length, one.entries.maxBytes, 'what was there stays')
})

t.test('keys are any strings, and no two are one', async t => {
  const texts = new Texts(world())
  const keys = ['', 'a', 'ä', 'a'.repeat(152), 'a'.repeat(153), 'a'.repeat(5000), 'a'.repeat(5001), 'Ω'.repeat(76), 'Ω'.repeat(77), 'Ω'.repeat(500), '\ud800', '__proto__']
  keys.forEach((key, n) => texts.set(key, `value ${n}`))
  keys.forEach((key, n) => t.equal(texts.get(key), `value ${n}`))
  t.equal(texts.entries.stats().entries, keys.length)
  const long = 'a'.repeat(5000)
  const { shortened } = await import('../../plugins/shared-memory/entries/search.ts')
  const forged = shortened(long)
  t.equal(texts.get(forged), undefined, 'the digest of a long key is not a key')
})

t.test('a key whose digest cannot be made leaves nothing of itself to the key before', async t => {
  const texts = new Texts(world())
  for (let n = 0; n < 10; n++) texts.set(`n${n}`, `${n}`)
  const { createHash } = crypto
  const restore = () => {
    crypto.createHash = createHash
    syncBuiltinESMExports()
  }
  t.teardown(restore)
  texts.get('n5')
  crypto.createHash = () => { throw new RangeError('no stack is left') }
  syncBuiltinESMExports()
  t.throws(() => texts.get('ā'.repeat(150)), { message: 'no stack is left' })
  restore()
  t.equal(texts.set('n5', 'new'), 'written')
  for (let n = 0; n < 10; n++) t.equal(texts.get(`n${n}`), n === 5 ? 'new' : `${n}`)
})

t.test('spaces have keys of their own', async t => {
  const texts = new Texts(world())
  const space = texts.entries.space('other')
  texts.set('a', 'one')
  t.equal(texts.entries.read(space, 'a', 0), false)
  texts.entries.write(space, 'a', textOf('two'), { nowMs: 0, expiresMs: Infinity })
  t.equal(texts.get('a'), 'one')
  t.equal([...texts.entries.clear([space])].reduce((sum, n) => sum + n), 1)
  t.equal(texts.get('a'), 'one')
})

t.test('an entry is found until it expires, and as stale after that if it may be', async t => {
  const texts = new Texts(world())
  texts.set('a', 'fresh', { expiresMs: 2000 })
  texts.set('b', 'stale', { expiresMs: 2000, staleMs: 3000 })
  texts.now = 1999.5
  t.equal(texts.get('a'), 'fresh')
  texts.now = 2000
  t.equal(texts.get('a'), undefined)
  t.equal(texts.entries.has(texts.space, 'b', 2000), false)
  t.equal(texts.get('b'), 'stale')
  t.equal(texts.entries.found.expiresMs, 2000)
  texts.now = 3000
  t.equal(texts.get('b'), undefined)
  t.equal(texts.delete('a'), false)
})

t.test('what has expired is reclaimed in passing by what is written', async t => {
  const texts = new Texts(world())
  for (let n = 0; n < 50; n++) texts.set(`old ${n}`, 'x', { expiresMs: 2000 })
  texts.now = 2000
  for (let n = 0; n < 10; n++) texts.set(`new ${n}`, 'x')
  t.strictSame([texts.entries.stats().entries, texts.entries.stats().expirations, texts.entries.stats().evictions], [10, 50, 0])
  for (let n = 0; n < 40; n++) texts.set(`short ${n}`, 'x', { expiresMs: 2001 })
  t.equal([...texts.entries.sweep(2001)].reduce((sum, n) => sum + n), 40)
})

t.test('a write over a version, and only that, is what an update is', async t => {
  const texts = new Texts(world(), SMALL, 'lru')
  t.equal(texts.set('a', '1', { ifVersion: 0 }), 'written')
  t.equal(texts.set('a', '2', { ifVersion: 0 }), 'conflict')
  texts.get('a')
  const { version } = texts.entries.found
  t.equal(texts.set('a', '2', { ifVersion: version }), 'written')
  t.equal(texts.set('a', '3', { ifVersion: version }), 'conflict')
  t.equal(texts.get('a'), '2')
  t.equal(texts.set('a', '3', { isWanted: () => false }), 'conflict')
  const { bytes } = texts.entries.stats()
  t.equal(bytes, 256, 'what was refused is given back')
})

t.test('the least recently used go first, and touching is use', async t => {
  const texts = new Texts(world(), SMALL, 'lru')
  texts.set('first', 'x', { expiresMs: 2000 })
  let n = 0
  while (texts.entries.stats().evictions === 0) {
    texts.set(`key ${n++}`, 'x')
    texts.entries.touch(texts.space, 'first', texts.now, 5000)
  }
  t.equal(texts.get('key 0'), undefined)
  t.equal(texts.get('key 1'), 'x')
  texts.now = 4999
  t.equal(texts.get('first'), 'x')
  t.equal(texts.entries.touch(texts.space, 'key 0', 0, 9000), false)
  t.equal(texts.entries.evicted, 1)
})

t.test('an entry that is updated does not go to make room for itself', async t => {
  const texts = new Texts(world(), SMALL, 'lru')
  texts.set('a', 'x')
  texts.get('a')
  const { version } = texts.entries.found
  for (let n = 0; texts.entries.stats().bytes < texts.entries.stats().capacity; n++) texts.set(`key ${n}`, 'x')
  t.equal(texts.set('a', 'y'.repeat(2000), { ifVersion: version }), 'written')
  t.equal(texts.get('a')?.length, 2000)
})

t.test('a scan does not push out what is asked for again and again', async t => {
  const texts = new Texts(world(), 300 * KIBIBYTE)
  const hot = Array.from({ length: 100 }, (_, n) => `hot ${n}`)
  const read = (key: string) => { if (texts.get(key) === undefined) texts.set(key, 'x') }
  for (let round = 0; round < 5; round++) hot.forEach(read)
  for (let n = 0; n < 20_000; n++) read(`cold ${n}`)
  t.equal(hot.filter((key) => texts.get(key) === 'x').length, 100)
  t.ok(texts.entries.stats().evictions > 18_000)
})

t.test('invalidating a tag removes all that have it, and no other', async t => {
  const texts = new Texts(world(2 * MEBIBYTE), 600 * KIBIBYTE)
  const tags = (n: number) => Array.from({ length: n % 4 * 20 }, (_, tag) => `tag ${tag}`)
  for (let n = 0; n < 200; n++) texts.set(`key ${n}`, 'x'.repeat(n), { tags: tags(n) })
  t.equal(texts.invalidate('tag 59'), 50)
  t.equal(texts.invalidate('tag 19'), 100)
  t.equal(texts.invalidate('tag 0'), 0)
  t.equal(texts.entries.stats().entries, 50)
  texts.set('again', 'x', { tags: ['tag 0'] })
  texts.set('again', 'y')
  t.equal(texts.invalidate('tag 0'), 0, 'the tags of what was overwritten are gone')
  t.equal([...texts.entries.clear([texts.space])].reduce((sum, n) => sum + n), 51)
  t.equal(texts.entries.stats().bytes, 0)
})

t.test('a value that was on its way while its tag was invalidated is not written', async t => {
  const texts = new Texts(world())
  const sinceEpoch = texts.entries.epoch()
  t.equal(texts.set('a', 'x', { tags: ['one'], sinceEpoch }), 'written')
  texts.invalidate('two')
  t.equal(texts.set('a', 'x', { tags: ['one'], sinceEpoch }), 'written')
  texts.invalidate('one')
  t.equal(texts.set('a', 'x', { tags: ['one'], sinceEpoch }), 'conflict')
  t.equal(texts.set('a', 'x', { tags: [], sinceEpoch }), 'written')
  t.equal([...texts.entries.clear([texts.space])].length, 1)
  t.equal(texts.set('a', 'x', { tags: [], sinceEpoch }), 'conflict')
})

for (const eviction of ['lru', 's3-fifo'] as const) {
  t.test(`random operations never give another value than the last one (${eviction})`, async t => {
    const both = new World(MEBIBYTE)
    const workers = [both.worker(), both.worker()].map((memory) => new Texts(memory, 128 * KIBIBYTE, eviction))
    const last = new Map<string, string>()
    const tagged = new Map<string, Set<string>>()
    const next = random(11)
    let hits = 0
    for (let n = 0; n < 30_000; n++) {
      const texts = workers[next(2)]!
      const key = `key ${next(300)}`
      switch (next(10)) {
        case 0:
          texts.delete(key)
          last.delete(key)
          break
        case 1: case 2: case 3: {
          const text = `${n} `.repeat(next(2000) ** 2 / 10_000 | 0)
          const tags = Array.from({ length: next(3) }, () => `tag ${next(20)}`)
          if (texts.set(key, text, { tags }) !== 'written') t.fail('it was not written')
          last.set(key, text)
          tagged.set(key, new Set(tags))
          break
        }
        case 4: {
          if (next(10) !== 0) break
          const tag = `tag ${next(20)}`
          texts.invalidate(tag)
          for (const [key, tags] of tagged) if (tags.has(tag)) last.delete(key)
          break
        }
        default: {
          const found = texts.get(key)
          if (found === undefined) continue
          hits++
          if (found !== last.get(key)) t.fail(`${key} is ${found.slice(0, 20)}, not ${last.get(key)?.slice(0, 20)}`)
        }
      }
    }
    t.ok(hits > 3000, `${hits} hits`)
    const { entries } = workers[0]!
    t.ok(entries.stats().evictions > 100)
    t.ok([...entries.clear([workers[0]!.space])].length > 0)
    t.strictSame([entries.stats().entries, entries.stats().bytes], [0, 0])
  })
}

const fill = (texts: Texts) => {
  for (const [n, key] of KEYS.entries()) texts.set(key, `${key} ${n}`.repeat(n * 30), { tags: [`tag ${n % 2}`] })
}
const KEYS = ['a', 'b', 'c', 'd']
const NEW = 'new '.repeat(100)

/** The worker keeps the blocks of what it wrote over, as many as NEW needs. */
const keep = (texts: Texts) => {
  fill(texts)
  for (const text of ['one ', 'two ']) texts.set('c', text.repeat(100))
}

const scenarios: Array<{ name: string, eviction?: 'lru', prepare?: (texts: Texts) => void, act: (texts: Texts) => void, mayLose: string[], every?: number }> = [
  { name: 'writes the first', act: (texts) => texts.set('a', NEW, { tags: ['tag 0'] }), mayLose: [] },
  { name: 'writes one more', prepare: fill, act: (texts) => texts.set('e', NEW, { tags: ['tag 0'] }), mayLose: [] },
  { name: 'writes over one', prepare: fill, act: (texts) => texts.set('c', NEW), mayLose: [] },
  { name: 'writes over one, with the blocks that it has kept', prepare: keep, act: (texts) => texts.set('c', NEW), mayLose: [] },
  { name: 'writes one more, with the blocks that it has kept', prepare: keep, act: (texts) => texts.set('e', NEW), mayLose: [] },
  { name: 'writes a larger one, and gives back the blocks that it has kept', prepare: keep, act: (texts) => texts.set('e', NEW, { tags: ['tag 0'] }), mayLose: [] },
  { name: 'removes one, and has kept blocks', prepare: keep, act: (texts) => texts.delete('b'), mayLose: ['b'] },
  { name: 'writes one and expires others', prepare: (texts) => { fill(texts); texts.set('old', 'x', { expiresMs: 1001 }) }, act: (texts) => { texts.now = 1002; texts.set('e', NEW) }, mayLose: ['old'] },
  { name: 'removes one', prepare: fill, act: (texts) => texts.delete('b'), mayLose: ['b'] },
  { name: 'touches one', eviction: 'lru', prepare: fill, act: (texts) => texts.entries.touch(texts.space, 'b', 0, 9999), mayLose: [] },
  { name: 'invalidates a tag', prepare: fill, act: (texts) => texts.invalidate('tag 1'), mayLose: ['b', 'd'] },
  {
    name: 'writes one for which others go',
    prepare (texts) {
      fill(texts)
      for (let n = 0; texts.entries.stats().bytes < texts.entries.stats().capacity; n++) texts.set(`filling ${n}`, 'x')
      KEYS.forEach((key) => [texts.get(key), texts.get(key)])
    },
    act: (texts) => texts.set('e', NEW, { tags: ['tag 0'] }),
    mayLose: [],
    every: 397
  }
]

function begin ({ prepare, act, eviction }: typeof scenarios[number]) {
  const world = new World().trace()
  const [worker, other] = [world.worker(), world.worker()]
  const texts = new Texts(worker, SMALL, eviction)
  prepare?.(texts)
  const before = new Map([...KEYS, 'old'].map((key) => [key, texts.get(key)]))
  return { world, worker, other, before, act: () => act(texts) }
}

/** What is wrong after a death; then all is used again, to see that it holds together. */
function faultOf (texts: Texts, before: Map<string, string | undefined>, mayLose: string[]): string | undefined {
  for (const [key, text] of before) {
    const found = texts.get(key)
    if (found !== text && found !== NEW && !(found === undefined && mayLose.includes(key))) return `${key} is ${found?.slice(0, 10)}`
  }
  const { entries, bytes, capacity } = texts.entries.stats()
  const removed = [...texts.entries.clear([texts.space])].reduce((sum, n) => sum + n, 0)
  if (removed !== entries) return `${entries} are counted, ${removed} were there`
  if (texts.entries.stats().bytes !== 0) return `${texts.entries.stats().bytes} of ${bytes} bytes are lost`
  for (let n = 1; n < capacity / 256; n++) texts.set(`again ${n}`, 'x', n === 1 ? { tags: ['last'] } : {})
  if (texts.entries.stats().bytes !== capacity) return 'not all blocks can be used again'
  return texts.invalidate('tag 0') + texts.invalidate('tag 1') === 0 ? undefined : 'a tag has entries that are gone'
}

for (const scenario of scenarios) {
  t.test(`a worker that dies while it ${scenario.name}, and one that dies while it mends that, loses nothing else`, { timeout: 120_000 }, async t => {
    const faults: string[] = []
    const places = everyPlace((n) => {
      let isDead = false
      // Of the places at which a repair dies some will do, after some of the deaths.
      for (let m = 0; ; m += scenario.every ?? 5) {
        const { world, worker, other, before, act } = begin(scenario)
        isDead = diesAtWrite(n, act)
        if (!isDead) break
        other.recover(worker.slot)
        const isDeadToo = diesAtWrite(m, () => new Texts(other, SMALL, scenario.eviction).entries.stats())
        const third = world.worker()
        if (isDeadToo) third.recover(other.slot)
        const mended = new Texts(third, SMALL, scenario.eviction)
        const fault = faultOf(mended, before, scenario.mayLose)
        if (fault !== undefined) faults.push(`store ${n}, then ${m}: ${fault}`)
        if (!isDeadToo || n % 7 !== 0) break
      }
      return isDead && faults.length < 5
    })
    t.strictSame(faults, [])
    t.ok(places > 3, `${places} places`)
  })
}

for (const isOtherFirst of [false, true]) {
  t.test(`a worker that goes on after an exception at any store${isOtherFirst ? ', with others who went on before it,' : ''} writes over nothing that is there`, async t => {
    const faults: string[] = []
    const places = everyPlace((n) => {
      const world = new World().trace()
      const worker = world.worker()
      const [texts, others] = [worker, world.worker()].map((memory) => new Texts(memory)) as [Texts, Texts]
      keep(texts)
      const before = new Map(['a', 'b', 'd'].map((key) => [key, texts.get(key)]))
      const isStopped = diesAtWrite(n, () => texts.set('c', NEW))
      worker.guard.abandon()
      if (isOtherFirst) {
        for (const key of ['g', 'h']) others.set(key, NEW)
        others.delete('g')
        others.set('i', NEW)
      }
      for (const key of ['e', 'f']) texts.set(key, NEW)
      const there = isOtherFirst ? ['e', 'f', 'h', 'i'] : ['e', 'f']
      for (const [key, text] of [...before, ...there.map((key) => [key, NEW])] as Array<[string, string]>) if (texts.get(key) !== text) faults.push(`store ${n}: ${key} is ${texts.get(key)?.slice(0, 10)}`)
      const { entries } = texts.entries.stats()
      const removed = [...texts.entries.clear([texts.space])].reduce((sum, n) => sum + n, 0)
      if (removed !== entries || texts.entries.stats().bytes !== 0) faults.push(`store ${n}: ${entries} are counted, ${removed} were there, ${texts.entries.stats().bytes} bytes are lost`)
      return isStopped && faults.length < 5
    })
    t.strictSame(faults, [])
    t.ok(places > 50)
  })
}

t.test('a reader that is interrupted at any access by a writer reads one value or the other, or a miss of what went', async t => {
  const texts = (letters: string, length = 700) => [...letters].map((letter) => letter.repeat(length))
  const others: Array<[string, (texts: Texts) => void, Array<string | undefined>]> = [
    ['writes over it', (texts) => texts.set('a', 'b'.repeat(700)), texts('ab')],
    ['removes it', (texts) => texts.delete('a'), ['a'.repeat(700), undefined]],
    ['writes over it twice', (texts) => { texts.set('a', 'b'.repeat(700)); texts.set('a', 'c'.repeat(700)) }, texts('abc')],
    ['writes over it again and again, with the blocks that went', (texts) => { for (const letter of 'bcde') texts.set('a', letter.repeat(400)) }, [...texts('a'), ...texts('bcde', 400)]],
    ['removes a neighbour, whose blocks become others', (texts) => { texts.delete('n'); texts.set('m', 'm'.repeat(700)) }, ['a'.repeat(700)]]
  ]
  for (const [name, other, allowed] of others) {
    const wrong: string[] = []
    const places = everyPlace((n) => {
      const world = new World().trace()
      const [reader, writer] = [world.worker(), world.worker()].map((memory) => new Texts(memory)) as [Texts, Texts]
      reader.set('n', 'n'.repeat(700))
      reader.set('a', 'a'.repeat(700))
      let found: string | undefined
      const wasInterrupted = interruptedAt(n, () => { found = reader.get('a') }, () => other(writer))
      if (!allowed.includes(found)) wrong.push(`at ${n}: ${found?.slice(0, 10)} of ${found?.length}`)
      return wasInterrupted
    })
    t.strictSame(wrong, [], name)
    t.ok(places > 100)
  }
})

t.test('a key that is there is never missed, wherever a reader and a writer over it are', async t => {
  const missed: string[] = []
  const places = everyPlace((n) => {
    let wasInterrupted = false
    everyPlace((m) => {
      const world = new World().trace()
      const [reading, writing] = [world.worker(), world.worker()]
      const [reader, writer] = [reading, writing].map((memory) => new Texts(memory)) as [Texts, Texts]
      writer.set('a', 'old')
      // A reader that would wait for the writer finds the key when that has gone on.
      Object.assign(reading.guard, { enter () { throw new RangeError('it waits') } })
      let isFound: boolean | 'waiting' = false
      let isStopped = false
      wasInterrupted = interruptedAt(n, () => {
        try {
          isFound = reader.get('a') !== undefined
        } catch (error) {
          if ((error as Error).message !== 'it waits') throw error
          isFound = 'waiting'
        }
      }, () => { isStopped = diesAtWrite(m, () => writer.set('a', 'new')) })
      if (wasInterrupted && !isFound) missed.push(`reader at ${n}, writer at ${m}`)
      return wasInterrupted && isStopped
    })
    return wasInterrupted
  })
  t.strictSame(missed, [])
  t.ok(places > 10)
})

t.test('has() tells of its own key alone, whatever becomes of the block meanwhile', async t => {
  const wrong: number[] = []
  everyPlace((n) => {
    const world = new World().trace()
    const [reader, writer] = [world.worker(), world.worker()].map((memory) => new Texts(memory)) as [Texts, Texts]
    writer.set('a', 'x', { expiresMs: 1001 })
    let has: boolean | undefined
    const wasInterrupted = interruptedAt(n, () => { has = reader.entries.has(reader.space, 'a', 1002) }, () => {
      writer.now = 1002
      writer.delete('a')
      writer.set('b', 'y')
    })
    if (has) wrong.push(n)
    return wasInterrupted
  })
  t.strictSame(wrong, [])
})
