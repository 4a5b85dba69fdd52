import { z } from 'zod';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { listSecrets } from '#catalog/services/secret/list.ts';
import { listSources } from '#catalog/services/source/list.ts';
import { resumeSource } from '#catalog/services/source/resume.ts';
import { getSystem } from '#catalog/services/system/get.ts';
import { procedure, router } from './init.ts';

export const systemRouter = router({
  get: procedure.query(({ ctx: { scope } }) => {
    const { catalog } = scope;
    return getSystem({ ...scope, warehouse: catalog instanceof IcebergCatalog ? catalog.warehouse : null });
  }),
  sources: procedure.query(({ ctx: { scope } }) => listSources(scope)),
  resumeSource: procedure
    .input(z.strictObject({ name: z.string().max(200) }))
    .mutation(({ ctx: { scope }, input }) => resumeSource(scope, input.name)),
  secrets: procedure.query(({ ctx: { scope } }) => listSecrets(scope)),
});
