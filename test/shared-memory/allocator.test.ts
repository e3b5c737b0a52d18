import t from 'tap'
import { CHUNK_BYTES, REF_BYTES } from '../../plugins/shared-memory/layout.ts'
import { Peers } from './peers.ts'
import { random } from './random.ts'
import { World, faultOf, holder } from './world.ts'

for (const bytes of [0, 1, 63, 64, 65, 128, 4096, 4097, 5440, 32_768, 32_769, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]) {
  t.test(`a block of ${bytes} bytes is large enough, aligned, inside the heap and zeroed when it is used again`, async t => {
    const world = new World()
    const { allocator, region } = world.worker()
    for (let round = 0; round < 2; round++) {
      const ref = allocator.allocate(bytes)
      const start = ref * REF_BYTES
      const size = allocator.sizeOf(ref)
      const units = bytes > 32_768 ? CHUNK_BYTES : REF_BYTES
      t.ok(size >= bytes && size <= Math.max(64, Math.ceil(bytes / units) * units * 4 / 3), `${size} bytes`)
      t.ok(Number.isInteger(start) && start % 64 === 0 && start >= region.sections.heap && start + size <= region.bytes)
      t.ok(region.u8.subarray(start, start + size).every((byte) => byte === 0))
      region.u8.fill(0xff, start, start + size)
      allocator.free(ref)
    }
    t.equal(allocator.usage().used, 0)
  })
}

for (const bytes of [64, 500, 21_824, 32_768, CHUNK_BYTES, 2 * CHUNK_BYTES]) {
  t.test(`blocks of ${bytes} bytes fill the memory, and again after they are freed`, async t => {
    const world = new World()
    const memory = world.worker()
    let first: number | undefined
    for (let round = 0; round < 3; round++) {
      const refs: number[] = []
      t.throws(() => {
        for (;;) {
          const ref = memory.allocator.allocate(bytes)
          memory.allocator.publish(ref, holder(refs.length))
          refs.push(ref)
        }
      }, { code: 'FST_SWOOLE_MEMORY_FULL', statusCode: 507, message: `No room for ${bytes} bytes in the shared memory of ${world.region.bytes} bytes: raise memory.size` })
      first ??= refs.length
      t.equal(refs.length, first)
      t.equal(new Set(refs).size, refs.length)
      t.equal(memory.allocator.usage().blocks, refs.length)
      refs.forEach((ref, n) => {
        memory.allocator.retract(ref, holder(n))
        memory.allocator.free(ref)
      })
      t.equal(memory.allocator.usage().used, 0)
    }
    t.equal(faultOf(memory), undefined)
  })
}

for (const bytes of [Infinity, NaN, 2 ** 40]) {
  t.test(`there is no room for ${bytes} bytes`, async t => {
    const memory = new World().worker()
    t.throws(() => memory.allocator.allocate(bytes), { code: 'FST_SWOOLE_MEMORY_FULL' })
    t.equal(faultOf(memory), undefined)
  })
}

t.test('a slab whose cursor belongs to another size is not taken for full', async t => {
  const world = new World()
  const [memory, other] = [world.worker(), world.worker()]
  const keep = (bytes: number, n: number) => memory.allocator.publish(memory.allocator.allocate(bytes), holder(n))
  keep((world.chunks - 1) * CHUNK_BYTES, 0)
  memory.allocator.free(memory.allocator.allocate(32_768))
  keep(64, 1)
  keep(64, 2)
  t.throws(() => memory.allocator.allocate(32_768), { code: 'FST_SWOOLE_MEMORY_FULL' })
  t.ok(other.allocator.allocate(64))
})

t.test('a block that its slab\'s hint hides is found when there is nothing else', async t => {
  const world = new World()
  const memory = world.worker()
  const hints = world.region.sections.chunkRecords / 4 + 2
  memory.allocator.publish(memory.allocator.allocate((world.chunks - 1) * CHUNK_BYTES), holder(0))
  memory.allocator.publish(memory.allocator.allocate(64), holder(1))
  for (let chunk = 0; chunk < world.chunks; chunk++) world.region.i32[hints + chunk * 4] = 1
  t.ok(world.worker().allocator.allocate(64))
})

t.test('more than 8 blocks in hand are a mistake that is told', async t => {
  const { allocator } = new World().worker()
  for (let n = 0; n < 8; n++) allocator.allocate(64)
  t.throws(() => allocator.allocate(64), RangeError)
})

t.test('random use agrees with a model', async t => {
  const next = random(7)
  const world = new World(2 * 1024 * 1024)
  const workers = [world.worker(), world.worker(), world.worker()]
  const blocks = new Map<number, { ref: number, size: number, mark: number }>()
  const faults: string[] = []
  for (let step = 0; step < 30_000; step++) {
    const { allocator, region } = workers[next(3)]!
    const n = next(400)
    const block = blocks.get(n)
    if (block !== undefined) {
      if (region.u8.subarray(block.ref * REF_BYTES, block.ref * REF_BYTES + block.size).some((byte) => byte !== block.mark)) faults.push(`${step}: a block was overwritten`)
      if (allocator.retract(block.ref, holder(n + 1))) faults.push(`${step}: retracted from a word that does not refer to it`)
      if (!allocator.retract(block.ref, holder(n))) faults.push(`${step}: not retracted`)
      allocator.free(block.ref)
      blocks.delete(n)
      continue
    }
    try {
      const ref = allocator.allocate(next(30) === 0 ? next(200_000) : next(6) === 0 ? next(40_000) : next(900))
      const size = allocator.sizeOf(ref)
      if (region.u8.subarray(ref * REF_BYTES, ref * REF_BYTES + size).some((byte) => byte !== 0)) faults.push(`${step}: not zeroed`)
      const mark = 1 + next(255)
      region.u8.fill(mark, ref * REF_BYTES, ref * REF_BYTES + size)
      if (!allocator.publish(ref, holder(n))) faults.push(`${step}: not published`)
      blocks.set(n, { ref, size, mark })
    } catch (error) {
      if ((error as { code?: string }).code !== 'FST_SWOOLE_MEMORY_FULL') throw error
    }
    if (step % 500 === 0) {
      const { used, blocks: count } = allocator.usage()
      const expected = [...blocks.values()].reduce((sum, { size }) => sum + size, 0)
      if (used !== expected || count !== blocks.size) faults.push(`${step}: ${used} bytes in ${count} blocks, not ${expected} in ${blocks.size}`)
    }
  }
  t.same(faults, [])
  t.equal(faultOf(workers[0]!), undefined)
})

// Guards the plain fills and reads of a block's bytes, framed by the exchange that takes it and the one that publishes it.
t.test('four processes at one small memory never have the same block', async t => {
  await using peers = new Peers(2 * 1024 * 1024)
  const all = await peers.startAll(4)
  t.same((await Promise.all(all.map((peer, n) => peer.call('hammer', n + 1, 30_000)))).flat(), [])
  t.equal(faultOf(peers.launcher.memory), undefined)
})
