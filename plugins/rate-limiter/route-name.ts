import { inspect } from 'node:util'

export interface RouteName {
  method?: string | readonly string[]
  url?: string
  constraints?: object | undefined
}

/** Routes of one URL differ in their methods and constraints. */
export function nameOf ({ method, url, constraints = {} }: RouteName): string {
  const constrained = Object.entries(constraints).map(([name, value]) => ` ${name} ${typeof value === 'string' ? value : inspect(value)}`)
  return `${[method].flat().join()} ${url}${constrained.sort().join('')}`
}
