import t from 'tap'
import { killAndJudge, recordAndJudge } from './judged.ts'

t.test('what four processes do with the rows of a table at once is linearizable', async t => {
  await recordAndJudge(t, 'table', 2000, 2)
})

t.test('and so it is when one of them is killed in the middle', async t => {
  await killAndJudge(t, 'table', 8, 2)
})
