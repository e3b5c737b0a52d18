import { PackageMissingError } from './errors.ts'

/** Packages that only those need who configure `option`. Rejects with FST_SWOOLE_PACKAGE_MISSING, which says what to install. */
export async function importOptional<T extends readonly unknown[]> (option: string, names: readonly string[], load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if (!['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes((error as { code?: string }).code!)) throw error
    throw new PackageMissingError(option, names.join(' and '), names.join(' '))
  }
}
