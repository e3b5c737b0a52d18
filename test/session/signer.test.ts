import fastifyCookie from '@fastify/cookie'
import t from 'tap'
import { CookieSigner } from '../../plugins/session/signer.ts'

const [FIRST, SECOND] = ['first'.repeat(8), 'second'.repeat(8)]

t.test('it signs as @fastify/cookie does, and knows what that has signed', async t => {
  const theirs = new fastifyCookie.Signer([FIRST, SECOND])
  const ours = new CookieSigner([FIRST, SECOND])
  for (let n = 0; n < 100; n++) {
    const signed = theirs.sign(`id ${n}`)
    t.equal(ours.sign(`id ${n}`), signed)
    t.strictSame(ours.unsign(signed), theirs.unsign(signed))
    t.equal(ours.sign(`id ${n}`), signed, 'again, when it has just been verified')
    const old = new fastifyCookie.Signer(SECOND).sign(`id ${n}`)
    t.strictSame(ours.unsign(old), { valid: true, renew: true, value: `id ${n}` })
    t.equal(ours.sign(`id ${n}`), signed, 'an older secret signs nothing')
  }
})

t.test('what nobody signed is not valid, whatever was verified before', async t => {
  const signer = new CookieSigner([FIRST])
  const signed = signer.sign('id')
  t.ok(signer.unsign(signed).valid)
  const others = [`${signed}=`, signed.slice(0, -1), signed.replace('id', 'ix'), 'id', 'id.', '', '.', new CookieSigner([SECOND]).sign('id'), `${signed}.${signed}`]
  for (const other of others) {
    for (let again = 0; again < 2; again++) t.strictSame(signer.unsign(other), { valid: false, renew: false, value: null }, other)
  }
})

t.test('so many cookies that it forgets some, all of them valid still', async t => {
  const signer = new CookieSigner([FIRST])
  const signed = Array.from({ length: 12_000 }, (_, n) => signer.sign(`id ${n}`))
  for (let round = 0; round < 2; round++) t.ok(signed.every((cookie, n) => signer.unsign(cookie).value === `id ${n}`))
})
