import type { Caller } from './caller.ts';
import type { ServerDeps } from './server-deps.ts';
import type { PageContext } from './trpc/page-context.ts';

/** What the pages' procedures are called with. */
export function createContext(deps: ServerDeps, { who, name }: Caller): PageContext {
  const { state, catalog, index, queries, modules, secretKey, environment, isDemo } = deps;
  return {
    who,
    name,
    deps: {
      state,
      catalog,
      index,
      queries,
      modules,
      secretKey,
      describeSql: (sql) => queries.describe(sql),
      url: environment.url,
      home: environment.home,
      isDemo,
    },
  };
}
