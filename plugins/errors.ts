import createError from '@fastify/error'

/*
 * Every error of fastify-swoole is made here, so that a code is spelled once and `docs/errors.md` can be checked
 * against one file. The message names the object, the value met and what to do.
 */

// options and configuration
export const OptionsInvalidError = createError('FST_SWOOLE_OPTIONS_INVALID', '%s', 500, TypeError)
export const ConfigUnreadableError = createError('FST_SWOOLE_CONFIG_UNREADABLE', 'The configuration %s cannot be used: %s', 500)
export const DurationInvalidError = createError('FST_SWOOLE_DURATION_INVALID', '%s is %s, but must be a duration: milliseconds, or a string such as "250ms", "5s", "1m", "2h"', 500, TypeError)

// shared memory
export const MemoryFullError = createError('FST_SWOOLE_MEMORY_FULL', 'No room for %s bytes in the shared memory of %s bytes: raise memory.size', 507)
export const DirectoryFullError = createError('FST_SWOOLE_DIRECTORY_FULL', 'No room for the name "%s": the shared memory holds %s named objects, the most it can', 507)
export const NameInvalidError = createError('FST_SWOOLE_NAME_INVALID', 'The name of %s is %s, but must be a string of 1 to %s bytes in UTF-8', 500, TypeError)
export const SchemaMismatchError = createError('FST_SWOOLE_SCHEMA_MISMATCH', '%s exists as %s and cannot be opened as %s: use one definition, or another name', 500)
export const SlotsFullError = createError('FST_SWOOLE_SLOTS_FULL', 'All %s worker slots of the shared memory are taken: start fewer workers', 500)
export const MemoryFileError = createError('FST_SWOOLE_MEMORY_FILE', 'memory.file %s cannot be used: %s', 500)
export const MemoryUnavailableError = createError('FST_SWOOLE_MEMORY_UNAVAILABLE', 'The shared memory cannot be %s: %s', 500)
export const ClosedError = createError('FST_SWOOLE_CLOSED', '%s was used after the application had closed', 503)

// atomic
export const AtomicValueError = createError('FST_SWOOLE_ATOMIC_VALUE', 'Atomic "%s": %s, but must be %s', 500, RangeError)
export const TooManyWaitersError = createError('FST_SWOOLE_TOO_MANY_WAITERS', '"%s" has %s waiters in this worker, the most it can have', 503)

// tables
export const TableDefinitionError = createError('FST_SWOOLE_TABLE_DEFINITION', 'Table "%s": %s', 500, TypeError)
export const TableFullError = createError('FST_SWOOLE_TABLE_FULL', 'Table "%s" is full: its %s rows are taken; delete some, or raise "rows" in its definition', 507)
export const KeyInvalidError = createError('FST_SWOOLE_KEY_INVALID', 'The key of %s is %s, but must be %s', 400, TypeError)

// values in shared memory
export const ValueInvalidError = createError('FST_SWOOLE_VALUE_INVALID', '%s is %s, but must be %s', 400, TypeError)
export const ValueTooLongError = createError('FST_SWOOLE_VALUE_TOO_LONG', '%s has %s bytes, the most it can have is %s', 413, RangeError)

// locks
export const LockTypeError = createError('FST_SWOOLE_LOCK_TYPE', 'Lock "%s" %s', 500, TypeError)
export const LockTimeoutError = createError('FST_SWOOLE_LOCK_TIMEOUT', 'Lock "%s" was not free within %s ms: it is held by %s', 503)
export const LockNotHeldError = createError('FST_SWOOLE_LOCK_NOT_HELD', 'Lock "%s" is not held by this handle any more: unlock each handle once', 500)
export const DeadlockError = createError('FST_SWOOLE_DEADLOCK', 'Waiting for the lock "%s" would never end: %s', 503)

// rate limits
export const RateLimitedError = createError('FST_SWOOLE_RATE_LIMITED', 'Too many requests: try again in %s s', 429)

