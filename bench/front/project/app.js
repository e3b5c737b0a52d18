/* Answers of several kinds. */
import { Readable } from 'node:stream'

const schema = { response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } } }
const LARGE = 'x'.repeat(100_000)
const PIECE = Buffer.alloc(1000, 'y')

export const options = { logger: false }

export default async function app (fastify) {
  fastify.get('/', { schema }, async () => ({ hello: 'world' }))
  fastify.post('/', { schema }, async (request) => ({ hello: request.body.name }))
  fastify.get('/large', async () => LARGE)
  fastify.get('/stream', async (_request, reply) => reply.type('text/plain').send(Readable.from([PIECE, PIECE, PIECE, PIECE])))
}
