const schema = { response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } } }

export const options = { logger: false }

export default async function app (fastify, _options) {
  fastify.get('/', { schema }, async () => ({ hello: 'world' }))
}
