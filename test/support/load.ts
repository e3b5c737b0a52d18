import { Agent, request } from 'node:http'

export interface Answer {
  startedAt: number
  status: number
  body: string
}

export interface Load {
  answers: Answer[]
  failures: Array<{ startedAt: number, error: string }>
  /** Sends no further request, and settles when those under way have ended. */
  stop (): Promise<void>
}

const HANG_MS = 20_000
/** A load that nobody stops ends by itself: a test that hangs must not fill the memory. */
const LONGEST_LOAD_MS = 60_000

/**
 * Clients that ask for `path` one request after another, over connections that stay open or over a new one each time.
 * An error, a cut connection, and no answer for 20 seconds are failures; nothing is asked twice.
 */
export function startLoad (port: number, { clients, keepAlive, path = '/' }: { clients: number, keepAlive: boolean, path?: string }): Load {
  const answers: Answer[] = []
  const failures: Load['failures'] = []
  const until = { time: performance.now() + LONGEST_LOAD_MS }

  const client = async () => {
    const agent = new Agent({ keepAlive, maxSockets: 1 })
    while (performance.now() < until.time) {
      const startedAt = performance.now()
      try {
        const { status, body } = await get(port, path, agent)
        answers.push({ startedAt, status, body })
      } catch (error) {
        failures.push({ startedAt, error: (error as NodeJS.ErrnoException).code ?? (error as Error).message })
      }
    }
    agent.destroy()
  }
  const running = Promise.all(Array.from({ length: clients }, client))
  return {
    answers,
    failures,
    async stop () {
      until.time = 0
      await running
    }
  }
}

export function get (port: number, path = '/', agent?: Agent): Promise<{ status: number, body: string, headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, path, host: '127.0.0.1', ...(agent ? { agent } : { agent: false }) }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (part) => { body += part })
      response.on('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }))
      response.on('error', reject)
    })
    outgoing.setTimeout(HANG_MS, () => outgoing.destroy(new Error('hung')))
    outgoing.on('error', reject)
    outgoing.end()
  })
}
