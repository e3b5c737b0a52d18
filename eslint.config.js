import neostandard, { resolveIgnoresFromGitignore } from 'neostandard'
import importX from 'eslint-plugin-import-x'

const plugins = ['atomic', 'cache', 'health', 'lock', 'mysql', 'postgres', 'queue', 'rate-limiter', 'redis', 'scheduler', 'session', 'table', 'task-worker']
const folders = (...names) => names.map((name) => `./plugins/${name}`)

/** Imports point one way; see docs/architecture.md. */
const directions = [
  { target: './cli', from: './plugins', except: ['./front', './options', './shared-memory', './errors.ts', './runtime.ts'], message: 'The launcher knows the front, options and shared memory, no plugin.' },
  { target: './plugins', from: './cli', message: 'No plugin knows the launcher.' },
  { target: './plugins/shared-memory', from: './plugins', except: ['./shared-memory', './errors.ts'], message: 'The ground knows nothing that stands on it.' },
  { target: './plugins/front', from: './plugins', except: ['./front', './errors.ts'], message: 'The front is a server, and knows nothing of Fastify.' },
  { target: './plugins/options', from: './plugins', except: ['./options', './errors.ts'], message: 'Options know nothing but errors.' },
  ...plugins.map((name) => ({
    target: folders(name),
    from: './plugins',
    except: [`./${name}`, './options', './shared-memory', './values', './items', './pools', './redis-engine', './any-request.ts', './application-fault.ts', './errors.ts', './packages.ts', './runtime.ts'],
    message: 'A plugin uses another by its decorator, not by its files.'
  })),
  { target: ['./plugins', './cli'], from: ['./test', './bench', './examples', './server.ts'], message: 'What is shipped does not import what is not.' }
]

export default [
  ...neostandard({ ts: true, ignores: [...resolveIgnoresFromGitignore(), 'bench/node_modules'] }),
  {
    files: ['plugins/**/*.ts', 'cli/**/*.ts'],
    plugins: { 'direction-x': importX },
    settings: { 'import-x/resolver': { node: { extensions: ['.ts', '.js'] } } },
    rules: { 'direction-x/no-restricted-paths': ['error', { zones: directions }] }
  },
  {
    files: ['plugins/shared-memory/**/*.ts', 'plugins/**/memory.ts', 'plugins/**/redis.ts'],
    rules: { 'no-restricted-imports': ['error', { paths: ['fastify', 'fastify-plugin'] }] }
  }
]
