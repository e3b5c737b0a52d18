import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Store } from '../../plugins/items/index.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { SharedTaskWorker } from '../../plugins/task-worker/memory.ts'
import { MOST_TASKS } from '../../plugins/task-worker/task-type.ts'
import type { TaskInfo, TaskSettings } from '../../plugins/task-worker/memory.ts'
import { MEBIBYTE } from '../shared-memory/world.ts'
import { eventually } from '../support/processes.ts'

interface Failure {
  type: string
  error: unknown
  attempt: number
  isDead: boolean
}

function start (settings: Partial<TaskSettings> = {}, isRunning = true) {
  const failures: Failure[] = []
  const memory = createLocalMemory(64 * MEBIBYTE)
  const tasks = new SharedTaskWorker(memory, {
    role: 'standalone',
    maxQueued: 1000,
    maxPayload: 16 * MEBIBYTE,
    withStack: false,
    onError: (type, error, _task, attempt, isDead) => { failures.push({ type, error, attempt, isDead }) },
    onEnd () {},
    ...settings
  })
  if (isRunning) tasks.start()
  return { memory, tasks, failures }
}

const rejection = async (promise: Promise<unknown>) => await promise.then(() => { throw new Error('it was fulfilled') }, (error: unknown) => error as NodeJS.ErrnoException & { statusCode?: number })

t.test('dispatchSync gives what the handler returns, whatever data that is', async t => {
  const { tasks } = start()
  tasks.registerHandler('echo', (data) => data)
  const values = [undefined, null, false, 0, -0, NaN, '', 'text', 'é…', 5n, [1, [2]], { a: { b: [null] } }, new Date(5), new Map([[1, new Set(['x'])]]), Buffer.from('bytes'), new Float64Array([1, 2])]
  for (const value of values) t.strictSame(await tasks.dispatchSync('echo', value), value)
  const inert = JSON.parse('{ "__proto__": { "isAdmin": true } }')
  const given = await tasks.dispatchSync<Record<string, unknown>>('echo', inert)
  t.equal(given.isAdmin, undefined)
  t.ok(Object.hasOwn(given, '__proto__'))
  t.equal(await tasks.dispatchSync('echo', "require('node:fs').rmSync('/')"), "require('node:fs').rmSync('/')", 'a string is data')
})

t.test('a task may be given as one object, as the original does', async t => {
  const { tasks } = start()
  const seen: unknown[] = []
  tasks.registerHandler('echo', (data) => { seen.push(data); return data })
  t.strictSame(await tasks.dispatchSync({ type: 'echo', data: { n: 1 } }, { timeout: '2s' }), { n: 1 })
  t.match(await tasks.dispatch({ type: 'echo', data: 2 }), /^[0-9a-f-]{36}-[0-9a-z]+$/)
  await eventually('both ran', () => seen.length === 2)
  t.strictSame(seen, [{ n: 1 }, 2])
  for (const wrong of [null, {}, { type: 5 }, 7]) t.match(await rejection(tasks.dispatch(wrong as never)), { code: /FST_SWOOLE_(OPTIONS_INVALID|TASK_UNKNOWN)/ })
})

t.test('a handler is told the id that dispatch gave, and which attempt it is', async t => {
  const { tasks } = start()
  const infos: TaskInfo[] = []
  tasks.registerHandler('flaky', (_data, info) => {
    infos.push(info)
    if (info.attempt < 3) throw new Error('not yet')
  }, { backoff: 1 })
  const id = await tasks.dispatch('flaky')
  await eventually('it succeeds', async () => (await tasks.getStats()).completed === 1)
  t.strictSame(infos.map(({ taskId, attempt }) => [taskId, attempt]), [[id, 1], [id, 2], [id, 3]])
  t.match(await tasks.getStats(), { workers: 1, busy: 0, queued: 0, completed: 1, failed: 0, retried: 2 })
})

