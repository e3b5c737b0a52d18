import t from 'tap'
import { weatherStorm } from './storm.ts'
import { KINDS, failOnUncaught } from './subjects.ts'

t.jobs = KINDS.length
failOnUncaught(t)

for (const [n, kind] of KINDS.entries()) {
  t.test(`${kind}: while connections are stalled, cut, corrupted and killed at random, each caller has its own answer or an error, and what is done is done once`, { buffered: true, timeout: 60_000 }, async t => {
    await weatherStorm(t, { kind, seed: n + 1, ms: 8000, callers: 12 })
  })
}
