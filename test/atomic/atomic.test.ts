import t from 'tap'
import { Int64Atomic, Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import { Peers } from '../shared-memory/peers.ts'

const memory = createLocalMemory(1024 * 1024)

t.test('uint32: every operation returns what the original\'s does, and wraps at 2^32 both ways', async t => {
  const atomic = new Uint32Atomic(memory, 'one', 5)
  t.equal(atomic.get(), 5)
  t.equal(atomic.add(3), 8)
  t.equal(atomic.sub(2), 6)
  t.equal(atomic.increment(), 7)
  t.equal(atomic.decrement(), 6)
  atomic.set(0)
  t.equal(atomic.decrement(), 4294967295)
  t.equal(atomic.get(), 4294967295)
  t.equal(atomic.increment(), 0)
  atomic.set(-1)
  t.equal(atomic.get(), 4294967295)
  atomic.set(4294967295)
  t.equal(atomic.get(), 4294967295)
  t.equal(atomic.add(4294967295), 4294967294)
  t.equal(atomic.sub(-4294967295), 4294967293)
  t.equal(atomic.add(-4294967293), 0)
  t.equal(atomic.add(-0), 0)
  t.equal(atomic.sub(2 ** 31), 2 ** 31)
})

for (const [initial, value] of [[0, 0], [-5, 4294967291], [4294967295, 4294967295], [-4294967295, 1]] as const) {
  t.test(`uint32: an initial ${initial} is ${value}, for the first caller only`, async t => {
    t.equal(new Uint32Atomic(memory, `initial ${initial}`, initial).get(), value)
    t.equal(new Uint32Atomic(memory, `initial ${initial}`, 9).get(), value)
  })
}

t.test('uint32: compareAndSwap swaps when it is equal, however the number is written', async t => {
  const atomic = new Uint32Atomic(memory, 'swap', 5)
  t.equal(atomic.compareAndSwap(4, 1), false)
  t.equal(atomic.get(), 5)
  t.equal(atomic.compareAndSwap(5, -1), true)
  t.equal(atomic.compareAndSwap(4294967295, 2), true)
  t.equal(atomic.compareAndSwap(2, -5), true)
  t.equal(atomic.compareAndSwap(-5, 0), true)
  t.equal(atomic.get(), 0)
})

t.test('int64: every operation, and it wraps at 2^63 both ways', async t => {
  const atomic = new Int64Atomic(memory, 'one', -5n)
  t.equal(atomic.get(), -5n)
  t.equal(atomic.add(10n), 5n)
  t.equal(atomic.sub(6n), -1n)
  t.equal(atomic.increment(), 0n)
  t.equal(atomic.decrement(), -1n)
  atomic.set(2n ** 63n - 1n)
  t.equal(atomic.increment(), -(2n ** 63n))
  t.equal(atomic.decrement(), 2n ** 63n - 1n)
  t.equal(atomic.get(), 2n ** 63n - 1n)
  t.equal(atomic.compareAndSwap(1n, 2n), false)
  t.equal(atomic.compareAndSwap(2n ** 63n - 1n, -7n), true)
  t.equal(atomic.get(), -7n)
})

t.test('an atomic and an atomicLong of one name are two', async t => {
  new Uint32Atomic(memory, 'both', 1).set(2)
  t.equal(new Int64Atomic(memory, 'both', 3n).get(), 3n)
})

const noInteger = [1.5, NaN, Infinity, -Infinity, 2 ** 32, -(2 ** 32), '5', null, undefined, true, 5n, {}, []]
for (const value of noInteger) {
  t.test(`uint32: ${typeof value} ${String(value)} is refused with the name and the value, and changes nothing`, async t => {
    const atomic = new Uint32Atomic(memory, 'checked', 7)
    const given = value as number
    const shown = (what: string) => ({ code: 'FST_SWOOLE_ATOMIC_VALUE', name: 'FastifyError', message: `Atomic "checked": ${what} is ${typeof value === 'bigint' ? '5n' : typeof value === 'string' ? '"5"' : String(value)}, but must be an integer from -4294967295 to 4294967295` })
    t.throws(() => atomic.set(given), shown('the value'))
    t.throws(() => atomic.add(given), shown('the number to add'))
    t.throws(() => atomic.sub(given), shown('the number to subtract'))
    t.throws(() => atomic.compareAndSwap(given, 1), shown('the expected value'))
    t.throws(() => atomic.compareAndSwap(7, given), shown('the next value'))
    t.throws(() => new Uint32Atomic(memory, 'checked', given), shown('the initial value'))
    t.equal(atomic.get(), 7)
  })
}

for (const value of [5, 2n ** 63n, -(2n ** 63n) - 1n, '5', null, undefined, 1.5]) {
  t.test(`int64: ${typeof value} ${String(value)} is refused, and changes nothing`, async t => {
    const atomic = new Int64Atomic(memory, 'checked', 7n)
    const given = value as bigint
    for (const act of [() => atomic.set(given), () => atomic.add(given), () => atomic.sub(given), () => atomic.compareAndSwap(given, 1n), () => atomic.compareAndSwap(7n, given), () => new Int64Atomic(memory, 'checked', given)]) {
      t.throws(act, { code: 'FST_SWOOLE_ATOMIC_VALUE', message: /^Atomic "checked": .* but must be a bigint from -2\^63 to 2\^63 - 1$/ })
    }
    t.equal(atomic.get(), 7n)
  })
}

for (const count of [-1, 1.5, NaN, Infinity, '1', null]) {
  t.test(`wakeup(${JSON.stringify(count)}) is refused`, async t => {
    t.throws(() => new Uint32Atomic(memory, 'checked', 7).wakeup(count as number), { code: 'FST_SWOOLE_ATOMIC_VALUE', message: /the number to wake/ })
  })
}

t.test('four processes that count at once lose nothing', async t => {
  await using peers = new Peers()
  const all = await peers.startAll(4)
  await Promise.all(all.flatMap((peer) => [peer.call('increment', 'count', 250_000), peer.call('incrementLong', 'count', 250_000)]))
  t.equal(new Uint32Atomic(peers.launcher.memory, 'count', 0).get(), 1_000_000)
  t.equal(new Int64Atomic(peers.launcher.memory, 'count', 0n).get(), 1_000_000n)
})
