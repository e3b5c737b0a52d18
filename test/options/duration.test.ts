import t from 'tap'
import { parseDuration } from '../../plugins/options/index.ts'

const accepted: Array<[number | string, number]> = [
  [0, 0], [250, 250], [1.5, 1.5], ['0ms', 0], ['250ms', 250], ['5s', 5_000], ['1.5s', 1_500], ['1.005s', 1_005], ['1m', 60_000],
  ['2h', 7_200_000], ['1d', 86_400_000]
]

for (const [given, ms] of accepted) {
  t.test(`${JSON.stringify(given)} is ${ms} ms`, async t => {
    t.equal(parseDuration(given, 'lock.timeout'), ms)
  })
}

for (const given of [-1, NaN, Infinity, -Infinity, '', '5', '5 s', '-5s', '5S', 's', '1.s', '.5s', '5s ', '1e3ms', '1w', `${'9'.repeat(400)}s`, null, undefined, true, {}, [5], 5n]) {
  t.test(`${String(given).slice(0, 20)} (${typeof given}) is no duration`, async t => {
    t.throws(() => parseDuration(given, 'lock.timeout'), { code: 'FST_SWOOLE_DURATION_INVALID', message: /^lock\.timeout is .*, but must be a duration/ })
  })
}

t.test('the error shows the value', async t => {
  t.throws(() => parseDuration('5 sec', 'lock.timeout'), { message: 'lock.timeout is "5 sec", but must be a duration: milliseconds, or a string such as "250ms", "5s", "1m", "2h"' })
})