// sessions
export const SessionTooLargeError = createError('FST_SWOOLE_SESSION_TOO_LARGE', 'The session has %s bytes, the most it can have is %s, and nothing of it was stored: keep less in it, or raise session.maxBytes', 500, RangeError)

// tasks
export const TaskUnknownError = createError('FST_SWOOLE_TASK_UNKNOWN', 'There is no handler for tasks of type %s: register one with registerHandler() in code that all workers load; there are %s', 500)
export const TaskTimeoutError = createError('FST_SWOOLE_TASK_TIMEOUT', 'A task of type "%s" %s within %s ms', 504)
export const TaskQueueFullError = createError('FST_SWOOLE_TASK_QUEUE_FULL', 'The queue of %s is full: %s', 503)
export const TaskWorkerDiedError = createError('FST_SWOOLE_TASK_WORKER_DIED', 'A task of type "%s" failed for good: %s', 500)

// scheduler
export const ScheduleInvalidError = createError('FST_SWOOLE_SCHEDULE_INVALID', 'The job "%s" cannot be scheduled: %s', 500, TypeError)
export const ScheduleFullError = createError('FST_SWOOLE_SCHEDULE_FULL', 'No room for the job "%s": the application has %s, the most it can; unschedule some, or raise scheduler.maxJobs', 507)

// pools
export const PoolTimeoutError = createError('FST_SWOOLE_POOL_TIMEOUT', 'The pool "%s" had no connection within %s ms: %s', 503)
export const PoolClosedError = createError('FST_SWOOLE_POOL_CLOSED', 'The pool "%s" is closed', 503)
export const PoolNotBorrowedError = createError('FST_SWOOLE_POOL_NOT_BORROWED', 'The pool "%s" was given a connection that %s: put back each one that get() gave, once', 500)
export const PoolConnectError = createError('FST_SWOOLE_POOL_CONNECT', 'The pool "%s" cannot connect to %s: %s', 503)
export const PoolQueryTimeoutError = createError('FST_SWOOLE_POOL_QUERY_TIMEOUT', 'A statement of the pool "%s" did not end within %s ms: it was cancelled', 504)
export const TransactionAbortedError = createError('FST_SWOOLE_TRANSACTION_ABORTED', 'The transaction of the pool "%s" was rolled back: %s', 500)

// packages that not every application needs
export const PackageMissingError = createError('FST_SWOOLE_PACKAGE_MISSING', '%s needs %s: npm install %s', 500)

// runtime and launcher
export const NodeUnsupportedError = createError('FST_SWOOLE_NODE_UNSUPPORTED', 'fastify-swoole needs Node.js %s or newer; this is %s', 500)
export const ReloadFailedError = createError('FST_SWOOLE_RELOAD_FAILED', 'The reload failed, the old workers still serve: %s', 503)
export const StoppingError = createError('FST_SWOOLE_STOPPING', 'The application is being stopped: it cannot be reloaded', 503)
export const NoLauncherError = createError('FST_SWOOLE_NO_LAUNCHER', '%s needs the launcher: start the application with "fastify-swoole start"', 501)
export const WorkerStartError = createError('FST_SWOOLE_WORKER_START', 'Worker %s did not start: %s', 500)
export const CrashLoopError = createError('FST_SWOOLE_CRASH_LOOP', '%s workers in a row died %s, the last one: %s', 500)
export const AlreadyRunningError = createError('FST_SWOOLE_ALREADY_RUNNING', 'This application is already running (process %s): use "fastify-swoole reload" or "fastify-swoole stop"', 500)
export const NotRunningError = createError('FST_SWOOLE_NOT_RUNNING', 'No fastify-swoole application is running for %s', 500)
export const NoAnswerError = createError('FST_SWOOLE_NO_ANSWER', 'The launcher (process %s) %s', 504)
export const ListenError = createError('FST_SWOOLE_LISTEN', 'Cannot listen on %s: %s', 500)
export const AppInvalidError = createError('FST_SWOOLE_APP_INVALID', 'The application %s cannot be used: %s', 500)
