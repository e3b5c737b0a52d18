import t from 'tap'
import { compare } from '../front/differential.ts'

const INPUTS = 5_000_000
/** Other inputs than those of `npm test`. */
const FIRST = 1_000_000

t.test('of millions of inputs the front makes the requests that node:http makes of them, or refuses them', { timeout: 3_600_000 }, async (t) => {
  const faults: string[] = []
  let requests = 0
  for (let seed = FIRST; seed < FIRST + INPUTS && faults.length < 5; seed++) {
    const outcome = await compare(seed)
    requests += outcome.requests
    if (outcome.fault !== undefined) faults.push(outcome.fault)
  }
  t.strictSame(faults, [])
  t.comment(`${INPUTS} inputs, ${requests} requests`)
})
