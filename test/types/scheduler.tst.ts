import { expect, test } from 'tstyche'
import type { FastifyInstance } from 'fastify'
import type { JobHandler, JobReport, ScheduleOptions, Scheduler } from '../../plugins/swoole.ts'

declare const fastify: FastifyInstance

test('the scheduler has its types', () => {
  const { scheduler } = fastify
  expect(scheduler).type.toBe<Scheduler>()
  expect(scheduler.schedule('x', ({ name, scheduledFor, signal }) => {
    expect(name).type.toBe<string>()
    expect(scheduledFor).type.toBe<Date>()
    expect(signal).type.toBe<AbortSignal>()
  }, { interval: '5s', immediate: true, scope: 'worker', overlap: 'queue', missed: 'skip' })).type.toBe<void>()
  expect(scheduler.scheduleOnce('x', async () => 5, { delay: 100 })).type.toBe<void>()
  expect(scheduler.unschedule('x')).type.toBe<boolean>()
  expect(scheduler.getScheduledTasks()).type.toBe<string[]>()
  expect(scheduler.inspect()).type.toBe<Promise<JobReport[]>>()
  expect(scheduler.clearAll()).type.toBe<void>()
  expect<(info: { name: string }) => Promise<number>>().type.toBeAssignableTo<JobHandler>()
})

test('what is no schedule does not compile', () => {
  const { scheduler } = fastify
  expect(scheduler.schedule).type.toBeCallableWith('x', () => {}, { cron: '0 3 * * *', timezone: 'Europe/Paris' })
  expect(scheduler.schedule).type.not.toBeCallableWith('x', () => {})
  expect(scheduler.schedule).type.not.toBeCallableWith('x', () => {}, { interval: new Date() })
  expect(scheduler.schedule).type.not.toBeCallableWith('x', () => {}, { interval: 5, overlap: 'both' })
  expect(scheduler.schedule).type.not.toBeCallableWith('x', 'fn', { interval: 5 })
  expect(scheduler.scheduleOnce).type.not.toBeCallableWith('x', () => {}, { interval: 5 })
  expect<{ every: number }>().type.not.toBeAssignableTo<ScheduleOptions>()
})

test('a report has what the application knows of a job', () => {
  expect<JobReport>().type.toBeAssignableTo<{
    name: string
    kind: 'interval' | 'cron' | 'once'
    nextRun: Date | null
    lastRun: Date | null
    lastDurationMs: number | null
    lastError: string | null
    runs: number
    failures: number
    skipped: number
    owner: number | null
  }>()
})
