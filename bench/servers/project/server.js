/* The application for what takes no plugin: bare Node, node:cluster, PM2. Watt calls `create` itself. */
import fastify from 'fastify'
import app, { options } from './app.js'

export async function create () {
  const server = fastify(options)
  await server.register(app)
  return server
}

if (globalThis.platformatic === undefined) {
  const server = await create()
  await server.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
  process.once('SIGINT', async () => {
    await server.close()
    process.exit(0)
  })
}
