import t from 'tap'
import { CHUNK_BYTES, REF_BYTES } from '../../plugins/shared-memory/layout.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { Interruption, diesAtWrite, everyPlace, interruptedAt } from './crashing.ts'
import { World, faultOf, holder } from './world.ts'

type Test = Pick<typeof t, 'ok' | 'same'>

interface Scenario {
  name: string
  /** What the worker does before it is in danger; returns what it does then. */
  prepare (worker: SharedMemory, world: World): () => unknown
}

const SMALL = 200
const LARGE = 3 * CHUNK_BYTES

const keep = (memory: SharedMemory, bytes: number, n: number) => {
  const ref = memory.allocator.allocate(bytes)
  memory.allocator.publish(ref, holder(n))
  return ref
}
const drop = (memory: SharedMemory, ref: number, n: number) => {
  if (memory.allocator.retract(ref, holder(n))) memory.allocator.free(ref)
}

const scenarios: Scenario[] = [
  { name: 'allocates and publishes a small block', prepare: (worker) => () => keep(worker, SMALL, 0) },
  { name: 'allocates and publishes a run of chunks', prepare: (worker) => () => keep(worker, LARGE, 0) },
  {
    name: 'retracts and frees a small block',
    prepare (worker) {
      keep(worker, SMALL, 0)
      const ref = keep(worker, SMALL, 1)
      return () => drop(worker, ref, 1)
    }
  },
  {
    name: 'retracts and frees a run of chunks',
    prepare (worker) {
      keep(worker, LARGE, 0)
      const ref = keep(worker, LARGE, 1)
      return () => drop(worker, ref, 1)
    }
  },
  {
    name: 'moves a block from one word to another',
    prepare (worker) {
      const ref = keep(worker, SMALL, 0)
      return () => {
        worker.allocator.retract(ref, holder(0))
        worker.allocator.publish(ref, holder(1))
      }
    }
  },
  {
    name: 'is late: another has published at the word',
    prepare (worker, world) {
      keep(world.worker(), SMALL, 0)
      return () => {
        const ref = worker.allocator.allocate(SMALL)
        if (worker.allocator.publish(ref, holder(0))) throw new Error('the word was taken')
        worker.allocator.free(ref)
      }
    }
  },
  {
    name: 'has several blocks in its hands',
    prepare: (worker) => () => {
      const refs = [SMALL, LARGE, 64, 5000].map((bytes) => worker.allocator.allocate(bytes))
      refs.forEach((ref, n) => worker.allocator.publish(ref, holder(n)))
    }
  },
  {
    name: 'empties slabs for a block of another size',
    prepare (worker, { chunks }) {
      fillWithSlabs(worker, chunks)
      return () => keep(worker, 1000, 0)
    }
  },
  {
    name: 'empties slabs for a run',
    prepare (worker, { chunks }) {
      fillWithSlabs(worker, chunks)
      return () => keep(worker, LARGE, 0)
    }
  },
  {
    name: 'finds no room',
    prepare (worker, { heapBytes }) {
      keep(worker, heapBytes - 2 * CHUNK_BYTES, 0)
      return () => {
        try {
          keep(worker, LARGE, 1)
        } catch (error) {
          if ((error as { code?: string }).code !== 'FST_SWOOLE_MEMORY_FULL') throw error
        }
      }
    }
  },
  {
    name: 'creates a named object',
    prepare: (worker) => () => worker.open({ type: 'test', name: 'one', definition: {}, bytes: 100 })
  }
]

/** Every chunk becomes a slab, and all are empty again. */
function fillWithSlabs (memory: SharedMemory, chunks: number): void {
  const refs = Array.from({ length: chunks * 2 }, (_, n) => keep(memory, CHUNK_BYTES / 2, n))
  refs.forEach((ref, n) => drop(memory, ref, n))
}

/** The `n`th place to look at: each of the first, then fewer, in the long loops over the blocks of a chunk. */
const spread = (n: number) => n < 40 ? n : 40 + (n - 40) * 151

function start (scenario: Scenario): { world: World, worker: SharedMemory, act: () => unknown } {
  const world = new World()
  const worker = world.worker()
  world.soil(worker)
  return { world, worker, act: scenario.prepare(worker, world) }
}

/** The worker's death at each write, and what `check` finds wrong after it. */
function afterEachDeath (t: Test, scenario: Scenario, check: (world: World, dead: SharedMemory, n: number) => string | undefined): void {
  const faults: string[] = []
  const places = everyPlace((n) => {
    const { world, worker, act } = start(scenario)
    const isDead = diesAtWrite(n, act)
    const fault = check(world, worker, n)
    if (fault !== undefined) faults.push(`write ${n}: ${fault}`)
    return isDead
  })
  t.ok(places > 1, `it can die at ${places} places`)
  t.same(faults, [])
}

