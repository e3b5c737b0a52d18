import { once } from 'node:events'
import { openSync, closeSync, constants, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { Doorbell, bellPath } from '../../plugins/shared-memory/doorbell.ts'
import { attachThreadMemory, slotWord } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { Slot } from '../../plugins/shared-memory/layout.ts'
import { claimSlot, freeSlot } from '../../plugins/shared-memory/slots.ts'
import { eventually } from '../support/processes.ts'
import { Peers } from './peers.ts'
import { MEBIBYTE, World } from './world.ts'

const rung = ({ doorbell }: SharedMemory) => new Promise<void>((resolve) => {
  const listener = () => {
    doorbell.offRing(listener)
    resolve()
  }
  doorbell.onRing(listener)
})
const bellOf = ({ slot }: SharedMemory) => slotWord(slot.index, Slot.BELL)

t.test('a ring to itself comes later, once for many', async t => {
  const memory = new World().worker()
  let rings = 0
  memory.doorbell.onRing(() => { rings++ })
  memory.doorbell.ring(memory.slot.index)
  memory.doorbell.ring(memory.slot.index)
  t.equal(rings, 0)
  await null
  t.equal(rings, 1)
  memory.doorbell.ring(memory.slot.index)
  await null
  t.equal(rings, 2)
})

t.test('many rings to a process that is busy wake it once', async t => {
  await using peers = new Peers()
  const { memory } = peers.launcher
  const peer = await peers.start()
  const [go, entered, rings] = ['go', 'entered', 'rings'].map((name) => new Uint32Atomic(memory, name, 0))
  await peer.call('countRings', 'rings')
  const busy = peer.call('block', 'go', 'entered')
  await entered!.wait()
  while (entered!.get() === 0) await entered!.wait()
  for (let n = 0; n < 1000; n++) memory.doorbell.ring(peer.slot.index)
  go!.set(1)
  await busy
  await rings!.wait()
  // A message has come and gone behind the ring.
  await peer.call('get', 'rings')
  t.ok(rings!.get() >= 1 && rings!.get() <= 2, `${rings!.get()} wake-ups`)
})

t.test('a ringer that died between its mark and its wake-up does not lose the rings of others', async t => {
  await using peers = new Peers()
  const { memory } = peers.launcher
  const [ringer, dead] = await peers.startAll(2)
  await peers.killAndRecover(dead!)
  memory.region.i32[bellOf(memory)] = dead!.slot.tag
  const heard = rung(memory)
  await ringer!.call('ring', memory.slot.index, 1)
  await heard
  t.equal(Atomics.load(memory.region.i32, bellOf(memory)), 0)
})

t.test('the recovery of a ringer rings all, itself too', async t => {
  await using peers = new Peers()
  const { memory } = peers.launcher
  const [peer, dead] = await peers.startAll(2)
  const rings = new Uint32Atomic(memory, 'rings', 0)
  await peer!.call('countRings', 'rings')
  await peers.kill(dead!)
  memory.region.i32[bellOf(memory)] = dead!.slot.tag
  memory.region.i32[slotWord(peer!.slot.index, Slot.BELL)] = dead!.slot.tag
  const heard = rung(memory)
  memory.recover(dead!.slot)
  await heard
  await rings.wait()
  // The peer's own ring, for what it has counted, may be on its way.
  const bells = [bellOf(memory), slotWord(peer!.slot.index, Slot.BELL)]
  await eventually('both have looked', () => bells.every((bell) => Atomics.load(memory.region.i32, bell) === 0))
  t.pass('none is marked as rung by the dead')
})

t.test('one that rang before the worker listened does not keep it deaf', async t => {
  await using peers = new Peers()
  const { memory } = peers.launcher
  const next = peers.launcher.claim('http', 9, 1)
  memory.doorbell.ring(next.index)
  freeSlot(memory.region, next)
  const peer = await peers.start()
  t.equal(peer.slot.index, next.index)
  const slow = await peers.start()
  const rings = new Uint32Atomic(memory, 'rings', 0)
  await peer.call('countRings', 'rings')
  await slow.call('ring', peer.slot.index, 1)
  await rings.wait()
  t.ok(rings.get() >= 1)
})

t.test('a full pipe still wakes, and the ringer does not wait', async t => {
  await using peers = new Peers()
  const { memory } = peers.launcher
  const peer = await peers.start()
  const [go, entered, rings] = ['go', 'entered', 'rings'].map((name) => new Uint32Atomic(memory, name, 0))
  await peer.call('countRings', 'rings')
  const busy = peer.call('block', 'go', 'entered')
  while (entered!.get() === 0) await entered!.wait()
  const fd = openSync(bellPath(peers.folder, peer.slot.index), constants.O_WRONLY | constants.O_NONBLOCK)
  t.throws(() => { for (;;) writeSync(fd, Buffer.alloc(4096)) }, { code: 'EAGAIN' })
  closeSync(fd)
  memory.doorbell.ring(peer.slot.index)
  go!.set(1)
  await busy
  await rings!.wait()
  t.ok(rings!.get() >= 1)
})

t.test('who is dead, and who was never there, can be rung', async t => {
  await using peers = new Peers()
  const { memory } = peers.launcher
  const peer = await peers.start()
  memory.doorbell.ring(peer.slot.index)
  await peers.kill(peer)
  memory.region.i32[slotWord(peer.slot.index, Slot.BELL)] = 0
  memory.doorbell.ring(peer.slot.index)
  memory.doorbell.ring(700)
  memory.recover(peer.slot)
  memory.doorbell.ring(peer.slot.index)
  t.pass()
})

t.test('100,000 rings to and fro between two processes, and none is lost', async t => {
  await using peers = new Peers()
  const [one, other] = await peers.startAll(2)
  await Promise.all([
    one!.call('handBackAndForth', 'counter', 0, other!.slot.index, 100_000),
    other!.call('handBackAndForth', 'counter', 1, one!.slot.index, 100_000)
  ])
  t.equal(await one!.call('get', 'counter'), 100_000)
})

t.test('threads ring each other', async t => {
  const { region } = new World(MEBIBYTE, new SharedArrayBuffer(MEBIBYTE))
  const own = attachThreadMemory(region.i32.buffer as SharedArrayBuffer, claimSlot(region, 'primary', 0, 1))
  const slot = claimSlot(region, 'http', 0, 1)
  const worker = new Worker(`
    import { workerData, parentPort } from 'node:worker_threads'
    const { attachThreadMemory } = await import(workerData.module)
    const { Uint32Atomic } = await import(workerData.atomic)
    const memory = attachThreadMemory(workerData.buffer, workerData.slot)
    const counter = new Uint32Atomic(memory, 'counter', 0)
    parentPort.once('message', () => { memory.close(); parentPort.close() })
    memory.doorbell.onRing(() => {
      if (counter.get() % 2 === 1) { counter.increment(); memory.doorbell.ring(workerData.other) }
    })
    parentPort.postMessage('ready')
  `, {
    eval: true,
    execArgv: ['--input-type=module'],
    workerData: {
      buffer: region.i32.buffer,
      slot,
      other: own.slot.index,
      module: new URL('../../plugins/shared-memory/index.ts', import.meta.url).href,
      atomic: new URL('../../plugins/atomic/memory.ts', import.meta.url).href
    }
  })
  await once(worker, 'message')
  const counter = new Uint32Atomic(own, 'counter', 0)
  const done = new Promise<void>((resolve) => {
    own.doorbell.onRing(() => {
      if (counter.get() >= 20_000) return resolve()
      if (counter.get() % 2 === 1) return
      counter.increment()
      own.doorbell.ring(slot.index)
    })
  })
  counter.increment()
  own.doorbell.ring(slot.index)
  await done
  t.equal(counter.get(), 20_000)
  worker.postMessage('end')
  await once(worker, 'exit')
  own.close()
})

t.test('a ring for which no file descriptor is free is rung when one is, and its ringer does not hear of it', async t => {
  const world = new World()
  const [ringer, sleeper] = [world.worker(), world.worker()]
  const sent = Promise.withResolvers<number>()
  let free = false
  const doorbell = new Doorbell(world.region, ringer.slot, () => ({
    send (slotIndex) {
      if (!free) {
        free = true
        throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
      }
      sent.resolve(slotIndex)
    },
    close () {}
  }))
  doorbell.ring(sleeper.slot.index)
  t.equal(await sent.promise, sleeper.slot.index)
})