t.test('the caller gets the error itself: name, message, code, cause and plain properties, and no stack', async t => {
  const { tasks, failures } = start()
  let runs = 0
  tasks.registerHandler('fail', () => {
    runs++
    throw Object.assign(new RangeError('too far', { cause: new TypeError('of a wrong kind') }), { code: 'E_FAR', statusCode: 418, secret: { token: 1 } })
  })
  const error = await rejection(tasks.dispatchSync('fail'))
  t.match(error, { name: 'RangeError', message: 'too far', code: 'E_FAR', statusCode: 418, cause: { name: 'TypeError', message: 'of a wrong kind' } })
  t.ok(error instanceof Error)
  t.notMatch(error, { secret: {} })
  t.equal(error.stack, 'RangeError: too far', 'nothing of where it was thrown')
  t.equal(runs, 1, 'it is not tried again behind the back of its caller')
  t.strictSame(await tasks.deadLetters('fail'), [])
  await eventually('it is counted', async () => (await tasks.getStats()).failed === 1)
  t.match(await tasks.getStats(), { completed: 0, failed: 1, retried: 0 })
  t.strictSame(failures, [])

  for (const thrown of [undefined, null, 'text', Object.create(null)]) {
    tasks.registerHandler('odd', () => { throw thrown })
    t.ok(await rejection(tasks.dispatchSync('odd')) instanceof Error)
  }
})

t.test('in development the stack comes along', async t => {
  const { tasks } = start({ withStack: true })
  tasks.registerHandler('fail', function thrower () { throw new Error('no') })
  t.match((await rejection(tasks.dispatchSync('fail'))).stack, /thrower/)
})

t.test('a result that is no data is an error that says so', async t => {
  const { tasks } = start()
  tasks.registerHandler('function', () => ({ inner: () => {} }))
  t.match(await rejection(tasks.dispatchSync('function')), { code: 'FST_SWOOLE_VALUE_INVALID', message: /The result of a task is an object in which value\.inner is a function/ })
})

t.test('a task that fails is tried again after its wait, and is a dead letter in the end, which can be retried or cleared', async t => {
  const { tasks, failures } = start()
  let isBroken = true
  const done: unknown[] = []
  tasks.registerHandler('work', (data) => {
    if (isBroken) throw new Error('broken')
    done.push(data)
  }, { attempts: 2, backoff: { initial: 1 } })
  const id = await tasks.dispatch('work', { n: 1 })
  await tasks.dispatch('work', { n: 2 }, { attempts: 1 })
  await eventually('both are dead', async () => (await tasks.getStats()).failed === 2)
  t.strictSame(failures.map(({ attempt, isDead }) => [attempt, isDead]).sort(), [[1, false], [1, true], [2, true]])
  const dead = await tasks.deadLetters('work')
  t.match(dead.find(({ taskId }) => taskId === id), { type: 'work', data: { n: 1 }, error: 'broken', attempts: 2 })
  t.match(dead.find(({ taskId }) => taskId !== id), { data: { n: 2 }, attempts: 1 })
  t.match(await tasks.getStats(), { completed: 0, failed: 2, retried: 1 })
  isBroken = false
  t.equal(await tasks.retryDeadLetters('work'), 2)
  await eventually('both are done', () => done.length === 2)
  t.equal(await tasks.clearDeadLetters('work'), 0)
})

t.test('an attempt that takes too long is aborted, frees its place and is tried again', async t => {
  const { tasks, failures } = start()
  const aborted: unknown[] = []
  tasks.registerHandler('slow', async (data, { signal }) => {
    if (data === 'quick') return 'quick'
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    aborted.push(signal.reason)
    return await new Promise(() => {})
  }, { timeout: 20, attempts: 2, backoff: 1 })
  await tasks.dispatch('slow')
  await eventually('it is dead', async () => (await tasks.getStats()).failed === 1)
  t.match(aborted, [{ code: 'FST_SWOOLE_TASK_TIMEOUT' }, { code: 'FST_SWOOLE_TASK_TIMEOUT' }])
  t.match(failures.map(({ error }) => error), [{ message: 'A task of type "slow" did not end within 20 ms' }, { code: 'FST_SWOOLE_TASK_TIMEOUT' }])
  t.equal(await tasks.dispatchSync('slow', 'quick'), 'quick', 'its only place is free')
  t.match(await rejection(tasks.dispatchSync('slow')), { code: 'FST_SWOOLE_TASK_TIMEOUT', statusCode: 504, message: /did not end within 20 ms/ })
})

