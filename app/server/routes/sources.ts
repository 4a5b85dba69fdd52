import { z } from 'zod';
import { requireAccess } from '#catalog/access/principal.ts';
import { parseInput } from '#catalog/services/parse-input.ts';
import { snapshotSource } from '#catalog/services/source/snapshot.ts';
import { json, readJson } from '../http-message.ts';
import { checkAddress, offersAt } from '../open-source.ts';
import { type Route, scopeOf } from '../route.ts';

const body = z.strictObject({ url: z.string().min(1, 'is empty').max(10_000) });

const snapshotBody = z.strictObject({ table: z.string().min(1).max(1_000).optional() });

export const sourceRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/api/v1/sources/check',
    async handle(call) {
      const { who } = scopeOf(call);
      // It connects to whatever address it is given, so not everybody may ask.
      requireAccess(who, 'admin', 'check a database');
      const { url } = parseInput(body, await readJson(call.request));
      const signal = AbortSignal.any([call.request.signal, AbortSignal.timeout(30_000)]);
      const problems = await checkAddress(call.deps, url, signal);
      return json({ problems, offers: await offersAt(call.deps, url, signal) });
    },
  },
  {
    method: 'POST',
    path: '/api/v1/sources/:name/snapshots',
    async handle(call) {
      const { table = null } = parseInput(snapshotBody, await readJson(call.request));
      const modules = call.deps.modules.sources;
      const hasSnapshots = (kind: string) => modules.find(({ id }) => id === kind)?.hasSnapshots ?? true;
      const tables = await snapshotSource(scopeOf(call), call.params.name ?? '', table, hasSnapshots);
      return json({ tables }, 202);
    },
  },
];
