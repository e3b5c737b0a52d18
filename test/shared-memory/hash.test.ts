import { randomBytes } from 'node:crypto'
import t from 'tap'
import { hashBytes } from '../../plugins/shared-memory/hash.ts'

/** HalfSipHash-c-d, written down from the paper and the authors' halfsiphash.c, without regard to speed. */
function halfSipHash (compressions: number, finalizations: number, bytes: Uint8Array, [key0, key1]: [number, number]): number {
  const v = [key0, key1, 0x6c796765 ^ key0, 0x74656462 ^ key1].map((word) => word >>> 0)
  const rotate = (word: number, by: number) => (word << by | word >>> 32 - by) >>> 0
  const addInto = (to: number, from: number) => { v[to] = (v[to]! + v[from]!) % 2 ** 32 }
  const mix = (to: number, by: number, from: number) => { v[to] = (rotate(v[to]!, by) ^ v[from]!) >>> 0 }
  const round = () => {
    addInto(0, 1); mix(1, 5, 0); v[0] = rotate(v[0]!, 16)
    addInto(2, 3); mix(3, 8, 2)
    addInto(0, 3); mix(3, 7, 0)
    addInto(2, 1); mix(1, 13, 2); v[2] = rotate(v[2]!, 16)
  }
  const padded = Buffer.alloc(Math.floor(bytes.length / 4) * 4 + 4)
  padded.set(bytes)
  padded[padded.length - 1] = bytes.length
  for (let at = 0; at < padded.length; at += 4) {
    v[3]! ^= padded.readUInt32LE(at)
    for (let n = 0; n < compressions; n++) round()
    v[0]! ^= padded.readUInt32LE(at)
  }
  v[2]! ^= 0xff
  for (let n = 0; n < finalizations; n++) round()
  return (v[1]! ^ v[3]!) >>> 0
}

/** HalfSipHash-2-4 with 32 bits of the bytes 0, 1, 2 … under the key 00 01 … 07, for lengths 0 to 63: vectors.h of the authors. */
const PUBLISHED = Buffer.from(
  'a9359f5b27475ab8fa62a6038afee7042a6e4689c5fab6695863fc238bcf63c5d0b8848ff806e77994b079340808305057f0872f77e663ffd6fff87c74fe2b97' +
  'd9b5ac84c474645b465b8d9b7befe387e34d1045613f62b370f367fee6adb8bd27400c63267878754f567b5f3ab0e669b0644000ff670fb4509e338b5d589f1a' +
  'fee72112337532596a434f8cfe28b729e75cc6ec697e8d5463688b0f650b62b4b6bc18405d0745052442fd2e7bb7863a7705d548d75208b1b6d499c80892202e' +
  '69e12ce38db580e5369764c6016e02043b85f3d4fedb66be1e692a3ac68984c0a5c5b9409be9e88c7dbc81407c078ec5d4e76c73428fcbb9bd83997a59ea4a74', 'hex')

const counting = (length: number) => Uint8Array.from({ length }, (_, n) => n)

t.test('the reference gives the published vectors of HalfSipHash-2-4', async t => {
  for (let length = 0; length < 64; length++) {
    t.equal(halfSipHash(2, 4, counting(length), [0x03020100, 0x07060504]), PUBLISHED.readUInt32LE(length * 4), `length ${length}`)
  }
})

t.test('hashBytes is HalfSipHash-1-3', async t => {
  for (let length = 0; length <= 300; length++) {
    const seed = randomBytes(8)
    const key: [number, number] = [seed.readInt32LE(0), seed.readInt32LE(4)]
    const bytes = randomBytes(length)
    t.equal(hashBytes(bytes, length, ...key), halfSipHash(1, 3, bytes, key), `length ${length}`)
    t.equal(hashBytes(Buffer.concat([bytes, randomBytes(9)]), length, ...key), halfSipHash(1, 3, bytes, key), `length ${length} of a longer buffer`)
  }
})

t.test('keys that count upwards spread evenly over buckets', async t => {
  const buckets = new Array<number>(1024).fill(0)
  const keys = 102_400
  for (let n = 0; n < keys; n++) {
    const bytes = Buffer.from(`user:${n}`)
    buckets[hashBytes(bytes, bytes.length, 1, 2) % 1024]!++
  }
  const expected = keys / 1024
  const chiSquare = buckets.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  // 1023 degrees of freedom: a standard deviation is 45.
  t.ok(Math.abs(chiSquare - 1023) < 5 * 45, `chi-square ${chiSquare}`)
})