t.test('a caller waits for as long as it says; what was not begun by then is not run', async t => {
  const { tasks } = start({}, false)
  const ran: unknown[] = []
  tasks.registerHandler('work', (data) => { ran.push(data); return data })
  t.match(await rejection(tasks.dispatchSync('work', 1, { timeout: 10 })), { code: 'FST_SWOOLE_TASK_TIMEOUT', message: 'A task of type "work" had no result within 10 ms' })
  const aborting = AbortSignal.abort(new Error('never mind'))
  t.match(await rejection(tasks.dispatchSync('work', 2, { signal: aborting })), { message: 'never mind' })
  const controller = new AbortController()
  const waiting = rejection(tasks.dispatchSync('work', 3, { signal: controller.signal }))
  controller.abort(new Error('enough'))
  t.match(await waiting, { message: 'enough' })
  await sleep(20)
  tasks.start()
  t.equal(await tasks.dispatchSync('work', 4), 4)
  t.strictSame(ran, [3, 4], 'one whose caller only gave up is run')
})

t.test('a delayed task is not run before', async t => {
  const { tasks } = start()
  let ranAt = 0
  tasks.registerHandler('later', () => { ranAt = Date.now() })
  const due = Date.now() + 60
  await tasks.dispatch('later', undefined, { delay: '60ms' })
  t.match(await tasks.getStats(), { queued: 1 })
  await eventually('it ran', () => ranAt !== 0)
  t.ok(ranAt >= due)
})

t.test('so many run at once as the handler says, and one type does not wait for another', async t => {
  const { tasks } = start()
  const gate = Promise.withResolvers<void>()
  let running = 0
  let most = 0
  tasks.registerHandler('wide', async () => {
    most = Math.max(most, ++running)
    await gate.promise
    running--
  }, { concurrency: 3 })
  tasks.registerHandler('other', () => 'done')
  for (let n = 0; n < 10; n++) await tasks.dispatch('wide')
  t.equal(await tasks.dispatchSync('other'), 'done')
  await eventually('three run', () => running === 3)
  t.match(await tasks.getStats(), { busy: 3, queued: 7 })
  gate.resolve()
  await eventually('all are done', async () => (await tasks.getStats()).completed === 11)
  t.equal(most, 3)
})

t.test('the last handler that is registered counts', async t => {
  const { tasks } = start()
  tasks.registerHandler('work', () => 'old')
  t.equal(await tasks.dispatchSync('work'), 'old')
  tasks.registerHandler('work', () => 'new', { concurrency: 4 })
  t.equal(await tasks.dispatchSync('work'), 'new')
})

t.test('a full queue says so at once, with what is in it', async t => {
  const { tasks } = start({ maxQueued: 2 }, false)
  tasks.registerHandler('work', () => {})
  await tasks.dispatch('work')
  await tasks.dispatch('work')
  t.match(await rejection(tasks.dispatch('work')), { code: 'FST_SWOOLE_TASK_QUEUE_FULL', statusCode: 503, message: /^The queue of tasks of type "work" is full: 2 of 2 wait, with \d+ of \d+ bytes$/ })
  t.match(await rejection(tasks.dispatchSync('work')), { code: 'FST_SWOOLE_TASK_QUEUE_FULL' })
  t.match(await tasks.getStats(), { queued: 2 })
})

t.test('data of 16 MB is kept, more is refused with its size', async t => {
  const { tasks } = start()
  tasks.registerHandler('size', (data) => (data as Buffer).byteLength)
  const almost = 16 * MEBIBYTE - 1024
  t.equal(await tasks.dispatchSync('size', Buffer.alloc(almost), { timeout: '30s' }), almost)
  t.match(await rejection(tasks.dispatch('size', Buffer.alloc(16 * MEBIBYTE + 1))), { code: 'FST_SWOOLE_VALUE_TOO_LONG', statusCode: 413, message: /The data of a task of type "size" has 16777\d+ bytes, the most it can have is 16777216/ })
})

