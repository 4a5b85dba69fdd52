import type { Scope } from '#catalog/services/scope.ts';
import { type Caller, requireCaller } from './caller.ts';
import type { ServerDeps } from './server-deps.ts';

/** What a route is called with. */
export interface Call {
  request: Request;
  url: URL;
  /** Parts of the path in place of `:name`, decoded. */
  params: Readonly<Record<string, string>>;
  caller: Caller;
  deps: ServerDeps;
}

export interface Route {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/api/v1/queries/:id`; a part that begins with a colon stands for any text without a slash. */
  path: string;
  handle(call: Call): Promise<Response>;
}

/** The services' first argument, for somebody who is signed in. Throws `unauthenticated`. */
export function scopeOf({ deps, caller }: Call): Scope {
  return { state: deps.state, who: requireCaller(caller) };
}

export type Match = { route: Route; params: Record<string, string> } | { allowed: string[] } | null;

/** The route for a request; the methods that would do where only the method is wrong; null for none. */
export function matchRoute(routes: readonly Route[], method: string, pathname: string): Match {
  const parts = pathname.split('/');
  const allowed = new Set<string>();
  for (const route of routes) {
    const params = matchPath(route.path.split('/'), parts);
    if (params === null) continue;
    if (route.method === method || (route.method === 'GET' && method === 'HEAD')) return { route, params };
    allowed.add(route.method);
  }
  return allowed.size === 0 ? null : { allowed: [...allowed] };
}

function matchPath(pattern: readonly string[], parts: readonly string[]): Record<string, string> | null {
  if (pattern.length !== parts.length) return null;
  const params: Record<string, string> = {};
  for (const [index, wanted] of pattern.entries()) {
    const part = parts[index] ?? '';
    if (wanted.startsWith(':')) {
      const text = decode(part);
      if (text === null || text === '') return null;
      params[wanted.slice(1)] = text;
    } else if (wanted !== part) return null;
  }
  return params;
}

function decode(part: string): string | null {
  try {
    const text = decodeURIComponent(part);
    // No name holds it, and the state database takes no text with it.
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}