for (const scenario of scenarios) {
  t.test(`a worker that ${scenario.name}`, async t => {
    t.test('may die at any write: nothing leaks, and nothing that is referred to is free', async t => {
      afterEachDeath(t, scenario, (world, dead) => {
        const other = world.worker()
        other.recover(dead.slot)
        return faultOf(other)
      })
    })

    t.test('is recovered once: the second recovery changes nothing', async t => {
      afterEachDeath(t, scenario, (world, dead) => {
        const other = world.worker()
        other.recover(dead.slot)
        const before = Buffer.from(world.region.u8.slice(world.region.sections.chunkRecords))
        other.recover(dead.slot)
        world.worker().recover(dead.slot)
        return before.equals(world.region.u8.slice(world.region.sections.chunkRecords)) ? faultOf(other) : 'the second recovery wrote something'
      })
    })

    for (const firstDead of ['the worker', 'the recoverer']) {
      t.test(`may be recovered by one that dies at any write, too; a third recovers ${firstDead} first`, async t => {
        const faults: string[] = []
        everyPlace((n) => {
          let isDead = false
          everyPlace((m) => {
            const { world, worker, act } = start(scenario)
            isDead = diesAtWrite(n, act)
            const recoverer = world.worker()
            const third = world.worker()
            const recovererDied = diesAtWrite(m, () => recoverer.recover(worker.slot))
            const order = firstDead === 'the worker' ? [worker, recoverer] : [recoverer, worker]
            for (const { slot } of order) third.recover(slot)
            const fault = faultOf(third)
            if (fault !== undefined) faults.push(`write ${n}, recovery's write ${m}: ${fault}`)
            return recovererDied
          })
          return isDead
        })
        t.same(faults, [])
      })
    }

    t.test('may be recovered by two at once, and its slot be taken anew meanwhile', async t => {
      const faults: string[] = []
      everyPlace((n) => {
        let isDead = false
        everyPlace((access) => {
          const { world, worker, act } = start(scenario)
          isDead = diesAtWrite(n, act)
          const [late, quick] = [world.worker(), world.worker()]
          let next: SharedMemory | undefined
          let inHand = 0
          const wasInterrupted = interruptedAt(spread(access), () => late.recover(worker.slot), () => {
            quick.recover(worker.slot)
            next = world.worker()
            inHand = next.allocator.allocate(SMALL)
          })
          if (next !== undefined) {
            if (next.slot.index !== worker.slot.index) faults.push(`write ${n}, access ${spread(access)}: the slot was not free`)
            // The named object stands at a random place of the directory, which may be this.
            const place = world.region.i32[holder(20)] === 0 ? 20 : 21
            if (!next.allocator.publish(inHand, holder(place))) faults.push(`write ${n}, access ${spread(access)}: the next worker lost what it had in hand`)
            if (world.worker().slot.index === next.slot.index) faults.push(`write ${n}, access ${spread(access)}: the next worker lost its slot`)
          }
          const fault = faultOf(quick)
          if (fault !== undefined) faults.push(`write ${n}, access ${spread(access)}: ${fault}`)
          return wasInterrupted
        })
        return isDead
      })
      t.same(faults, [])
    })
  })
}

/*
 * Two at work. One takes a block of a slab while the other, who has seen the slab empty, takes the whole chunk.
 */
interface Race {
  world: World
  taker: SharedMemory
  emptier: SharedMemory
  take (): void
  empty (): void
}

function race (emptierTakes: number): Race {
  const world = new World()
  const [taker, emptier] = [world.worker(), world.worker()]
  world.soil(taker)
  // The last chunk is a slab, and the taker's cursor is on it; the others are taken, so that the emptier needs it.
  keep(emptier, world.heapBytes - CHUNK_BYTES, 0)
  drop(taker, keep(taker, SMALL, 1), 1)
  return {
    world,
    taker,
    emptier,
    take () {
      ignoringFull(() => {
        const ref = taker.allocator.allocate(SMALL)
        const bytes = world.region.u8.subarray(ref * REF_BYTES, ref * REF_BYTES + SMALL)
        if (bytes.some((byte) => byte !== 0)) throw new Error('the block is not zeroed')
        bytes.fill(0xbb)
        taker.allocator.publish(ref, holder(2))
        if (taker.allocator.sizeOf(ref) < SMALL) throw new Error('the block is too small')
      })
    },
    empty () {
      ignoringFull(() => keep(emptier, emptierTakes, 3))
    }
  }
}

