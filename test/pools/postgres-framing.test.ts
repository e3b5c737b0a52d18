import t from 'tap'
import { Framing } from '../../plugins/postgres/framing.ts'

function message (letter: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length + 4)
  return Buffer.concat([Buffer.from(letter), length, bytes])
}

function row (...values: Array<string | null>): Buffer {
  const count = Buffer.alloc(2)
  count.writeInt16BE(values.length)
  return message('D', Buffer.concat([count, ...values.flatMap((value) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(value === null ? -1 : value.length)
    return value === null ? [length] : [length, Buffer.from(value)]
  })]))
}

const ready = message('Z', 'I')
const answer = [message('T', 'a description'), row('one', null), row(), row('x'.repeat(1000)), message('C', 'SELECT 3\0'), ready]

/** What is passed on of chunks. */
function passed (chunks: Buffer[]): Buffer[] {
  const delivered: Buffer[] = []
  const framing = new Framing((messages) => { delivered.push(Buffer.from(messages)) })
  for (const chunk of chunks) framing.receive(Buffer.from(chunk))
  return delivered
}

t.test('messages come through as they are, in whatever pieces they come', async t => {
  const bytes = Buffer.concat([...answer, ...answer])
  for (const size of [1, 2, 3, 5, 7, 64, 1001, bytes.length]) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size))
    t.ok(Buffer.concat(passed(chunks)).equals(bytes), `in pieces of ${size} bytes`)
  }
  t.same(passed([answer[0]!.subarray(0, 9)]), [], 'not before a message is whole')
})

t.test('a message that comes in many pieces is put together once', async t => {
  const large = row('x'.repeat(1_000_000))
  const pieces = Array.from({ length: 1000 }, (_, n) => large.subarray(n * 1001, (n + 1) * 1001))
  t.same(passed(pieces).map(({ length }) => length), [large.length])
})

for (const [what, bytes] of Object.entries({
  'a letter that no server sends': message('!', ''),
  'a length that does not count itself': Buffer.from([0x43, 0, 0, 0, 3]),
  'a length beyond all that is sent': Buffer.from([0x43, 0x80, 0, 0, 8]),
  'a row that is shorter than it says': message('D', Buffer.from([0, 2, 0, 0, 0, 1, 0x31])),
  'a row that is longer than it says': message('D', Buffer.from([0, 0, 0])),
  'a value of a length below that of null': message('D', Buffer.from([0, 1, 0xff, 0xff, 0xff, 0xfe])),
  'an error without an end, in which the parser would look for it for ever': message('E', 'SELECT 1\0'),
  'an end of an answer in a state that there is not': Buffer.concat([message('C', 'SELECT 1\0'), message('Z', '?')]),
  'an end of an answer before the answer': Buffer.concat([...answer, message('T', 'a description'), ready])
})) {
  t.test(`${what} is refused`, async t => {
    t.throws(() => passed([bytes]), /^PostgreSQL sent/)
  })
}
