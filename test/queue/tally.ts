export const PRODUCER_SHIFT = 2 ** 32
export const STOP = -1

interface OfProducer {
  count: number
  sum: number
  /** Of products with an odd constant: what is lost for what is doubled shows here too. */
  mixed: number
  last: number
}

/** What a consumer got, in numbers that do not grow with it. */
export class Tally {
  #producers: OfProducer[]
  #disorders = 0

  constructor (producers: number) {
    this.#producers = Array.from({ length: producers }, () => ({ count: 0, sum: 0, mixed: 0, last: -1 }))
  }

  add (item: number): void {
    const n = item % PRODUCER_SHIFT
    const producer = this.#producers[Math.floor(item / PRODUCER_SHIFT)]!
    if (n <= producer.last) this.#disorders++
    producer.last = n
    producer.count++
    producer.sum += n
    producer.mixed = (producer.mixed + Math.imul(n ^ n >>> 15, 0x9e3779b1)) | 0
  }

  result (): { disorders: number, producers: OfProducer[] } {
    return { disorders: this.#disorders, producers: this.#producers }
  }
}

type Result = ReturnType<Tally['result']>

/** What is wrong with what all consumers got of producers that each pushed 0 to `count - 1`. Undefined: nothing. */
export function tallyFault (results: Result[], producers: number, count: number): string | undefined {
  const expected = new Tally(1)
  for (let n = 0; n < count; n++) expected.add(n)
  const wanted = expected.result().producers[0]!
  const disorders = results.reduce((sum, result) => sum + result.disorders, 0)
  if (disorders > 0) return `${disorders} items came before an earlier one of their producer`
  for (let producer = 0; producer < producers; producer++) {
    const got = results.map((result) => result.producers[producer]!)
    const total = (what: (of: OfProducer) => number) => got.reduce((sum, of) => sum + what(of), 0)
    if (total(({ count }) => count) !== count) return `${total(({ count }) => count)} of ${count} items of producer ${producer} came`
    if (total(({ sum }) => sum) !== wanted.sum || (total(({ mixed }) => mixed) | 0) !== wanted.mixed) return `other items than those of producer ${producer} came`
  }
  return undefined
}
