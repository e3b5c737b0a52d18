import t from 'tap'
import { compare } from './differential.ts'

const INPUTS = 20_000

t.test('of any bytes the front makes the requests that node:http makes of them, or refuses them', { timeout: 120_000 }, async (t) => {
  const faults: string[] = []
  let requests = 0
  for (let seed = 1; seed <= INPUTS && faults.length < 5; seed++) {
    const outcome = await compare(seed)
    requests += outcome.requests
    if (outcome.fault !== undefined) faults.push(outcome.fault)
  }
  t.strictSame(faults, [])
  t.ok(requests > INPUTS / 10, `${requests} requests came to the handler`)
})
