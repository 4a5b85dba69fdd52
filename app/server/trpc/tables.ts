import { z } from 'zod';
import type { ErrorRecord } from '#catalog/error.ts';
import { ExternalCatalog } from '#catalog/iceberg/rest-client/external-catalog.ts';
import { tableLineage } from '#catalog/lineage/table-lineage.ts';
import { getTable } from '#catalog/services/table/get.ts';
import { tableHistory } from '#catalog/services/table/history.ts';
import { listTables } from '#catalog/services/table/list.ts';
import { requestMaintenance, tableMaintenance } from '#catalog/services/table/maintenance.ts';
import { sampleTable } from '#catalog/services/table/sample.ts';
import { searchTables } from '#catalog/services/table/search.ts';
import { procedure, router } from './init.ts';

const named = z.strictObject({ name: z.string().max(400) });

export const tablesRouter = router({
  list: procedure.query(({ ctx: { scope } }) => listTables(scope)),
  search: procedure
    .input(z.strictObject({ text: z.string().max(200) }))
    .query(({ ctx: { scope }, input }) => searchTables(scope, input.text, 500)),
  get: procedure.input(named).query(async ({ ctx: { scope }, input }) => {
    const table = await getTable(scope, input.name);
    const { catalog } = scope;
    return {
      ...table,
      lastError: table.lastError as ErrorRecord | null,
      // Of another server's catalog; null for ours.
      catalogUri: catalog instanceof ExternalCatalog ? catalog.uri : null,
    };
  }),
  lineage: procedure.input(named).query(({ ctx: { scope }, input }) => tableLineage(scope, input.name)),
  /** A hundred rows, as who asks may see them. */
  sample: procedure
    .input(named)
    .query(({ ctx: { scope }, input, signal }) =>
      sampleTable(scope, input.name, 100, signal ?? new AbortController().signal),
    ),
  maintenance: procedure.input(named).query(({ ctx: { scope }, input }) => tableMaintenance(scope, input.name)),
  maintain: procedure.input(named).mutation(({ ctx: { scope }, input }) => requestMaintenance(scope, input.name)),
  history: procedure.input(named).query(({ ctx: { scope }, input }) => tableHistory(scope, input.name)),
});
