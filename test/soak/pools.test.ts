import t from 'tap'
import { weatherStorm } from '../pools/storm.ts'
import { KINDS, failOnUncaught } from '../pools/subjects.ts'

failOnUncaught(t)

for (const kind of KINDS) {
  for (let seed = 1; seed <= 6; seed++) {
    t.test(`${kind}: faults at random for a minute: each caller has its own answer or an error, and what is done is done once (seed ${seed})`, { timeout: 180_000 }, async t => {
      await weatherStorm(t, { kind, seed: seed * 1000, ms: 60_000, callers: 24 })
    })
  }
}
