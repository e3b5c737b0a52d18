import t from 'tap'
import { parseBytes } from '../../plugins/options/index.ts'

const accepted: Array<[number | string, number]> = [
  [0, 0], [4096, 4096], ['10b', 10], ['512kb', 524_288], ['64mb', 67_108_864], ['64MB', 67_108_864], ['1Gb', 1_073_741_824], ['1.5kb', 1_536]
]

for (const [given, bytes] of accepted) {
  t.test(`${JSON.stringify(given)} is ${bytes} bytes`, async t => {
    t.equal(parseBytes(given, 'memory.size'), bytes)
  })
}

for (const given of [-1, 1.5, NaN, Infinity, 2 ** 53, '', '64', '64m', '64 mb', '-1mb', '1tb', `${'9'.repeat(30)}gb`, null, undefined, true, {}, 5n]) {
  t.test(`${String(given).slice(0, 20)} (${typeof given}) is no size`, async t => {
    t.throws(() => parseBytes(given, 'memory.size'), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: /^memory\.size is .*, but must be a size/ })
  })
}
