import t from 'tap'
import { recordAndJudge } from './judged.ts'

t.test('what four processes do with atomics at once is linearizable', async t => {
  await recordAndJudge(t, 'atomic', 2000, 1)
})
