import { paint } from './launcher/reporter.ts'

const USAGE = `Usage: fastify-swoole <command> [options]

  start [app]     start the application on every core
      --host <address>       default 0.0.0.0
      --port <port>          default 9501; 0: any free one
      --workers <n>          default: one per core
      --task-workers <n>     default 2
      -d, --daemonize        in the background, when it listens
  stop            let all workers finish, and end
      -f, --force            without letting them finish
      --timeout <time>       how long they may take, such as 10s
  reload          take new code with no request dropped
      --no-cache-clear       leave the application's caches as they are
      --only-cache           clear the caches, replace no worker
      --opcache              clear Node's compile cache too
  watch [app]     start one worker, and reload whenever a file is saved
      --poll-interval <ms>   look for changes instead of being told of them
      --no-clear-cache       leave the application's caches as they are
  status          what runs
      --json                 for programs

All take --config <file> and --project <folder> (default: the one of the app, or the current one).
app is the file that "fastify start" takes; default: app or server, with .ts, .js, .mts, .mjs or .cjs.`

const COMMANDS = {
  start: () => import('./commands/start.ts'),
  stop: () => import('./commands/stop.ts'),
  reload: () => import('./commands/reload.ts'),
  watch: () => import('./commands/watch.ts'),
  status: () => import('./commands/status.ts')
}

/** A command gets its arguments and says its exit code: 0 when what was asked for is done, else 1. */
export interface Command {
  execute (args: string[]): Promise<number>
}

/** Runs a command line. Errors are one message on stderr and exit code 1. */
export async function run ([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h' || args.includes('--help')) {
    (name === undefined ? process.stderr : process.stdout).write(`${USAGE}\n`)
    return name === undefined ? 1 : 0
  }
  try {
    if (name === '--version' || name === '-v') return await printVersion()
    const load = COMMANDS[name as keyof typeof COMMANDS]
    if (!Object.hasOwn(COMMANDS, name)) throw new Error(`There is no command "${name}"; there are ${Object.keys(COMMANDS).join(', ')}`)
    const command: Command = await load()
    return await command.execute(args)
  } catch (error) {
    process.stderr.write(`${paint('red', 'error', process.stderr)} ${(error as Error).message}\n`)
    return 1
  }
}

async function printVersion (): Promise<number> {
  const { readVersion } = await import('./version.ts')
  process.stdout.write(`${readVersion()}\n`)
  return 0
}
