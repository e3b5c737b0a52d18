import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process id and when that process started: the id alone may be another program's by now. */
export interface ProcessIdentity {
  pid: number
  startTime: string
}

/** When the process started, in whatever form the system has it; '' when there is no such process. */
export function startTimeOf (pid: number): string {
  try {
    if (process.platform !== 'linux') return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses and may hold anything; the start time is the 22nd.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

export function isSameProcess ({ pid, startTime }: ProcessIdentity): boolean {
  return Number.isInteger(pid) && pid > 0 && startTime !== '' && startTimeOf(pid) === startTime
}
