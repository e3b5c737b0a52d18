/*
 * A worker process. It waits for the primary's `start`, loads the application and serves. What it can load before it
 * knows the application, it loads meanwhile.
 */
import cluster from 'node:cluster'
import { createRequire } from 'node:module'
import type { FromWorker, StartMessage, ToWorker } from '../launcher/messages.ts'
import { describeError } from './describe-error.ts'
import { ServingWorker } from './serving-worker.ts'

const [, , app] = process.argv as [string, string, string]
let worker: ServingWorker | undefined

export type Send = (message: FromWorker) => void

const send: Send = (message) => {
  // The channel is gone when the primary is; `disconnect` tells of that.
  if (process.connected) process.send!(message, undefined, {}, () => {})
}

process.on('message', (message: ToWorker, handle: unknown) => {
  if (message.type === 'start') start(message)
  else worker?.hear(message, handle)
})

// node:cluster ends a worker whose primary is gone at once, with its requests unanswered.
cluster.worker!.exitedAfterDisconnect = true
process.on('disconnect', () => {
  if (worker === undefined) process.exit(1)
  worker.leave('the launcher is gone')
})

// A terminal's Ctrl+C reaches every process of the group; the primary says what is to be done.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.on('SIGUSR2', () => {})
process.on('SIGTERM', () => send({ type: 'recycle', reason: 'it got SIGTERM' }))

try {
  createRequire(app)('fastify')
} catch {
  // Said with the way to mend it when the application is loaded.
}

async function start (message: StartMessage): Promise<void> {
  try {
    worker = new ServingWorker(message, send)
    await worker.start()
  } catch (error) {
    fail(error)
  }
}

function fail (error: unknown): void {
  if (!process.connected) process.exit(1)
  process.send!({ type: 'failed', error: describeError(error) } satisfies FromWorker, undefined, {}, () => process.exit(1))
}

process.on('uncaughtExceptionMonitor', (error) => {
  if (worker?.isReady === true) return
  send({ type: 'failed', error: describeError(error) })
})