t.test('what is wrong is refused with what, its value and what to do', async t => {
  const { tasks } = start()
  tasks.registerHandler('work', () => {})
  tasks.registerHandler('mail', () => {})
  t.match(await rejection(tasks.dispatch('wrok')), { code: 'FST_SWOOLE_TASK_UNKNOWN', message: 'There is no handler for tasks of type "wrok": register one with registerHandler() in code that all workers load; there are work, mail' })
  t.match(await rejection(tasks.dispatchSync('__proto__')), { code: 'FST_SWOOLE_TASK_UNKNOWN' })
  t.match(await rejection(tasks.dispatch('work', () => {})), { code: 'FST_SWOOLE_VALUE_INVALID', message: /The data of a task of type "work" is an object in which data is a function/ })
  const throwing: Array<[() => void, RegExp]> = [
    [() => tasks.registerHandler('x', 5 as never), /The handler of tasks of type "x" is 5, but must be a function/],
    [() => tasks.registerHandler('x', () => {}, { attempts: 0 }), /registerHandler\("x"\)\.attempts is 0, but must be an integer from 1/],
    [() => tasks.registerHandler('x', () => {}, { timeout: 'soon' }), /registerHandler\("x"\)\.timeout is "soon", but must be a duration/],
    [() => tasks.registerHandler('x', () => {}, { concurrency: 1.5 }), /registerHandler\("x"\)\.concurrency is 1\.5/],
    [() => tasks.registerHandler('x', () => {}, { backoff: { factor: 0 } }), /registerHandler\("x"\)\.backoff\.factor is 0/],
    [() => tasks.registerHandler('x', () => {}, { retries: 3 } as never), /registerHandler\("x"\)\.retries is no option: there are attempts, timeout, concurrency, backoff/],
    [() => tasks.registerHandler('', () => {}), /The name of .* is "", but must be/]
  ]
  for (const [act, message] of throwing) t.throws(act, { message })
  const rejecting: Array<[Promise<unknown>, RegExp]> = [
    [tasks.dispatch('work', 1, { delay: -1 }), /dispatch\("work"\)\.delay is -1/],
    [tasks.dispatch('work', 1, { timeout: 5 } as never), /dispatch\("work"\)\.timeout is no option: there are attempts, delay/],
    [tasks.dispatchSync('work', 1, { timeout: 0 }), /dispatchSync\("work"\)\.timeout is 0/],
    [tasks.dispatchSync('work', 1, { signal: {} as never }), /dispatchSync\("work"\)\.signal is \{\}, but must be an AbortSignal/]
  ]
  for (const [promise, message] of rejecting) t.match(await rejection(promise), { code: 'FST_SWOOLE_OPTIONS_INVALID', message })
})

t.test('a caller is not given the end of an attempt that was put back, but that of the one that counts', async t => {
  const { tasks } = start()
  let runs = 0
  tasks.registerHandler('work', async (_data, { signal }) => {
    if (++runs > 1) return 'whole'
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    return 'half done'
  })
  const answer = tasks.dispatchSync('work', undefined, { timeout: '20s' })
  await eventually('it runs', () => runs === 1)
  t.equal(await tasks.stop(10), 1)
  tasks.start()
  t.equal(await answer, 'whole')
})

t.test('an answer that comes too late leaves nothing in the memory', async t => {
  const { tasks } = start()
  let ended = 0
  tasks.registerHandler('late', async () => {
    await sleep(100)
    ended++
    return Buffer.alloc(4 * MEBIBYTE)
  }, { concurrency: 15 })
  await Promise.all(Array.from({ length: 15 }, () => rejection(tasks.dispatchSync('late', undefined, { timeout: 50 }))))
  const controller = new AbortController()
  const aborted = rejection(tasks.dispatchSync('late', undefined, { signal: controller.signal }))
  controller.abort(new Error('enough'))
  await aborted
  await eventually('all have ended', () => ended === 16)
  t.ok(await tasks.dispatch('late', Buffer.alloc(8 * MEBIBYTE)))
  await eventually('it is done', () => ended === 17)
})

t.test('a dead letter of a call is run when it is retried, though nobody waits', async t => {
  const { memory, tasks } = start({}, false)
  let runs = 0
  tasks.registerHandler('work', () => { runs++ })
  const answer = rejection(tasks.dispatchSync('work', undefined, { timeout: 1500 }))
  // As whoever finds it buries it.
  const store = new Store(memory, 'work', { capacity: MOST_TASKS, maxBytes: memory.region.bytes / 2, maxAttempts: 3, visibilityMs: 0 }, () => {}, 'tasks')
  store.fail(store.take()!, 'its worker died, say', undefined)
  t.match(await answer, { code: 'FST_SWOOLE_TASK_WORKER_DIED' })
  await sleep(600)
  t.equal(await tasks.retryDeadLetters('work'), 1)
  tasks.start()
  await eventually('it ran', () => runs === 1)
  await eventually('it is done', async () => (await tasks.getStats()).completed === 1)
})

