import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLauncherMemory } from '../../plugins/shared-memory/index.ts'
import type { Attachment, LauncherMemory, SlotIdentity } from '../../plugins/shared-memory/index.ts'
import type { Jobs as MemoryJobs } from './peer.ts'

const MEMORY_FD = 4

interface Attaching {
  attach (attachment: Attachment): void
}

type Given<Job> = Job extends (...given: infer Given) => unknown ? Given : never
type Result<Job> = Job extends (...given: never[]) => infer Result ? Awaited<Result> : never

/** Worker processes that share a memory with the test. What they can do is in a file; by default in `peer.ts` here. */
export class Peers<Jobs extends Attaching = MemoryJobs> {
  readonly launcher: LauncherMemory
  readonly folder = mkdtempSync(join(tmpdir(), 'fastify-swoole-test-'))
  #file: string
  #peers = new Set<Peer<Jobs>>()

  constructor (bytes = 8 * 1024 * 1024, file = join(import.meta.dirname, 'peer.ts')) {
    this.#file = file
    this.launcher = createLauncherMemory({ bytes, folder: this.folder, warn () {} })
  }

  async start (): Promise<Peer<Jobs>> {
    const slot = this.launcher.claim('http', this.#peers.size, 1)
    const child = fork(this.#file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.launcher.fd] })
    const peer = new Peer<Jobs>(child, slot)
    this.#peers.add(peer)
    await peer.call('attach', ...[{ fd: MEMORY_FD, bytes: this.launcher.bytes, slot, bells: this.folder }] as Given<Jobs['attach']>)
    return peer
  }

  startAll (count: number): Promise<Array<Peer<Jobs>>> {
    return Promise.all(Array.from({ length: count }, () => this.start()))
  }

  /** Kills the process and waits for its end; nobody has recovered its slot then. */
  async kill (peer: Peer<Jobs>): Promise<void> {
    this.#peers.delete(peer)
    await peer.kill()
  }

  async killAndRecover (peer: Peer<Jobs>): Promise<void> {
    await this.kill(peer)
    this.launcher.memory.recover(peer.slot)
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await Promise.all([...this.#peers].map((peer) => peer.kill()))
    this.launcher.close()
    rmSync(this.folder, { recursive: true })
  }
}

export class Peer<Jobs = MemoryJobs> {
  readonly slot: SlotIdentity
  readonly exited: Promise<unknown>
  #child: ChildProcess
  #calls = new Map<number, PromiseWithResolvers<unknown>>()

  constructor (child: ChildProcess, slot: SlotIdentity) {
    this.#child = child
    this.slot = slot
    this.exited = once(child, 'exit')
    child.on('message', ({ id, result, error }: { id: number, result?: unknown, error?: string }) => {
      const call = this.#calls.get(id)!
      if (error === undefined) call.resolve(result)
      else call.reject(new Error(error))
    })
  }

  call<Job extends keyof Jobs> (job: Job, ...given: Given<Jobs[Job]>): Promise<Result<Jobs[Job]>> {
    const id = this.#calls.size
    const call = Promise.withResolvers<unknown>()
    this.#calls.set(id, call)
    this.#child.send({ id, job, given })
    return call.promise as Promise<Result<Jobs[Job]>>
  }

  async kill (): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exited
  }
}
