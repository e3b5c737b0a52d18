import { readFileSync } from 'node:fs'
import t from 'tap'
import { leaves } from '../../plugins/options/leaves.ts'
import { schema } from '../../plugins/options/schema.ts'

const lines = readFileSync(new URL('../../docs/options.md', import.meta.url), 'utf8').split('\n')

for (const { path, schema: leaf } of leaves()) {
  const name = path.join('.')

  t.test(`${name} is documented with its default and with what it does`, async t => {
    const row = lines.find(line => line.startsWith(`| \`${name}\` |`))
    t.ok(row, 'it has a row')
    const value = typeof leaf.default === 'string' ? leaf.default : JSON.stringify(leaf.default)
    t.match(row, `| \`${value}\` |`, 'the row names its default')
    t.match(row, leaf.description ?? /./, 'the row says what its schema says')
  })
}

t.test('the documentation has no row for an option that does not exist', async t => {
  const names = new Set(leaves().map(leaf => leaf.path.join('.')))
  const documented = lines.slice(lines.indexOf('## The blocks')).filter(line => /^\| `[a-z]/.test(line)).map(line => line.split('`')[1]!)
  t.strictSame(documented.filter(name => !names.has(name)), [])
})

t.test('every block has a heading', async t => {
  for (const name of Object.keys(schema.properties)) t.ok(lines.includes(`### ${name}`), name)
})