t.test('an error that cannot be told, or is very long, is told shortly, and its handler has run once', async t => {
  const { tasks } = start()
  let runs = 0
  const thrown: Record<string, () => unknown> = {
    keys: () => new Proxy(new Error('x'), { ownKeys () { throw new Error('trap') } }),
    prototype: () => new Proxy({}, { getPrototypeOf () { throw new Error('trap') } }),
    long: () => Object.assign(new Error('x'.repeat(70 * MEBIBYTE)), { detail: 'y'.repeat(70 * MEBIBYTE) })
  }
  tasks.registerHandler<string>('fail', (which) => { runs++; throw thrown[which]!() })
  t.match(await rejection(tasks.dispatchSync('fail', 'keys')), { message: 'it cannot be told' })
  t.match(await rejection(tasks.dispatchSync('fail', 'prototype')), { message: 'it cannot be told' })
  t.equal((await rejection(tasks.dispatchSync('fail', 'long', { timeout: '20s' }))).message.length, 16_384)
  t.equal(runs, 3)
})

t.test('a call that was not begun in time is told so, whoever looks first', async t => {
  const { tasks } = start()
  tasks.registerHandler('block', (data) => {
    for (const until = Date.now() + (data === 'block' ? 1300 : 0); Date.now() < until;);
  })
  const blocked = tasks.dispatchSync('block', 'block', { timeout: '20s' })
  t.match(await rejection(tasks.dispatchSync('block', 'x', { timeout: 1100 })), { code: 'FST_SWOOLE_TASK_TIMEOUT' })
  await blocked
})

t.test('stopping waits for the tasks of a handler that was replaced, too', async t => {
  const { tasks } = start()
  const gate = Promise.withResolvers<void>()
  let isRunning = false
  tasks.registerHandler('work', async () => { isRunning = true; await gate.promise })
  await tasks.dispatch('work')
  await eventually('it runs', () => isRunning)
  tasks.registerHandler('work', () => {})
  let isStopped = false
  const stopped = tasks.stop(20_000).finally(() => { isStopped = true })
  await sleep(20)
  t.equal(isStopped, false)
  gate.resolve()
  t.equal(await stopped, 0)
})

t.test('two applications in one process get each their own answers', async t => {
  const memory = createLocalMemory(64 * MEBIBYTE)
  const open = (own: SharedMemory, factor: number) => {
    const tasks = new SharedTaskWorker(own, { role: 'standalone', maxQueued: 1000, maxPayload: MEBIBYTE, withStack: false, onError () {}, onEnd () {} })
    tasks.registerHandler<number, number>(`times ${factor}`, async (n) => { await sleep(n % 3); return n * factor }, { concurrency: 10 })
    tasks.start()
    return async () => await Promise.all(Array.from({ length: 50 }, (_, n) => tasks.dispatchSync(`times ${factor}`, n)))
  }
  const [one, other] = [open(memory.forApplication(), 2), open(memory.forApplication(), 3)]
  const answers = await Promise.all([one(), other()])
  t.strictSame(answers, [2, 3].map((factor) => Array.from({ length: 50 }, (_, n) => n * factor)))
})

t.test('closing tells who waits, and who comes later', async t => {
  const { memory, tasks } = start({}, false)
  tasks.registerHandler('work', () => {})
  const waiting = rejection(tasks.dispatchSync('work'))
  await Promise.resolve()
  memory.close()
  t.match(await waiting, { code: 'FST_SWOOLE_CLOSED' })
  t.match(await rejection(tasks.dispatch('work')), { code: 'FST_SWOOLE_CLOSED' })
  t.throws(() => tasks.registerHandler('work', () => {}), { code: 'FST_SWOOLE_CLOSED' })
})

t.test('stopping waits for tasks that run, up to a limit; what is left is told, and run again without a lost attempt', async t => {
  const { tasks } = start()
  const attempts: number[] = []
  let reason: unknown
  tasks.registerHandler('work', async (_data, { attempt, signal }) => {
    attempts.push(attempt)
    if (attempts.length > 1) return
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    reason = signal.reason
  })
  await tasks.dispatch('work')
  await eventually('it runs', () => attempts.length === 1)
  t.equal(await tasks.stop(10), 1)
  t.match(reason, { code: 'FST_SWOOLE_CLOSED' })
  t.match(await tasks.getStats(), { busy: 0, queued: 1 })
  tasks.start()
  await eventually('it is done', async () => (await tasks.getStats()).completed === 1)
  t.strictSame(attempts, [1, 1])
})
