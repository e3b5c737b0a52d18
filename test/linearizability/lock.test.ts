import t from 'tap'
import { killAndJudge, recordAndJudge } from './judged.ts'

t.test('a mutex that four processes take at once has one holder at a time, and tokens that grow', async t => {
  await recordAndJudge(t, 'lock', 500, 3)
})

t.test('a spinlock, too', async t => {
  await recordAndJudge(t, 'spinlock', 400, 4)
})

t.test('a semaphore of two permits never has three holders', async t => {
  await recordAndJudge(t, 'semaphore', 500, 5)
})

t.test('an rwlock has one writer, or readers', async t => {
  await recordAndJudge(t, 'rwlock', 500, 6)
})

t.test('who takes what a killed process held is told so, once', async t => {
  await killAndJudge(t, 'lock', 4, 7, 'a holder')
  await killAndJudge(t, 'semaphore', 2, 8, 'a holder')
})

t.test('a process killed in the middle of taking, waiting or giving back blocks nobody', async t => {
  await killAndJudge(t, 'lock', 4, 9)
  await killAndJudge(t, 'rwlock', 4, 10)
})
