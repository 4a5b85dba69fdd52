import { ExternalCatalog } from '#catalog/iceberg/rest-client/external-catalog.ts';
import { getStatus } from '#catalog/services/status/get.ts';
import { json } from '../http-message.ts';
import { openSource } from '../open-source.ts';
import { type Route, scopeOf } from '../route.ts';
import { readStudio } from '../studio.ts';

export const statusRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/status',
    async handle(call) {
      const { deps } = call;
      const scope = scopeOf(call);
      const status = await getStatus(
        {
          ...scope,
          url: deps.environment.url,
          now: deps.now,
          catalog:
            deps.catalog instanceof ExternalCatalog
              ? { uri: deps.catalog.uri, commitsTogether: deps.catalog.isAtomic }
              : null,
          openSource: (name) => openSource(deps, name),
          // The studio's databases come with their passwords: for admins alone.
          studio: async () => (scope.who.roles.includes('admin') ? readStudio(deps) : null),
        },
        call.request.signal,
      );
      return json(status);
    },
  },
];
