import t from 'tap'
import { Field, pagesAt } from '../../plugins/lock/layout.ts'
import { SharedLock } from '../../plugins/lock/memory.ts'
import type { LockHandle, LockOptions } from '../../plugins/lock/memory.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { diesAtWrite, everyPlace, interruptedAt } from '../shared-memory/crashing.ts'
import { World, faultOf } from '../shared-memory/world.ts'

const look = (memory: SharedMemory) => memory.doorbell.answer()
const KINDS: Record<string, LockOptions> = { mutex: {}, rwlock: { type: 'rwlock' }, semaphore: { type: 'semaphore', permits: 2 } }

interface Actor {
  memory: SharedMemory
  lock: SharedLock
}

/** Somebody that waits, and gives back when it has the lock. */
class Patient {
  isDone = false
  constructor (wait: Promise<LockHandle>) {
    wait.then((handle) => {
      this.isDone = true
      handle.unlock()
    })
  }
}

interface Scene {
  dying: Actor
  others: [Actor, Actor]
  permits: number
  /** Those that must be served whatever happens to the dying worker. */
  patients: Patient[]
  /** What others hold until the death. */
  held: LockHandle[]
}

type Danger = (scene: Scene) => () => unknown

const unheard = (wait: Promise<unknown>) => { wait.catch(() => {}) }
const takeAll = ({ lock }: Actor, permits: number) => Array.from({ length: permits }, () => lock.trylock()!)

const dangers: Record<string, Danger> = {
  'takes what is free': ({ dying }) => () => dying.lock.trylock(),
  'takes and gives back': ({ dying }) => () => dying.lock.trylock()?.unlock(),
  'gives back with nobody waiting' ({ dying }) {
    const handle = dying.lock.trylock()!
    return () => handle.unlock()
  },
  'gives back to those who wait' ({ dying, others, permits, patients }) {
    const handles = takeAll(dying, permits)
    patients.push(...others.flatMap(({ lock }) => [new Patient(lock.lock()), new Patient(lock.lock())]))
    return () => handles.forEach((handle) => handle.unlock())
  },
  'gets in line as the first' ({ dying, others, permits, held }) {
    held.push(...takeAll(others[0], permits))
    return () => unheard(dying.lock.lock())
  },
  'gets in line between others' ({ dying, others, permits, held, patients }) {
    held.push(...takeAll(others[0], permits))
    unheard(dying.lock.lock())
    patients.push(new Patient(others[1].lock.lock()))
    return () => {
      unheard(dying.lock.lock())
      unheard(dying.lock.lock())
    }
  },
  'gives up at the close' ({ dying, others, permits, held, patients }) {
    held.push(...takeAll(others[0], permits))
    unheard(dying.lock.lock())
    unheard(dying.lock.lock())
    patients.push(new Patient(others[1].lock.lock()))
    return () => dying.memory.close()
  },
  'holds and gives up at the close' ({ dying, others, permits, patients }) {
    takeAll(dying, permits)
    unheard(dying.lock.lock())
    patients.push(new Patient(others[1].lock.lock()), new Patient(others[0].lock.lock()))
    return () => dying.memory.close()
  },
  'notices its grant' ({ dying, others, permits, patients }) {
    const handles = takeAll(others[0], permits)
    unheard(dying.lock.lock())
    unheard(dying.lock.lock())
    patients.push(new Patient(others[1].lock.lock()))
    handles.forEach((handle) => handle.unlock())
    return () => look(dying.memory)
  },
  'was granted it, and closes' ({ dying, others, permits, patients }) {
    const handles = takeAll(others[0], permits)
    unheard(dying.lock.lock())
    patients.push(new Patient(others[1].lock.lock()))
    handles.forEach((handle) => handle.unlock())
    return () => dying.memory.close()
  },
  'serves after a death' ({ dying, others, permits, patients }) {
    takeAll(others[0], permits)
    unheard(dying.lock.lock())
    patients.push(new Patient(others[1].lock.lock()))
    others[1].memory.recover(others[0].memory.slot)
    return () => look(dying.memory)
  },
  'takes from the dead' ({ dying, others, permits }) {
    takeAll(others[0], permits)
    others[1].memory.recover(others[0].memory.slot)
    return () => dying.lock.trylock()
  }
}

