/* What an atomic of ours costs above the bare machine instruction that `Atomics` gives. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Uint32Atomic } from '../plugins/atomic/memory.ts'
import { createLauncherMemory } from '../plugins/shared-memory/index.ts'
import type { LauncherMemory } from '../plugins/shared-memory/index.ts'
import { OPERATIONS } from './atomic/loops.ts'
import type { Figures, Order } from './atomic/worker.ts'
import { atExit } from './measure/clean-up.ts'
import { ratio, spread } from './measure/rounds.ts'
import type { Spread } from './measure/rounds.ts'
import { formatSpread, printTable, report } from './measure/report.ts'

const PROCESSES = 6
const ROUNDS = 5
const COUNT = 2_000_000
const TOGETHER_ROUNDS = 10
const OURS_AT_MOST = 1.5
const MEMORY_FD = 4

export async function run (): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  using stack = new DisposableStack()
  stack.defer(remove)
  stack.defer(atExit(remove))
  const launcher = createLauncherMemory({ bytes: 2 ** 22, folder, warn: () => {} })
  const attachment = () => ({ fd: MEMORY_FD, bytes: launcher.bytes, slot: launcher.claim('http', 0, 1), bells: folder })

  const results: Record<string, object> = {}
  const ratios: Record<string, Spread> = {}
  for (const kind of ['launcher', 'local'] as const) {
    const rows = await measureAlone(launcher, () => kind === 'local' ? kind : attachment())
    printTable(`ns per operation, one worker, ${kind} memory: ${PROCESSES} processes × ${ROUNDS} rounds of ${COUNT} operations`,
      ['', 'ours', 'bare, same memory', 'bare, SharedArrayBuffer', 'ours / bare, same memory'],
      rows.map(({ operation, ours, sameMemory, sharedArrayBuffer, ratioPerRound }) => [operation, ...[ours, sameMemory, sharedArrayBuffer, ratioPerRound].map(formatSpread)]))
    results[kind] = rows
    ratios[kind] = rows[0]!.ratioPerRound
  }
  const together = await measureTogether(launcher, attachment)
  printTable(`ns per operation, two processes at once on one counter: ${TOGETHER_ROUNDS} rounds of 2 × ${COUNT} operations`,
    ['', 'ours', 'bare, same memory', 'ours / bare'],
    [['add(1)', formatSpread(together.ours), formatSpread(together.bare), formatSpread(together.ratioPerRound)]])
  launcher.close()
  report({
    name: 'atomic',
    settings: { processes: PROCESSES, rounds: ROUNDS, count: COUNT, togetherRounds: TOGETHER_ROUNDS },
    targets: Object.entries(ratios).map(([kind, { median }]) => ({ what: `add(1) / Atomics.add, ${kind} memory`, measured: median, atMost: OURS_AT_MOST })),
    results: { ...results, together }
  })
}

/** Several processes: what V8 decides to compile, and how, differs from one to the next. */
async function measureAlone (launcher: LauncherMemory, memory: () => Extract<Order, { type: 'alone' }>['memory']) {
  const all: Figures[] = []
  for (let n = 0; n < PROCESSES; n++) {
    await using worker = startWorker(launcher)
    all.push(await worker.obey({ type: 'alone', memory: memory(), rounds: ROUNDS, count: COUNT }) as Figures)
  }
  return OPERATIONS.map((operation) => {
    const figures = (kind: keyof Figures['get()']) => all.flatMap((figures) => figures[operation][kind])
    const [ours, sameMemory, sharedArrayBuffer] = [figures('ours'), figures('sameMemory'), figures('sharedArrayBuffer')]
    return {
      operation,
      ours: spread(ours),
      sameMemory: spread(sameMemory),
      sharedArrayBuffer: spread(sharedArrayBuffer),
      ratioPerRound: ratio(ours, sameMemory),
      rounds: { ours, sameMemory, sharedArrayBuffer }
    }
  })
}

async function measureTogether (launcher: LauncherMemory, attachment: () => Exclude<Extract<Order, { type: 'alone' }>['memory'], 'local'>) {
  await using first = startWorker(launcher)
  await using second = startWorker(launcher)
  const workers = [first, second]
  const counter = new Uint32Atomic(launcher.memory, 'together', 1)
  for (const worker of workers) await worker.obey({ type: 'prepare', memory: attachment(), warmUp: COUNT })
  const before = counter.get()
  const rounds = { ours: [] as number[], bare: [] as number[] }
  for (let round = 0; round < TOGETHER_ROUNDS; round++) {
    for (const variant of ['ours', 'bare'] as const) {
      const startedAt = performance.now()
      await Promise.all(workers.map((worker) => worker.obey({ type: 'together', variant, count: COUNT })))
      rounds[variant].push((performance.now() - startedAt) * 1e6 / (COUNT * workers.length))
    }
  }
  const added = counter.get() - before
  if (added !== TOGETHER_ROUNDS * workers.length * COUNT) throw new Error(`two processes added ${added}: additions were lost`)
  return { ours: spread(rounds.ours), bare: spread(rounds.bare), ratioPerRound: ratio(rounds.ours, rounds.bare), rounds }
}

function startWorker ({ fd }: LauncherMemory) {
  const child: ChildProcess = fork(join(import.meta.dirname, 'atomic', 'worker.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc', fd] })
  const forget = atExit(() => child.kill('SIGKILL'))
  let answered: PromiseWithResolvers<unknown>
  child.on('message', (answer) => answered.resolve(answer))
  const ended = once(child, 'exit').then(([code]) => answered.reject(new Error(`a worker ended with exit code ${code}`)))
  return {
    obey (order: Order): Promise<unknown> {
      answered = Promise.withResolvers()
      child.send(order)
      return answered.promise
    },
    async [Symbol.asyncDispose] () {
      child.kill('SIGKILL')
      await ended
      forget()
    }
  }
}
