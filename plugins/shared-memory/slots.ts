import { constants } from 'node:os'
import { SlotsFullError } from '../errors.ts'
import { EPOCH_LIMIT, Header, INTENTS, SLOTS, SLOTS_OFFSET, SLOT_WORDS, Slot, SlotRole, SlotState } from './layout.ts'
import type { Region } from './region.ts'

export type Role = 'primary' | 'http' | 'task' | 'standalone'
export type State = 'starting' | 'ready' | 'draining'

export interface SlotIdentity {
  index: number
  tag: number
}

export interface SlotInfo extends SlotIdentity {
  id: number
  role: Role
  pid: number
  generation: number
  state: State
  startedAt: Date
  requests: number
  inFlight: number
  connections: number
  rss: number
  eventLoopUtilization: number
  eventLoopDelayP99Ms: number
}

const ROLES: Role[] = ['primary', 'http', 'task', 'standalone']
const STATES: State[] = ['starting', 'ready', 'draining']

const STATE_MASK = 3
const { signals } = constants

const base = (index: number) => SLOTS_OFFSET / 4 + index * SLOT_WORDS

export const slotWord = (index: number, field: number) => base(index) + field
export const slotDouble = (index: number, field: number) => (base(index) + field) / 2
export const slotOf = (tag: number) => tag & (SLOTS - 1)

/**
 * Takes a free slot for a worker that is about to start. Only one process claims slots (the launcher, or the process
 * that is alone), so this needs no race.
 */
export function claimSlot (region: Region, role: Role, workerId: number, generation: number, cacheReloads = 0): SlotIdentity {
  const { i32, f64 } = region
  for (let index = 0; index < SLOTS; index++) {
    const life = Atomics.load(i32, slotWord(index, Slot.LIFE))
    if ((life & STATE_MASK) !== SlotState.FREE) continue
    const epoch = ((life >>> 2) + 1) % EPOCH_LIMIT || 1
    for (let field = Slot.PID; field < SLOT_WORDS; field++) i32[slotWord(index, field)] = 0
    i32[slotWord(index, Slot.ROLE)] = SlotRole[role.toUpperCase() as keyof typeof SlotRole]
    i32[slotWord(index, Slot.WORKER_ID)] = workerId
    i32[slotWord(index, Slot.GENERATION)] = generation
    i32[slotWord(index, Slot.CACHE_RELOADS)] = cacheReloads
    f64[slotDouble(index, Slot.STARTED_AT)] = Date.now()
    if (index >= Atomics.load(i32, Header.SLOTS_USED)) Atomics.store(i32, Header.SLOTS_USED, index + 1)
    Atomics.store(i32, slotWord(index, Slot.LIFE), epoch << 2 | SlotState.STARTING)
    return { index, tag: epoch * SLOTS + index }
  }
  throw new SlotsFullError(SLOTS)
}

/** How a process ended, as Node tells it. */
export interface Exit {
  code: number | null
  signal: string | null
}

const DEATH_BITS = 9
/** Added to the number of a signal; smaller numbers are exit codes. */
const BY_SIGNAL = 256

/** Keeps how a worker ended, for those who later find what it left. */
export function noteDeath ({ i32 }: Region, { index, tag }: SlotIdentity, { code, signal }: Exit): void {
  const how = signal === null ? (code ?? 0) & 255 : BY_SIGNAL + (signals[signal as NodeJS.Signals] ?? 0)
  Atomics.store(i32, slotWord(index, Slot.DEATH), (tag >>> 10) << DEATH_BITS | how)
}

/** ' by SIGKILL', ' with exit code 7'; '' when that is not known, or another worker of the slot has died since. */
export function deathOf ({ i32 }: Region, tag: number): string {
  const death = Atomics.load(i32, slotWord(slotOf(tag), Slot.DEATH))
  if (death >>> DEATH_BITS !== tag >>> 10) return ''
  const how = death & (2 ** DEATH_BITS - 1)
  if (how < BY_SIGNAL) return ` with exit code ${how}`
  return ` by ${Object.entries(signals).find(([, number]) => number === how - BY_SIGNAL)?.[0] ?? `signal ${how - BY_SIGNAL}`}`
}

/** Gives a dead worker's slot back; only after its recovery, or what the worker held is lost to everybody. */
export function freeSlot (region: Region, { index, tag }: SlotIdentity): void {
  changeState(region, index, SlotState.FREE, (life) => life >>> 2 === tag >>> 10)
}

export function setSlotState (region: Region, index: number, state: State): void {
  changeState(region, index, STATES.indexOf(state) + 1, (life) => (life & STATE_MASK) !== SlotState.FREE)
}

function changeState ({ i32 }: Region, index: number, state: number, mayChange: (life: number) => boolean): void {
  const word = slotWord(index, Slot.LIFE)
  for (;;) {
    const life = Atomics.load(i32, word)
    if (!mayChange(life) || Atomics.compareExchange(i32, word, life, life & ~STATE_MASK | state) === life) return
  }
}

/** Whether the worker that a tag names still lives. What carries the tag of one that does not is anybody's to repair. */
export function isAlive (region: Region, tag: number): boolean {
  const life = Atomics.load(region.i32, slotWord(slotOf(tag), Slot.LIFE))
  return life >>> 2 === tag >>> 10 && (life & STATE_MASK) !== SlotState.FREE
}

export function slotsUsed (region: Region): number {
  return Atomics.load(region.i32, Header.SLOTS_USED)
}

/** The live workers, as they last described themselves. */
export function readSlots (region: Region): SlotInfo[] {
  const { i32, f64 } = region
  const slots: SlotInfo[] = []
  for (let index = 0; index < slotsUsed(region); index++) {
    const word = (field: number) => Atomics.load(i32, slotWord(index, field))
    const double = (field: number) => f64[slotDouble(index, field)]!
    const life = word(Slot.LIFE)
    const state = life & STATE_MASK
    if (state === SlotState.FREE) continue
    slots.push({
      index,
      tag: (life >>> 2) * SLOTS + index,
      id: word(Slot.WORKER_ID),
      role: ROLES[word(Slot.ROLE)]!,
      pid: word(Slot.PID),
      generation: word(Slot.GENERATION),
      state: STATES[state - 1]!,
      startedAt: new Date(double(Slot.STARTED_AT)),
      requests: double(Slot.REQUESTS),
      inFlight: word(Slot.IN_FLIGHT),
      connections: word(Slot.CONNECTIONS),
      rss: double(Slot.RSS),
      eventLoopUtilization: double(Slot.LOOP_UTILIZATION),
      eventLoopDelayP99Ms: double(Slot.LOOP_DELAY_P99)
    })
  }
  return slots
}

/** The first word of the `n`th intent of a slot; the second is the one after it. */
export function intentWord (index: number, n: number): number {
  if (n < 0 || n >= INTENTS) throw new RangeError(`intent ${n} of ${INTENTS}`)
  return slotWord(index, Slot.INTENTS + n * 2)
}
