import { writeSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import { FrontServer } from '../../plugins/front/server.ts'

/* Loaded before somebody else's test: puts the front before each server of node:http that it makes, and says how many. */
let servers = 0

for (const [module, event] of [[http, 'connection'], [https, 'secureConnection']] as const) {
  const { createServer } = module
  module.createServer = ((...given: never[]) => {
    const server = (createServer as (...given: never[]) => http.Server)(...given)
    servers++
    return new FrontServer(server, event).server
  }) as never
}
syncBuiltinESMExports()

process.on('exit', () => writeSync(1, `# servers with the front: ${servers}\n`))
