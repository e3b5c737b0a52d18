#!/usr/bin/env node
// By its default: an older Node has no such export, and is to be told so below.
import nodeModule from 'node:module'

const OLDEST_NODE = [22, 22] as const

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  process.stderr.write(`fastify-swoole needs Node.js ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node}\n`)
  process.exit(1)
}

nodeModule.enableCompileCache()
const { run } = await import('./run.ts')
process.exitCode = await run(process.argv.slice(2))
