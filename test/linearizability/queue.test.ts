import t from 'tap'
import { killAndJudge, recordAndJudge } from './judged.ts'

t.test('a queue of numbers that four processes push to and pop from at once is first in, first out', async t => {
  await recordAndJudge(t, 'queue', 600, 7)
})

t.test('a queue of strings, bytes and objects, large ones too, is so as well', async t => {
  await recordAndJudge(t, 'queueOfBlocks', 600, 8)
})

t.test('and so they are when a process is killed in the middle', async t => {
  await killAndJudge(t, 'queue', 3, 9)
  await killAndJudge(t, 'queueOfBlocks', 5, 10)
})
