import { readFileSync, readdirSync } from 'node:fs'

/** A process and its descendants, read from /proc: what they used, and how to end them. Linux only. */
export interface Process {
  pid: number
  parent: number
  /** In clock ticks since boot; with the pid it names one process for good. */
  startTime: string
}

function readProcess (pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The program's name is in parentheses and may hold anything; fields after it are counted from 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z') return undefined
    return { pid, parent: Number(fields[1]), startTime: fields[19]! }
  } catch {
    return undefined
  }
}

/** The process and all its descendants that live; threads count with their process. */
export function processTree (root: number): Process[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((name) => readProcess(Number(name))).filter((found) => found !== undefined)
  const tree = all.filter(({ pid }) => pid === root)
  for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid))
  return tree
}

/**
 * Time that the whole tree has run, user and system, in microseconds: of the threads that live, by the scheduler's own count. The usual one
 * has ticks of 10 ms, in which a second shows what a request costs no better than to 1 %.
 */
export function cpuMicroseconds (root: number): number {
  const sum = processTree(root).flatMap(({ pid }) => threadsOf(pid)).reduce((sum, microseconds) => sum + microseconds, 0)
  if (sum === 0) throw new Error(`Nothing is known of the CPU time of process ${root}: it has ended, or the kernel has no schedstat`)
  return sum
}

function threadsOf (pid: number): number[] {
  const folder = `/proc/${pid}/task`
  return ifThere(() => readdirSync(folder), []).map((thread) => ifThere(() => Number(readFileSync(`${folder}/${thread}/schedstat`, 'latin1').split(' ')[0]) / 1000, 0))
}

/** A process or thread may end between two looks. */
function ifThere<T> (read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}

export interface Memory {
  /** Proportional set: a page shared by n processes counts 1/n. */
  pssMb: number
  /** Pages that no other process has. */
  privateMb: number
}

export function memoryOf (pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const kilobytes = (field: string) => Number(rollup.match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))![1])
  return { pssMb: kilobytes('Pss') / 1024, privateMb: (kilobytes('Private_Clean') + kilobytes('Private_Dirty')) / 1024 }
}

export function isAlive ({ pid, startTime }: Process): boolean {
  return readProcess(pid)?.startTime === startTime
}

/** Ends those of the processes that are still the same. */
export function killAll (processes: Process[]): void {
  for (const process of processes) {
    try {
      if (isAlive(process)) globalThis.process.kill(process.pid, 'SIGKILL')
    } catch {
      // It ended between the look and the signal.
    }
  }
}
