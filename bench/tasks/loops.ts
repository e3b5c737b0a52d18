export const TASK = 'echo'

export interface Load {
  payload: 'small' | '64 kB'
  tasks: number
  atOnce: number
}

export interface Sample {
  tasksPerSecond: number
  /** Microseconds of a round trip. */
  p50: number
  p99: number
}

export const PAYLOADS = { small: { id: 7, name: 'resize', sizes: [100, 200] }, '64 kB': { id: 7, text: 'x'.repeat(65_536) } }

/** So many round trips, some at once. */
export async function measure (call: (data: object) => Promise<unknown>, { payload, tasks, atOnce }: Load): Promise<Sample> {
  const data = PAYLOADS[payload]
  const times = new Float64Array(tasks)
  let next = 0
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < tasks) {
      const n = next++
      const before = performance.now()
      const answer = await call(data) as { id: number }
      times[n] = performance.now() - before
      if (answer.id !== data.id) throw new Error('a task gave another answer than it was given')
    }
  }))
  const seconds = (performance.now() - startedAt) / 1000
  times.sort()
  const at = (part: number) => times[Math.floor(tasks * part)]! * 1000
  return { tasksPerSecond: tasks / seconds, p50: at(0.5), p99: at(0.99) }
}
