/* A lock that two processes always want, so each acquisition is a hand-over; and a message there and back. */
import { formatSpread, printTable } from '../../measure/report.ts'
import { alternate, ratio, spread } from '../../measure/rounds.ts'
import { HandOverWord, UNCOUNTED_HAND_OVERS, handOverWords } from '../jobs/lock.ts'
import type { AskAgain } from '../jobs/lock.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { makeRegion } from '../../measure/region.ts'
import { startAttached } from '../workers.ts'
import type { Worker } from '../workers.ts'

// A hand-over of the second kind can take a whole turn of the scheduler, some milliseconds.
const SETTINGS = { handOvers: { 'in line': 5000, released: 500 }, roundTrips: 3000, warmUps: 2, rounds: 10 }
const ROUND_TRIPS_AT_MOST = 1

const WAYS: AskAgain[] = ['in line', 'released']
const WAY_TEXTS: Record<AskAgain, string> = { 'in line': 'asks again, then gives back', released: 'gives back, then asks again' }

export async function compareHandOver ({ folder }: Folders): Promise<Part> {
  const { warmUps, rounds } = SETTINGS
  const { launcher, bells } = makeRegion(folder, 2 ** 22)
  await using first = await startAttached(launcher, bells, 0)
  await using second = await startAttached(launcher, bells, 1)
  const words = handOverWords(launcher.memory)
  const acquisitions: Record<AskAgain, number[]> = { 'in line': [], released: [] }
  const measured = await alternate([...WAYS, 'round trip'] as const satisfies string[], warmUps + rounds, async (variant) => {
    if (variant === 'round trip') return nanosecondsPerRoundTrip(first)
    const { nanoseconds, perHandOver } = await handOverBetween([first, second], words, variant)
    acquisitions[variant].push(perHandOver)
    return nanoseconds
  })
  launcher.close()
  const of = (variant: AskAgain | 'round trip') => measured.get(variant)!.slice(warmUps)
  const perHandOver = (way: AskAgain) => spread(acquisitions[way].slice(warmUps))
  printTable(`ns per hand-over of a lock between two processes that always want it: ${rounds} rounds`,
    ['', 'ns', '/ process.send and back', 'acquisitions per hand-over'],
    [
      ['process.send and back', formatSpread(spread(of('round trip'))), '', ''],
      ...WAYS.map((way) => [WAY_TEXTS[way], ...[spread(of(way)), ratio(of(way), of('round trip')), perHandOver(way)].map(formatSpread)])
    ])
  return {
    settings: SETTINGS,
    targets: [{ what: 'a lock handed over / process.send and back', measured: ratio(of('in line'), of('round trip')).median, atMost: ROUND_TRIPS_AT_MOST }],
    results: {
      ...summarised(Object.fromEntries([...WAYS, 'round trip' as const].map((variant) => [variant, of(variant)]))),
      acquisitionsPerHandOver: Object.fromEntries(WAYS.map((way) => [way, perHandOver(way)]))
    }
  }
}

/** More than one acquisition per hand-over: a worker got the lock again before the other did. */
async function handOverBetween (workers: Worker[], words: Int32Array, askAgain: AskAgain): Promise<{ nanoseconds: number, perHandOver: number }> {
  Atomics.store(words, HandOverWord.HOLDER, 0)
  Atomics.store(words, HandOverWord.CHANGES, 0)
  const handOvers = SETTINGS.handOvers[askAgain]
  const seen = await Promise.all(workers.map((worker) => worker.call('handOver', handOvers, askAgain)))
  const changes = Atomics.load(words, HandOverWord.CHANGES)
  if (changes < UNCOUNTED_HAND_OVERS + handOvers) throw new Error(`the lock changed hands ${changes} times only`)
  const startedAtNs = seen.find((each) => each.startedAtNs !== undefined)!.startedAtNs!
  const endedAtNs = seen.find((each) => each.endedAtNs !== undefined)!.endedAtNs!
  return { nanoseconds: (endedAtNs - startedAtNs) / handOvers, perHandOver: seen.reduce((sum, each) => sum + each.acquisitions, 0) / handOvers }
}

async function nanosecondsPerRoundTrip (worker: Worker): Promise<number> {
  const startedAt = process.hrtime.bigint()
  for (let n = 0; n < SETTINGS.roundTrips; n++) await worker.echo(n)
  return Number(process.hrtime.bigint() - startedAt) / SETTINGS.roundTrips
}
