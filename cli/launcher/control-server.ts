import { chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** A command, one line of JSON; the answers are lines too: any number of `progress`, then one `done` or `error`. */
export type ControlRequest =
  | { command: 'status' }
  | { command: 'reload', clearCache: boolean, clearOpcache: boolean, onlyCache: boolean }
  | { command: 'stop', force: boolean, timeoutMs?: number }

export type ControlAnswer =
  | { progress: string }
  | { done: unknown }
  | { error: { code: string, message: string } }

/** While a command takes long, an empty progress line says so often that the launcher lives. */
const SIGN_MS = 1000

export type ControlHandler = (request: ControlRequest, progress: (line: string) => void) => Promise<unknown>

/** Listens for commands at `path`, for this user only. */
export function listenForCommands (path: string, handle: ControlHandler): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      // A command that is interrupted cuts the conversation; what it asked for goes on.
      converse(socket, handle).catch(() => socket.destroy())
    })
    server.once('error', reject)
    server.listen(path, () => {
      chmodSync(path, 0o600)
      resolve(server)
    })
  })
}

async function converse (socket: Socket, handle: ControlHandler): Promise<void> {
  socket.on('error', () => {})
  const answer = (line: ControlAnswer) => {
    if (socket.writable) socket.write(`${JSON.stringify(line)}\n`)
  }
  for await (const line of createInterface({ input: socket })) {
    const sign = setInterval(() => answer({ progress: '' }), SIGN_MS)
    try {
      answer({ done: await handle(JSON.parse(line), (progress) => answer({ progress })) })
    } catch (error) {
      const { code = 'FST_SWOOLE_FAILED', message } = error as NodeJS.ErrnoException
      answer({ error: { code, message } })
    } finally {
      clearInterval(sign)
    }
  }
  socket.end()
}
