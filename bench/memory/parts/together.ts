/* Two workers that do the same on the same table at once, beside one that does it alone. */
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { formatSpread, printTable } from '../../measure/report.ts'
import { alternate, ratio, spread } from '../../measure/rounds.ts'
import { SHARED_STORES, TOGETHER_OPERATIONS } from '../jobs/together.ts'
import type { Sums, TogetherOperation } from '../jobs/together.ts'
import type { Samples } from '../../measure/loops.ts'
import { summarised } from '../../measure/part.ts'
import type { Folders, Part } from '../../measure/part.ts'
import { makeRegion } from '../../measure/region.ts'
import { regionBytesFor } from '../rows.ts'
import { startAttached } from '../workers.ts'
import type { Worker } from '../workers.ts'

const SETTINGS = { keys: 10_000, fill: 0.5, lmdbKeys: 2000, warmUps: 2, rounds: 10, passes: { table: 20, lmdb: 2 } }

interface Variant {
  operation: TogetherOperation
  workers: 1 | 2
}

export async function compareTogether ({ folder, inMemory }: Folders): Promise<Part> {
  const { keys, fill, lmdbKeys, warmUps, rounds, passes } = SETTINGS
  const { launcher, bells } = makeRegion(folder, regionBytesFor(keys, fill))
  await using first = await startAttached(launcher, bells, 0)
  await using second = await startAttached(launcher, bells, 1)
  const workers = [first, second]
  const lmdbFolder = mkdtempSync(join(inMemory, 'together-'))
  for (const worker of workers) await worker.call('prepareTogether', { keys, fill, lmdbFolder, lmdbKeys })

  const operations = SHARED_STORES.flatMap((store) => TOGETHER_OPERATIONS.map((operation) => `${store}, ${operation}` as const))
  const variants = operations.flatMap((operation): Variant[] => [{ operation, workers: 1 }, { operation, workers: 2 }])
  const measured = await alternate(variants, warmUps + rounds, async ({ operation, workers: count }) => {
    const times = await Promise.all(workers.slice(0, count).map((worker) => worker.call('together', operation, passes[operation.startsWith('table') ? 'table' : 'lmdb'])))
    return times.reduce((sum, time) => sum + time, 0) / count
  })
  await requireExact(workers)
  launcher.close()

  const samples: Samples = Object.fromEntries(variants.map((variant) => [`${variant.operation}, ${variant.workers} at once`, measured.get(variant)!.slice(warmUps)]))
  const of = (operation: TogetherOperation, workers: 1 | 2) => samples[`${operation}, ${workers} at once`]!
  printTable(`ns per operation of a worker, ${keys} keys, 50 % full (lmdb: ${lmdbKeys} keys): ${rounds} rounds; all additions were counted`,
    ['', 'one worker', 'two at once', 'two / one', 'lmdb / table, two at once'],
    operations.map((operation) => [
      operation,
      ...[spread(of(operation, 1)), spread(of(operation, 2)), ratio(of(operation, 2), of(operation, 1))].map(formatSpread),
      operation.startsWith('lmdb') ? formatSpread(ratio(of(operation, 2), of(operation.replace('lmdb', 'table') as TogetherOperation, 2))) : ''
    ]))
  return { settings: SETTINGS, targets: [], results: summarised(samples) }
}

/** Every key began with its own place as number. */
async function requireExact (workers: Worker[]): Promise<void> {
  const all: Sums[] = []
  for (const worker of workers) all.push(await worker.call('sums'))
  const keys = { table: SETTINGS.keys, lmdb: SETTINGS.lmdbKeys }
  for (const store of SHARED_STORES) {
    const expected = all.reduce((sum, sums) => sum + sums[store].added, keys[store] * (keys[store] - 1) / 2)
    for (const sums of all) {
      if (sums[store].sum !== expected) throw new Error(`two processes added to ${store}: the sum is ${sums[store].sum} instead of ${expected}`)
    }
  }
}
