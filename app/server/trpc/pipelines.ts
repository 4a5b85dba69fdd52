import { z } from 'zod';
import { listDeadLetters } from '#catalog/services/pipeline/dead-letters.ts';
import { getPipeline } from '#catalog/services/pipeline/get.ts';
import { listPipelines } from '#catalog/services/pipeline/list.ts';
import { replayInput, replayPipeline } from '#catalog/services/pipeline/replay.ts';
import { pausePipeline, resumePipeline } from '#catalog/services/pipeline/set-desired.ts';
import { listSources } from '#catalog/services/source/list.ts';
import { askRetained } from '../intake-socket.ts';
import { procedure, router } from './init.ts';

const named = z.strictObject({ name: z.string().max(200) });

export const pipelinesRouter = router({
  list: procedure.query(({ ctx: { scope } }) => listPipelines(scope)),
  get: procedure.input(named).query(({ ctx: { scope }, input }) => getPipeline(scope, input.name)),
  sources: procedure.query(({ ctx: { scope } }) => listSources(scope)),
  deadLetters: procedure
    .input(
      z.strictObject({
        name: z.string().max(200),
        before: z
          .string()
          .regex(/^\d{1,18}$/)
          .optional(),
      }),
    )
    .query(({ ctx: { scope }, input }) => listDeadLetters(scope, input.name, { before: input.before, limit: 50 })),
  pause: procedure.input(named).mutation(({ ctx: { scope }, input }) => pausePipeline(scope, input.name)),
  replay: procedure
    .input(z.strictObject({ name: z.string().max(200), ...replayInput.shape }))
    .mutation(({ ctx: { scope, deps }, input: { name, ...input } }) =>
      replayPipeline(scope, name, input, {
        retained: (key) => askRetained(deps.home, name, key),
        now: () => new Date(),
      }),
    ),
  resume: procedure.input(named).mutation(({ ctx: { scope }, input }) => resumePipeline(scope, input.name)),
});
