import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { attachMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, SharedMemory } from '../../plugins/shared-memory/index.ts'
import { SessionStore } from '../../plugins/session/store.ts'
import { int } from '../../plugins/table/columns.ts'
import { SharedTable } from '../../plugins/table/memory.ts'
import { answerParent } from '../shared-memory/answering.ts'
import { random } from '../shared-memory/random.ts'

/* A worker that creates sessions, reads those of all workers and changes some together with others, until it is killed. */

export const LONG_MS = 3_600_000
export const SHORT_MS = 3000
/** Every third session of a run is a short one. */
export const isShort = (number: number): boolean => number % 3 === 0

const COMMON = 5
const RECENT = 200
const READS = 5
/** A clock may be read a little after the store has read it. */
const SLACK_MS = 50

/** Sessions have three quarters of the memory. */
export function open (memory: SharedMemory) {
  return {
    store: new SessionStore(memory, { size: Math.floor(memory.region.u8.byteLength * 3 / 4) }),
    /** For each life of a worker, how many sessions it has created. */
    runs: new SharedTable(memory, 'runs', { rows: 1000, columns: { created: int() } })
  }
}

export type Shared = ReturnType<typeof open>

export const read = (store: SessionStore, id: string): any => {
  let found: unknown
  store.get(id, (error, session) => {
    if (error) throw error
    found = session
  })
  return found
}

const sessionOf = (id: string, lifeMs: number, filler: string) => ({ cookie: { originalMaxAge: lifeMs, expires: new Date(Date.now() + lifeMs) }, id, owner: `owner of ${id}`, filler })

/** What is wrong with a session that was found under an id. */
export function faultOf (id: string, session: any): string | undefined {
  if (session.id === id && session.owner === `owner of ${id}` && /^x*$/.test(session.filler)) return undefined
  return `${id} answered with ${JSON.stringify(session).slice(0, 200)}`
}

let shared: Shared
let created = 0
let reads = 0
let changes = 0
const faults: string[] = []

const jobs = {
  attach (attachment: Attachment) {
    shared = open(attachMemory(attachment))
  },

  /** `run` names this life of the worker; it creates so many sessions in a second. */
  begin (run: number, seed: number, perSecond: number) {
    const next = random(seed)
    for (const loop of [create(run, next, perSecond), change(run, next)]) loop.catch((error) => faults.push(String(error)))
  },

  report () {
    return { created, reads, changes, faults }
  },

  async set (id: string, session: object): Promise<void> {
    await new Promise<void>((resolve, reject) => shared.store.set(id, session, (error) => error ? reject(error) : resolve()))
  },

  get (id: string) {
    return read(shared.store, id)
  },

  /** Reads a session, and sets it with a property of its own once all that are to have read it have. */
  async overlap (id: string, name: string, readers: number): Promise<void> {
    const session = read(shared.store, id)
    session[name] = process.pid
    shared.runs.incr(`readers of ${id}`, 'created')
    while (shared.runs.get(`readers of ${id}`, 'created')! < readers) await turn()
    await jobs.set(id, session)
  }
}

export type Jobs = typeof jobs

async function create (run: number, next: (limit: number) => number, perSecond: number): Promise<never> {
  const { store, runs } = shared
  const recent: Array<{ number: number, endsMs: number }> = []
  const startedMs = Date.now()
  for (let number = 1; ; number++) {
    const id = `${run}:${number}`
    const lifeMs = isShort(number) ? SHORT_MS : LONG_MS
    store.set(id, sessionOf(id, lifeMs, 'x'.repeat(next(400))))
    runs.set(String(run), { created: number })
    recent[number % RECENT] = { number, endsMs: Date.now() + lifeMs }
    created++
    lookAtOwn(run, recent[next(Math.min(number, RECENT))])
    for (let n = 0; n < READS; n++) lookAtOthers(1 + next(run), next)
    while (number > (Date.now() - startedMs) * perSecond / 1000) await sleep(1)
    if (number % 100 === 0) await turn()
  }
}

function lookAtOwn (run: number, own: { number: number, endsMs: number } | undefined): void {
  if (own === undefined) return
  const id = `${run}:${own.number}`
  const session = read(shared.store, id)
  reads++
  const fault = session === undefined ? undefined : faultOf(id, session)
  if (fault !== undefined) faults.push(fault)
  if (session === undefined && Date.now() < own.endsMs - SLACK_MS) faults.push(`${id} was lost before its time`)
  if (session !== undefined && Date.now() > own.endsMs + SLACK_MS) faults.push(`${id} lives after its time`)
}

function lookAtOthers (run: number, next: (limit: number) => number): void {
  const known = shared.runs.get(String(run), 'created') ?? 0
  if (known === 0) return
  const number = 1 + next(known)
  const id = `${run}:${number}`
  const session = read(shared.store, id)
  reads++
  if (session === undefined && !isShort(number)) faults.push(`${id} was lost before its time`)
  const fault = session === undefined ? undefined : faultOf(id, session)
  if (fault !== undefined) faults.push(fault)
}

/** Each run counts in a property of its own, in sessions that all change: what others set meanwhile takes nothing back. */
async function change (run: number, next: (limit: number) => number): Promise<never> {
  const { store } = shared
  const counts = new Map<string, number>()
  for (;;) {
    const id = `common ${next(COMMON)}`
    const session = read(store, id)
    const mine = counts.get(id) ?? 0
    if ((session[`run ${run}`] ?? 0) !== mine) faults.push(`${id} has ${session[`run ${run}`]} of run ${run}, which set ${mine}`)
    session[`run ${run}`] = mine + 1
    await sleep(next(3))
    store.set(id, session)
    counts.set(id, mine + 1)
    changes++
  }
}

export function createCommon (store: SessionStore): void {
  for (let n = 0; n < COMMON; n++) store.set(`common ${n}`, { cookie: { originalMaxAge: LONG_MS, expires: new Date(Date.now() + LONG_MS) } })
}

answerParent(jobs)
