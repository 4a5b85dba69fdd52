import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type { ProcessorModule } from '#ingest/processor.ts';

/** Whether the graph knows by now what it did not. */
export const rejecting = { isMended: false };
const config = z.strictObject({ field: z.string().default('title') });
/** Rejects titles that begin with `bad` as long as the graph is said to be without them; refuses a shape without `title`. */
export const rejectBad: ProcessorModule<typeof config> = {
  kind: 'processor',
  id: 'reject-bad',
  title: 'Reject bad',
  summary: 'Rejects bad titles.',
  config,
  example: {},
  open: ({ field }) => ({
    bind: async (input) => {
      const at = input.fields.findIndex(({ name }) => name === field);
      if (at < 0) throw new DailiesError('schema_incompatible', `The field ${field} is gone.`);
      return {
        output: input,
        consumes: [{ path: field, required: true }],
        apply: async (changes) => {
          const isBad = (title: unknown) => !rejecting.isMended && String(title).startsWith('bad');
          const bad = changes.events.filter(({ after }) => after && isBad(after[at]));
          const error = new DailiesError('graphql_no_answer', 'The graph knows no such movie.').toJSON();
          return {
            changes: { ...changes, events: changes.events.filter((event) => !bad.includes(event)) },
            rejected: bad.map((event) => ({ event, error })),
          };
        },
      };
    },
    close: async () => {},
  }),
};