const readerDangers: Record<string, Danger> = {
  'reads for the first time': ({ dying }) => () => dying.lock.trylockRead(),
  'gives back as the last reader' ({ dying, others, patients }) {
    const handle = dying.lock.trylockRead()!
    patients.push(new Patient(others[0].lock.lock()), new Patient(others[1].lock.lockRead()))
    return () => handle.unlock()
  },
  'lets readers of all workers in' ({ dying, others, patients }) {
    const handle = dying.lock.trylock()!
    patients.push(...others.map(({ lock }) => new Patient(lock.lockRead())))
    unheard(dying.lock.lockRead())
    patients.push(new Patient(others[0].lock.lock()))
    return () => handle.unlock()
  },
  'steps back from a reader' ({ dying, others, held }) {
    held.push(others[0].lock.trylockRead()!)
    return () => unheard(dying.lock.lock())
  },
  'steps back from a writer' ({ dying, others, held }) {
    held.push(others[0].lock.trylock()!)
    return () => dying.lock.trylockRead()
  },
  'notices that its reader is in' ({ dying, others, patients }) {
    const handle = others[0].lock.trylock()!
    unheard(dying.lock.lockRead())
    unheard(dying.lock.lockRead())
    patients.push(new Patient(others[1].lock.lock()))
    handle.unlock()
    return () => look(dying.memory)
  },
  'is in line to write, and gives up at the close' ({ dying, others, held, patients }) {
    held.push(others[0].lock.trylockRead()!)
    unheard(dying.lock.lock())
    patients.push(new Patient(others[1].lock.lockRead()))
    return () => dying.memory.close()
  }
}

function actor (memory: SharedMemory, options: LockOptions): Actor {
  return { memory, lock: new SharedLock(memory, 'x', { ...options, deadlockTimeout: false }) }
}

