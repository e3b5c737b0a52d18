import { SharedQueue } from '../../../plugins/queue/memory.ts'
import { measureInTurn, times } from '../../measure/loops.ts'
import type { Rounds, Samples } from '../../measure/loops.ts'
import { makeRegion } from '../../measure/region.ts'
import { makeKeys, makeMaps, mapLoop, text } from '../rows.ts'

export const ITEMS = {
  'a number': { value: 'n', read: 'item' },
  '100 characters': { value: 'texts[n % 64]', read: 'item.length' },
  '{ code, at }': { value: '{ code: n, at: n + 0.5 }', read: 'item.code' }
}
export type ItemKind = keyof typeof ITEMS
export type QueueSamples = Record<ItemKind | 'Map.get', number[]>

export interface QueueOptions extends Rounds {
  folder: string
  operations: number
  /** Of the Map beside it. */
  keys: number
}

/** An item pushed and popped by one worker, without waiting, and `Map.get` of one number. */
export async function measureQueue ({ folder, operations, keys: count, ...rounds }: QueueOptions): Promise<QueueSamples> {
  const { launcher: { memory } } = makeRegion(folder, 2 ** 24)
  const texts = Array.from({ length: 64 }, (_, n) => text(n, 100))
  const keys = makeKeys(count)
  const pushPop = Object.entries(ITEMS).map(([name, { value, read }]) => {
    const queue = new SharedQueue(memory, name)
    return { name, loop: times(operations, read, { queue, texts }, `await queue.push(${value}); const item = await queue.pop();`), passes: 1 }
  })
  const mapGet = { name: 'Map.get', loop: mapLoop('get a number', makeMaps(keys), keys), passes: Math.ceil(operations / count) }
  return await measureInTurn([mapGet, ...pushPop], rounds) as Samples as QueueSamples
}
