import { fileURLToPath } from 'node:url'

const FRAME = /^\s*at .*$/

/**
 * An error as its author needs it: where it is, what it is. A syntax error has the place above its name already, and
 * the source line; any other gets the first frame that is neither Node's nor a package's.
 */
export function describeError (error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Ours says all there is to say.
  if ((error as NodeJS.ErrnoException).code?.startsWith('FST_SWOOLE_')) return error.message
  const lines = (error.stack ?? String(error)).split('\n')
  const firstFrame = lines.findIndex((line) => FRAME.test(line))
  const head = (firstFrame === -1 ? lines : lines.slice(0, firstFrame)).join('\n').trim()
  if (error instanceof SyntaxError && head.includes('\n')) return readable(head)
  const frame = lines.find((line) => FRAME.test(line) && !line.includes('node:') && !line.includes('node_modules'))
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : ''
  return readable(frame === undefined ? head + cause : `${head}${cause}\n${frame}`)
}

function readable (text: string): string {
  return text.replaceAll(/file:\/\/\S+?(?=[\s:)]|$)/g, (url) => {
    try {
      return fileURLToPath(url)
    } catch {
      return url
    }
  })
}
