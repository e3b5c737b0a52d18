import t from 'tap'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SqlPool } from '../../plugins/pools/index.ts'
import { startOwnServer } from '../support/database-servers.ts'
import type { Kind } from '../support/database-servers.ts'
import { freePort } from '../support/ports.ts'
import { eventually } from '../support/processes.ts'
import { KINDS, failOnUncaught, observe, openSubject } from './subjects.ts'

const TIMEOUT_MS = 5000

t.jobs = KINDS.length
failOnUncaught(t)

const folder = mkdtempSync(join(tmpdir(), 'swoole-tls-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const [ca, cert, key] = ['ca.pem', 'server.pem', 'server.key'].map((name) => join(folder, name)) as [string, string, string]
makeCertificates()

const ARGS: Record<Kind, (tlsPort: number) => string[]> = {
  postgresql: () => ['-c', 'ssl=on', '-c', `ssl_cert_file=${cert}`, '-c', `ssl_key_file=${key}`],
  mysql: () => [`--ssl-cert=${cert}`, `--ssl-key=${key}`],
  redis: (tlsPort) => ['--tls-port', String(tlsPort), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca, '--tls-auth-clients', 'no']
}
const IS_TLS: Partial<Record<Kind, string>> = {
  postgresql: 'SELECT ssl AS tls FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
  mysql: "SELECT variable_value <> '' AS tls FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
}

for (const kind of KINDS) {
  t.test(`${kind} over TLS: an unknown CA is refused at once, with the CA it connects, and what runs is ended on the server`, { buffered: true, timeout: 90_000 }, async t => {
    const tlsPort = await freePort()
    const server = await startOwnServer(kind, (usual) => [...usual, ...ARGS[kind](tlsPort)])
    t.teardown(() => server.remove())
    const { host, user } = server
    const address = { host, port: server.port, ...(user === undefined ? {} : { user }), ...(kind === 'redis' ? {} : { database: kind === 'mysql' ? 'mysql' : 'postgres' }) }
    const tlsAddress = { ...address, port: kind === 'redis' ? tlsPort : server.port }

    const begunMs = performance.now()
    await t.rejects(openSubject(t, kind, tlsAddress, { tls: true, timeout: TIMEOUT_MS }), { code: 'FST_SWOOLE_POOL_CONNECT' })
    t.ok(performance.now() - begunMs < TIMEOUT_MS / 2, 'it does not try again')

    const name = 'encrypted'
    const trusted = { ca: readFileSync(ca, 'utf8') }
    const clientOptions = kind === 'redis' ? { tls: trusted } : { ssl: { ...trusted, ...(kind === 'mysql' ? { verifyIdentity: true } : { }) } }
    const subject = await openSubject(t, kind, tlsAddress, { tls: true, timeout: TIMEOUT_MS, name, clientOptions: { ...clientOptions, ...(kind === 'postgresql' ? { application_name: name } : {}) } })
    t.equal(await subject.ask(7), 7)
    if (IS_TLS[kind] !== undefined) t.match(await (subject.pool as SqlPool<any>).query(IS_TLS[kind]), [{ tls: /true|1/ }])

    const beside = { ends: [] as Array<() => unknown>, teardown (end: () => unknown) { this.ends.push(end) } }
    const observer = await observe(beside, kind, address, name)
    const controller = new AbortController()
    const sleeping = t.rejects(subject.pool.withConnection((connection) => subject.sleepOn(connection, 60_000), { signal: controller.signal }), { message: 'gone' })
    await eventually('it sleeps', async () => (await observer.sleeping()).length === 1)
    controller.abort(new Error('gone'))
    await sleeping
    await eventually('nothing sleeps', async () => (await observer.sleeping()).length === 0)
    t.equal(await subject.ask(8), 8)
    for (const end of beside.ends) await end()
    await subject.fastify.close()
  })
}

function makeCertificates (): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const subject = (name: string) => ['-subj', `/CN=${name}`]
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', join(folder, 'ca.key'), '-out', ca, ...subject('a CA that nobody knows'))
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', join(folder, 'server.csr'), ...subject('localhost'), '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1')
  openssl('x509', '-req', '-days', '2', '-in', join(folder, 'server.csr'), '-CA', ca, '-CAkey', join(folder, 'ca.key'), '-CAcreateserial', '-out', cert, '-copy_extensions', 'copy')
  chmodSync(folder, 0o755)
  chmodSync(key, 0o600)
  // The servers do not run as root.
  if (process.getuid!() === 0) chownSync(key, ...(['-u', '-g'].map((of) => Number(execFileSync('id', [of, 'nobody']))) as [number, number]))
}