function ignoringFull (act: () => void): void {
  try {
    act()
  } catch (error) {
    if ((error as { code?: string }).code !== 'FST_SWOOLE_MEMORY_FULL') throw error
  }
}

for (const [what, bytes] of [['a block of another size', 1000], ['a run', CHUNK_BYTES]] as const) {
  t.test(`a block is taken while its slab is emptied for ${what}, at any access`, async t => {
    const faults: string[] = []
    for (const first of ['take', 'empty'] as const) {
      const second = first === 'take' ? 'empty' : 'take'
      everyPlace((n) => {
        const r = race(bytes)
        const wasInterrupted = interruptedAt(spread(n), () => r[first](), () => r[second]())
        const fault = faultOf(r.taker)
        if (fault !== undefined) faults.push(`${second} at access ${spread(n)} of ${first}: ${fault}`)
        return wasInterrupted
      })
    }
    t.same(faults, [])
  })

  for (const recoveredFirst of ['taker', 'emptier'] as const) {
    t.test(`both die while a slab is emptied for ${what}; the ${recoveredFirst} is recovered first`, async t => {
      const faults: string[] = []
      everyPlace((place) => {
        let wasInterrupted = false
        everyPlace((k) => {
          let emptierDied = false
          everyPlace((q) => {
            const r = race(bytes)
            const interruption = new Interruption(spread(place), () => { emptierDied = diesAtWrite(k, () => r.empty()) })
            const takerDied = diesAtWrite(q, () => r.take(), interruption)
            wasInterrupted = interruption.isDone
            const third = r.world.worker()
            const order = recoveredFirst === 'taker' ? [r.taker, r.emptier] : [r.emptier, r.taker]
            if (!takerDied) order.splice(order.indexOf(r.taker), 1)
            for (const { slot } of order) third.recover(slot)
            const fault = faultOf(third)
            if (fault !== undefined) faults.push(`access ${place}, write ${k} of the emptier, write ${q} of the taker: ${fault}`)
            return takerDied
          })
          return emptierDied
        })
        return wasInterrupted
      })
      t.same(faults, [])
    })
  }
}

t.test('a late worker does not retract another block that its word refers to by now', async t => {
  const faults: string[] = []
  everyPlace((place) => {
    const world = new World()
    const [late, quick] = [world.worker(), world.worker()]
    keep(quick, world.heapBytes - CHUNK_BYTES, 0)
    const [first, second] = [keep(quick, 1000, 1), keep(quick, 1000, 2)]
    let retracted: boolean | undefined
    const wasInterrupted = interruptedAt(place, () => { retracted = late.allocator.retract(second, holder(2)) }, () => {
      drop(quick, first, 1)
      drop(quick, second, 2)
      // The chunk becomes a slab of 64 bytes, and the state word that was the second block's is that of another.
      ignoringFull(() => keep(quick, 64, 1))
      ignoringFull(() => keep(quick, 64, 2))
    })
    const now = Atomics.load(world.region.i32, holder(2))
    if (retracted && now !== 0) faults.push(`access ${place}: it has ${second} in hand, and the word refers to ${now}`)
    if (retracted) late.allocator.free(second)
    const fault = faultOf(quick)
    if (fault !== undefined) faults.push(`access ${place}: ${fault}`)
    return wasInterrupted
  })
  t.same(faults, [])
})

t.test('a named object is there whole or not at all, wherever its creator dies', async t => {
  const spec = { type: 'test', name: 'one', definition: { rows: 3 }, bytes: 100 }
  everyPlace((n) => {
    const world = new World()
    const [worker, other] = [world.worker(), world.worker()]
    world.soil(worker)
    const isDead = diesAtWrite(n, () => worker.open({ ...spec, initialise (payload) { world.region.i32[payload / 4] = 7 } }))
    other.recover(worker.slot)
    const found = other.find('test', 'one')
    if (found !== undefined) t.same(found, spec.definition, `write ${n}: it is there`)
    const payload = other.open({ ...spec, initialise (payload) { world.region.i32[payload / 4] = 8 } })
    t.equal(world.region.i32[payload / 4], found === undefined ? 8 : 7)
    t.equal(world.region.i32[payload / 4 + 1], 0)
    t.equal(payload % REF_BYTES, 0)
    t.equal(faultOf(other), undefined)
    return isDead
  })
})
