import t from 'tap'
import { readFileSync } from 'node:fs'
import * as errors from '../../plugins/errors.ts'

const documentation = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

t.test('every error is documented with its code and HTTP status', async (t) => {
  for (const [name, Constructor] of Object.entries(errors)) {
    const { code, statusCode } = new Constructor()
    t.match(code, /^FST_SWOOLE_[A-Z_]+$/, name)
    t.match(documentation, `| \`${code}\` | ${statusCode} |`, `${code} with status ${statusCode}`)
  }
})

t.test('no error is documented that is none', async (t) => {
  const codes: string[] = Object.values(errors).map((Constructor) => new Constructor().code)
  for (const [, code] of documentation.matchAll(/\| `(FST_SWOOLE_\w+)` \|/g)) t.ok(codes.includes(code!), code!)
})
