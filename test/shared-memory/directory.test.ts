import t from 'tap'
import { DIRECTORY_ENTRIES, REF_BYTES } from '../../plugins/shared-memory/layout.ts'
import { Peers } from './peers.ts'
import { World, faultOf, holder } from './world.ts'

const spec = { type: 'test', name: 'one', definition: { rows: 1 }, bytes: 64 }

t.test('the first to open a name creates it, the others find it', async t => {
  const world = new World()
  const [one, other] = [world.worker(), world.worker()]
  const payload = one.open({ ...spec, initialise (payload) { world.region.i32[payload / 4] = 7 } })
  t.equal(payload % REF_BYTES, 0)
  t.equal(other.open({ ...spec, initialise () { t.fail('it is there') } }), payload)
  t.equal(world.region.i32[payload / 4], 7)
  t.same(other.find('test', 'one'), { rows: 1 })
  t.equal(other.find('test', 'two'), undefined)
  t.equal(faultOf(one), undefined)
})

t.test('another definition is refused, and nothing leaks', async t => {
  const memory = new World().worker()
  memory.open(spec)
  t.throws(() => memory.open({ ...spec, definition: { rows: 2 } }), {
    code: 'FST_SWOOLE_SCHEMA_MISMATCH',
    message: 'The test "one" exists as {"rows":1} and cannot be opened as {"rows":2}: use one definition, or another name'
  })
  t.equal(faultOf(memory), undefined)
})

t.test('each type has names of its own', async t => {
  const memory = new World().worker()
  const payloads = [spec, { ...spec, type: 'other' }, { ...spec, type: 'tes', name: 'tone' }].map((spec) => memory.open(spec))
  t.equal(new Set(payloads).size, 3)
})

for (const name of ['x', 'x'.repeat(1024), 'é'.repeat(512), 'a\0b', '\0', '__proto__', '🦊']) {
  t.test(`${JSON.stringify(name).slice(0, 30)} (${Buffer.byteLength(name)} bytes) is a name`, async t => {
    const memory = new World().worker()
    const payload = memory.open({ ...spec, name })
    t.equal(memory.open({ ...spec, name }), payload)
    t.not(memory.open({ ...spec, name: 'another' }), payload)
    t.same(memory.find('test', name), spec.definition)
  })
}

const circular: object[] = []
circular.push(circular)
for (const name of ['', 'x'.repeat(1025), `${'é'.repeat(512)}x`, '\ud800', 'a\udc00b', undefined, null, 5, 5n, Symbol('x'), {}, circular]) {
  t.test(`${typeof name === 'string' ? JSON.stringify(name).slice(0, 30) : typeof name} is no name`, async t => {
    const memory = new World().worker()
    t.throws(() => memory.open({ ...spec, name: name as string }), { code: 'FST_SWOOLE_NAME_INVALID', message: /^The name of the test is .*, but must be a string of 1 to 1024 bytes in UTF-8$/ })
    t.throws(() => memory.find('test', name as string), { code: 'FST_SWOOLE_NAME_INVALID' })
    t.equal(faultOf(memory), undefined)
  })
}

t.test('a full directory refuses one more name, still finds the others, and nothing leaks', async t => {
  const world = new World(8 * 1024 * 1024)
  const memory = world.worker()
  const payloads = Array.from({ length: DIRECTORY_ENTRIES }, (_, n) => memory.open({ type: 't', name: `${n}`, definition: 0, bytes: 8 }))
  const before = memory.allocator.usage()
  t.throws(() => memory.open(spec), { code: 'FST_SWOOLE_DIRECTORY_FULL', statusCode: 507 })
  t.same(memory.allocator.usage(), before)
  t.equal(memory.find('test', 'one'), undefined)
  t.ok(payloads.every((payload, n) => n % 100 > 0 || memory.open({ type: 't', name: `${n}`, definition: 0, bytes: 8 }) === payload))
})

t.test('a name that has no room is not half there', async t => {
  const world = new World()
  const memory = world.worker()
  t.throws(() => memory.open({ ...spec, bytes: world.heapBytes }), { code: 'FST_SWOOLE_MEMORY_FULL' })
  t.equal(memory.find('test', 'one'), undefined)
  t.ok(memory.open(spec))
  t.equal(faultOf(memory), undefined)
})

t.test('one that creates the same name first, at any moment, wins; nothing leaks', async t => {
  const { everyPlace, interruptedAt } = await import('./crashing.ts')
  everyPlace((n) => {
    const world = new World()
    const [slow, quick] = [world.worker(), world.worker()]
    let payload = 0
    let found = 0
    const wasInterrupted = interruptedAt(n, () => { found = slow.open(spec) }, () => { payload = quick.open(spec) })
    if (wasInterrupted) t.equal(found, payload, `access ${n}`)
    t.equal(faultOf(slow), undefined)
    return wasInterrupted
  })
})

// Guards the plain reads and writes of an object's key and definition, framed by the exchange that publishes it.
t.test('processes that open the same 2,000 names at once get one object for each', async t => {
  await using peers = new Peers()
  const all = await peers.startAll(3)
  const opened = await Promise.all(all.map((peer) => peer.call('openNames', 2000)))
  t.same(opened[1]!.payloads, opened[0]!.payloads)
  t.same(opened[2]!.payloads, opened[0]!.payloads)
  t.equal(new Set(opened[0]!.payloads).size, 2000)
  t.equal(opened.reduce((sum, { created }) => sum + created, 0), 2000)
  t.equal(faultOf(peers.launcher.memory), undefined)
})

t.test('the words of the tests are those of the directory', async t => {
  const world = new World()
  const memory = world.worker()
  memory.open(spec)
  t.equal(Array.from({ length: DIRECTORY_ENTRIES }, (_, n) => world.region.i32[holder(n)]!).filter((ref) => ref !== 0).length, 1)
})
