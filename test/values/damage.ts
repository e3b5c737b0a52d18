import { Encoded, Kind, decode, read } from '../../plugins/values/index.ts'
import { random } from '../shared-memory/random.ts'

/* Decodes many damaged clones: a process of its own, for the case that V8 does not only throw. */
const value = {
  name: 'Ada',
  n: 12,
  half: 0.5,
  big: 2n ** 80n,
  at: new Date(1),
  list: [1, undefined],
  holes: new Array(3),
  set: new Set(['a', 'é', '日']),
  map: new Map<unknown, unknown>([['a', Buffer.from('hello')], [1, new Float64Array(3)]]),
  error: new RangeError('x', { cause: 1 }),
  memory: new ArrayBuffer(9),
  pattern: /a/g,
  boxed: Object('b')
}
const encoded = new Encoded()
encoded.setData(value, () => 'The value')
const memory = new ArrayBuffer(Math.ceil(encoded.bytes / 8) * 8)
const target = { f64: new Float64Array(memory), u8: new Uint8Array(memory), buffer: Buffer.from(memory) }
const next = random(1)
for (let round = 0; round < 20_000; round++) {
  encoded.write(target, 0)
  const copy = read(target, Kind.CLONE, 0, encoded.bytes) as Uint8Array
  for (let n = next(4); n >= 0; n--) copy[2 + next(copy.length - 2)] = next(256)
  try {
    decode(Kind.CLONE, copy)
  } catch {}
}
console.log('done')
