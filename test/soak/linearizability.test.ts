import t from 'tap'
import { killAndJudge, recordAndJudge } from '../linearizability/judged.ts'
import type { Structure } from '../linearizability/plans.ts'

const HISTORIES = 10_000
const KILLS = 20
const SEED = Number(process.env['SOAK_SEED'] ?? 1)

const sound: Structure[] = ['atomic', 'table', 'lock', 'spinlock', 'semaphore', 'rwlock', 'queue', 'queueOfBlocks']
for (const [n, structure] of sound.entries()) {
  t.test(`${structure}: ${HISTORIES} histories of four processes are linearizable`, async t => {
    await recordAndJudge(t, structure, HISTORIES, SEED * 100 + n)
  })
}

const surviving: Structure[] = ['table', 'lock', 'semaphore', 'rwlock', 'queue', 'queueOfBlocks']
for (const [n, structure] of surviving.entries()) {
  t.test(`${structure}: ${KILLS} histories in each of which a process is killed are linearizable`, async t => {
    await killAndJudge(t, structure, KILLS, SEED * 100 + 50 + n)
  })
}

for (const [n, structure] of (['lock', 'spinlock', 'semaphore'] as const).entries()) {
  t.test(`${structure}: in ${KILLS} histories whoever takes what a killed process held is told so, once`, async t => {
    await killAndJudge(t, structure, KILLS, SEED * 100 + 80 + n, 'a holder')
  })
}