/** Undefined: everybody who waits is served, and in the end every permit can be taken. */
async function faultAfter ({ others, permits, patients, held }: Scene, living: Actor[], next: Actor, pageWord: number): Promise<string | undefined> {
  for (const handle of held) handle.unlock()
  const newcomers = [...living, next].map(({ lock }) => new Patient(lock.lock()))
  for (let turn = 0; turn < 20; turn++) {
    for (const { memory } of [...living, next]) look(memory)
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (!patients.every(({ isDone }) => isDone)) return 'a waiter is not served'
  if (!newcomers.every(({ isDone }) => isDone)) return 'one that comes later is not served'
  const handles = takeAll(next, permits)
  if (!handles.every(Boolean)) return 'a permit is lost'
  if (living.some(({ lock }) => lock.trylock() !== undefined)) return 'there is a permit too many'
  for (const handle of handles) handle.unlock()
  const { held: stillHeld, waiting } = next.lock.stats()
  if (stillHeld + waiting !== 0) return `${stillHeld} hold it, ${waiting} wait`
  return faultOf(others[1].memory, [pageWord])
}

for (const [type, options] of Object.entries(KINDS)) {
  for (const [name, danger] of Object.entries(type === 'rwlock' ? { ...dangers, ...readerDangers } : dangers)) {
    t.test(`${type}: a worker that ${name} may die at any write: nobody waits for ever, and no permit is lost`, async t => {
      const checks: Array<Promise<string | undefined>> = []
      everyPlace((n) => {
        const world = new World().trace()
        const actors = [world.worker(), world.worker(), world.worker()].map((memory) => actor(memory, options)) as [Actor, Actor, Actor]
        const scene: Scene = { dying: actors[0], others: [actors[1], actors[2]], permits: options.permits ?? 1, patients: [], held: [] }
        const act = danger(scene)
        const isDead = diesAtWrite(n, act)
        actors[2].memory.recover(actors[0].memory.slot)
        const isAlone = name === 'serves after a death' || name === 'takes from the dead'
        const living = isAlone ? [actors[2]] : [actors[1], actors[2]]
        const next = actor(world.worker(), options)
        const pageWord = next.lock.payload / 4 + pagesAt(scene.permits)
        checks.push(faultAfter(scene, living, next, pageWord).then((fault) => fault && `write ${n}: ${fault}`))
        return isDead
      })
      t.ok(checks.length > 1, `it can die at ${checks.length - 1} places`)
      t.same((await Promise.all(checks)).filter(Boolean), [])
    })
  }
}

t.test('the next holder is told of a death exactly when the dead one had the lock', async t => {
  const told: boolean[] = []
  everyPlace((n) => {
    const world = new World()
    const [dying, other] = [actor(world.worker(), {}), actor(world.worker(), {})]
    const isDead = diesAtWrite(n, () => dying.lock.trylock()!.unlock())
    other.memory.recover(dying.memory.slot)
    told.push(other.lock.trylock()!.abandoned)
    return isDead
  })
  t.same(told, [false, true, false], 'before it takes, before it gives back, and after')
})

t.test('at any moment, a writer and a reader that come at once are not both in', async t => {
  for (const [first, second] of [['trylock', 'trylockRead'], ['trylockRead', 'trylock']] as const) {
    let places = 0
    everyPlace((n) => {
      const world = new World()
      const [one, other] = [actor(world.worker(), { type: 'rwlock' }), actor(world.worker(), { type: 'rwlock' })]
      for (const { lock } of [one, other]) lock.trylockRead()!.unlock()
      const handles: Array<LockHandle | undefined> = []
      const wasInterrupted = interruptedAt(n, () => handles.push(one.lock[first]()), () => handles.push(other.lock[second]()))
      if (wasInterrupted && handles.filter(Boolean).length !== 1) t.fail(`access ${n}: ${handles.filter(Boolean).length} are in`)
      for (const handle of handles) handle?.unlock()
      t.ok(other.lock.trylock())
      places++
      return wasInterrupted
    })
    t.ok(places > 3)
  }
})

t.test('a reader that steps back from a writer at any moment does not leave the next writer waiting', async t => {
  const waits: Array<Promise<LockHandle>> = []
  everyPlace((n) => {
    const world = new World()
    const [reader, writer, next] = [0, 1, 2].map(() => actor(world.worker(), { type: 'rwlock' })) as [Actor, Actor, Actor]
    reader.lock.trylockRead()!.unlock()
    const handle = writer.lock.trylock()!
    return interruptedAt(n, () => reader.lock.trylockRead()?.unlock(), () => {
      // Inside the guard nobody else can be.
      if (world.region.i32[reader.lock.payload / 4 + Field.GUARD] !== 0) return
      waits.push(next.lock.lock())
      handle.unlock()
      queueMicrotask(() => look(next.memory))
    })
  })
  t.ok(waits.length > 2)
  t.equal((await Promise.all(waits)).length, waits.length)
})

t.test('a writer that steps back from a reader at any moment does not leave the next reader waiting', async t => {
  const waits: Array<Promise<LockHandle>> = []
  everyPlace((n) => {
    const world = new World()
    const [reader, writer, next] = [0, 1, 2].map(() => actor(world.worker(), { type: 'rwlock' })) as [Actor, Actor, Actor]
    next.lock.trylockRead()!.unlock()
    reader.lock.trylockRead()
    return interruptedAt(n, () => writer.lock.trylock(), () => {
      if (world.region.i32[reader.lock.payload / 4 + Field.GUARD] !== 0) return
      waits.push(next.lock.lockRead())
      queueMicrotask(() => look(next.memory))
    })
  })
  t.ok(waits.length > 2)
  t.equal((await Promise.all(waits)).length, waits.length)
})

t.test('at any moment of giving back, who gets in line gets the lock', async t => {
  const waits: Array<Promise<LockHandle>> = []
  everyPlace((n) => {
    const world = new World().trace()
    const [one, other] = [actor(world.worker(), {}), actor(world.worker(), {})]
    const handle = one.lock.trylock()!
    const wasInterrupted = interruptedAt(n, () => handle.unlock(), () => waits.push(other.lock.lock()))
    if (wasInterrupted) look(other.memory)
    return wasInterrupted
  })
  t.ok(waits.length > 1)
  t.equal((await Promise.all(waits)).length, waits.length)
})
