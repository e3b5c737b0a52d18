import { setTimeout as sleep } from 'node:timers/promises'
import { NoAnswerError } from '../../plugins/errors.ts'
import { parseDuration } from '../../plugins/options/index.ts'
import { findProject, readArguments } from '../arguments.ts'
import { ask } from '../control-client.ts'
import { isSameProcess } from '../launcher/process-identity.ts'
import type { ProcessIdentity } from '../launcher/process-identity.ts'
import { runningPrimary, sweepRunDirectory } from '../launcher/run-directory.ts'
import { printProgress } from '../progress.ts'

/** How long the primary may take to be gone after its workers are. */
const END_MS = 10_000

export async function execute (args: string[]): Promise<number> {
  const { values } = readArguments(args, { force: { type: 'boolean', short: 'f' }, timeout: { type: 'string', short: 't' } } as const)
  const project = findProject(values.project)
  const force = values.force === true
  const timeoutMs = values.timeout === undefined ? undefined : parseDuration(/^\d+$/.test(values.timeout) ? Number(values.timeout) : values.timeout, '--timeout')
  const primary = runningPrimary(project)
  try {
    await ask(project, { command: 'stop', force, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, printProgress)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (!force || code !== 'FST_SWOOLE_NO_ANSWER' || primary === undefined) throw error
    if (isSameProcess(primary)) process.kill(primary.pid, 'SIGKILL')
  }
  if (primary !== undefined) await ended(primary)
  sweepRunDirectory(project)
  process.stdout.write('stopped\n')
  return 0
}

async function ended (primary: ProcessIdentity): Promise<void> {
  for (const deadline = Date.now() + END_MS; isSameProcess(primary); await sleep(20)) {
    if (Date.now() > deadline) throw new NoAnswerError(primary.pid, 'has not ended')
  }
}
