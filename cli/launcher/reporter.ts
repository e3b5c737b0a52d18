import { styleText } from 'node:util'

/** What the launcher tells its user: news on stdout, trouble on stderr, colours only where a terminal shows them. */
export interface Reporter {
  note (line: string): void
  warn (line: string): void
}

export function terminalReporter (): Reporter {
  return {
    note (line) {
      process.stdout.write(`${line}\n`)
    },
    warn (line) {
      process.stderr.write(`${paint('yellow', line, process.stderr)}\n`)
    }
  }
}

export function paint (colour: 'green' | 'yellow' | 'red' | 'bold' | 'dim', text: string, stream: NodeJS.WriteStream): string {
  return styleText(colour, text, { stream, validateStream: true })
}
