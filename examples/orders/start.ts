/* npm run example -- postgresql | mysql | redis [options of "fastify-swoole start"] */
import { join } from 'node:path'
import { run } from '../../cli/run.ts'

const [store = 'postgresql', ...options] = process.argv.slice(2)
process.env.STORE = store
process.exitCode = await run(['start', join(import.meta.dirname, 'server.ts'), ...options])
