import { readFile } from 'node:fs/promises'
import { ConfigUnreadableError } from '../errors.ts'

/**
 * What a YAML or JSON file holds.
 *
 * @throws FST_SWOOLE_CONFIG_UNREADABLE with the line where it is known, and never with the file's text: it may hold passwords
 */
export async function readDocumentFile (file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8')
  return file.endsWith('.json') ? parseJson(text, file) : parseYaml(text, file)
}

function parseJson (text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as SyntaxError
    const line = /\(line (\d+) column \d+\)/.exec(message)?.[1]
    const problem = message.replace(/, (?:\.\.\.)?".*$/s, '').replace(/ in JSON at .*$/s, '')
    throw new ConfigUnreadableError(line === undefined ? file : `${file}:${line}`, `it is not valid JSON: ${problem}`)
  }
}

async function parseYaml (text: string, file: string): Promise<unknown> {
  const { LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })

  // a warning is a tag that nobody resolves, such as !php/const: its text would be taken for the value
  const problem = document.errors[0] ?? document.warnings[0]
  if (problem !== undefined) {
    throw new ConfigUnreadableError(`${file}:${lines.linePos(problem.pos[0]).line}`, `it is not valid YAML: ${problem.message}`)
  }
  try {
    return document.toJS()
  } catch (error) {
    throw new ConfigUnreadableError(file, `it is not valid YAML: ${(error as Error).message}`)
  }
}
