import { Agent } from 'node:http'
import t from 'tap'
import { get } from '../support/load.ts'
import { makeProject, start, swoole } from '../support/project.ts'

const REQUESTS = 20_000
const CLIENTS = 100
const LIMIT = 1000

const app = `
  import rateLimit from '@fastify/rate-limit'
  import swoole from '${swoole}'
  export default async function (fastify) {
    await fastify.register(swoole)
    await fastify.register(rateLimit, { global: false, store: fastify.rateLimiter.Store })
    const worker = async () => fastify.swoole.workerId
    fastify.get('/bucket', { config: { rateLimiter: { maxRequests: ${LIMIT}, window: '1m' } } }, worker)
    fastify.get('/window', { config: { rateLimit: { max: ${LIMIT}, timeWindow: '1m' } } }, worker)
  }`

/** How many of the requests of a hundred clients at once were answered with which status, and by how many workers those that were admitted. */
async function load (port: number, path: string) {
  const statuses = new Map<number, number>()
  const workers = new Set<string>()
  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let n = 0; n < REQUESTS / CLIENTS; n++) {
      const { status, body } = await get(port, path, agent)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (status === 200) workers.add(body)
    }
    agent.destroy()
  }
  const startedAt = Date.now()
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return { admitted: statuses.get(200)!, refused: statuses.get(429)!, workers: workers.size, ms: Date.now() - startedAt }
}

t.test('eight workers with a hundred clients admit what the limit says, whichever of them answers', { timeout: 120_000 }, async t => {
  const folder = makeProject(t, { 'app.ts': app })
  const { port } = await start(t, folder, ['--workers', '8', '--task-workers', '0'])

  const bucket = await load(port, '/bucket')
  const refilled = bucket.ms * LIMIT / 60_000
  t.ok(bucket.admitted >= LIMIT && bucket.admitted <= LIMIT + refilled + 1, `${bucket.admitted} were admitted, ${refilled} refilled`)
  t.equal(bucket.admitted + bucket.refused, REQUESTS)
  t.equal(bucket.workers, 8)

  const window = await load(port, '/window')
  t.equal(window.admitted, LIMIT)
  t.equal(window.refused, REQUESTS - LIMIT)
})
