import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { NoAnswerError, NotRunningError } from '../plugins/errors.ts'
import type { ControlAnswer, ControlRequest } from './launcher/control-server.ts'
import { controlSocketOf, runningPrimary, sweepRunDirectory } from './launcher/run-directory.ts'

/** How long a launcher that is just starting gets to open its socket, and any launcher to say something. */
const START_MS = 3000
const ANSWER_MS = 10_000

/**
 * Asks the project's launcher. Throws FST_SWOOLE_NOT_RUNNING (after clearing away what a crash left),
 * FST_SWOOLE_NO_ANSWER, or the launcher's own error.
 */
export async function ask (project: string, request: ControlRequest, progress: (line: string) => void, answerMs = ANSWER_MS): Promise<unknown> {
  const path = controlSocketOf(project)
  for (const deadline = Date.now() + START_MS; ;) {
    try {
      return await converse(path, request, progress, answerMs, project)
    } catch (error) {
      if (!['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code!)) throw error
      if (sweepRunDirectory(project)) throw new NotRunningError(project)
      if (Date.now() > deadline) throw noAnswer(project, 'does not take commands')
      await sleep(50)
    }
  }
}

function converse (path: string, request: ControlRequest, progress: (line: string) => void, answerMs: number, project: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path)
    socket.setTimeout(answerMs, () => socket.destroy(noAnswer(project, `gave no sign for ${answerMs / 1000} seconds; "fastify-swoole stop --force" ends it`)))
    socket.on('error', reject)
    socket.on('close', () => reject(noAnswer(project, 'ended before it answered')))
    createInterface({ input: socket }).on('error', () => {}).on('line', (line) => {
      const answer = JSON.parse(line) as ControlAnswer
      if ('progress' in answer) return answer.progress === '' ? undefined : progress(answer.progress)
      if ('error' in answer) reject(Object.assign(new Error(answer.error.message), { code: answer.error.code }))
      else resolve(answer.done)
      socket.end()
    })
    socket.write(`${JSON.stringify(request)}\n`)
  })
}

function noAnswer (project: string, what: string): Error {
  return new NoAnswerError(runningPrimary(project)?.pid ?? 'unknown', what)
}
