import { z } from 'zod';
import { listSecrets } from '#catalog/services/secret/list.ts';
import { listSources } from '#catalog/services/source/list.ts';
import { resumeSource } from '#catalog/services/source/resume.ts';
import { getSystem } from '#catalog/services/system/get.ts';
import { procedure, router } from './init.ts';

export const systemRouter = router({
  get: procedure.query(({ ctx: { scope } }) => getSystem({ ...scope, warehouse: scope.catalog.warehouse })),
  sources: procedure.query(({ ctx: { scope } }) => listSources(scope)),
  resumeSource: procedure
    .input(z.strictObject({ name: z.string().max(200) }))
    .mutation(({ ctx: { scope }, input }) => resumeSource(scope, input.name)),
  secrets: procedure.query(({ ctx: { scope } }) => listSecrets(scope)),
});
