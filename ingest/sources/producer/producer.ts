import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import { parseType } from '#catalog/schemas/parse-type.ts';
import type { Field } from '#catalog/schemas/schema.ts';
import type { SourceModule } from '../../source.ts';
import { type ProducerConfig, ProducerSource } from './producer-source.ts';

const type = z.string().superRefine((text, context) => {
  try {
    parseType(text);
  } catch (thrown) {
    if (!(thrown instanceof DailiesError)) throw thrown;
    context.addIssue({ code: 'custom', message: thrown.message });
  }
});

const field = z.union([
  type,
  z.strictObject({ type, required: z.boolean().default(false), doc: z.string().optional() }),
]);

const table = z
  .strictObject({
    key: z
      .array(z.string().min(1))
      .default([])
      .meta({
        title: 'Key',
        description: 'The fields that tell rows apart; none: every event adds a row.',
        examples: [['id']],
      }),
    fields: z
      .record(z.string().min(1), field)
      .optional()
      .meta({
        title: 'Fields',
        description: 'Name and type of each field, in order; left out: as the events have them.',
        examples: [{ id: 'bigint', title: 'text', at: 'timestamptz', fee: 'decimal(12, 2)' }],
      }),
  })
  .superRefine(({ key, fields }, context) => {
    if (new Set(key).size < key.length) {
      context.addIssue({ code: 'custom', path: ['key'], message: 'names a field twice' });
    }
    if (!fields) return;
    const missing = key.find((name) => !Object.hasOwn(fields, name));
    if (missing !== undefined) {
      context.addIssue({ code: 'custom', path: ['key'], message: `names ${missing}, which is none of the fields` });
    }
  });

const config = z.strictObject({
  tables: z
    .record(z.string().regex(/^[^.*\s][^.*]*$/, 'must be a name without dots and stars'), table)
    .refine((tables) => Object.keys(tables).length > 0, 'must name a table')
    .meta({
      title: 'Tables',
      description: 'The tables that programs send events of, by name.',
      examples: [{ playback: { key: ['id'], fields: { id: 'bigint', title: 'text' } } }],
    }),
});

/** As the source wants it: fields in order, key fields required. */
function asTables(tables: z.infer<typeof config>['tables']): ProducerConfig['tables'] {
  return Object.fromEntries(
    Object.entries(tables).map(([name, { key, fields }]) => {
      if (!fields) return [name, { key, schema: null }];
      const declared = Object.entries(fields).map(([fieldName, entry]): Field => {
        const {
          type: text,
          required,
          doc,
        } = typeof entry === 'string' ? { type: entry, required: false, doc: undefined } : entry;
        return {
          name: fieldName,
          type: parseType(text),
          required: required || key.includes(fieldName),
          ...(doc === undefined ? {} : { doc }),
        };
      });
      return [name, { key, schema: { fields: declared, key } }];
    }),
  );
}

export const producer: SourceModule<typeof config> = {
  kind: 'source',
  id: 'producer',
  title: 'Producer',
  summary: 'Takes events that programs send by HTTP, each once and in order, into tables that the definition declares.',
  schemes: [],
  hasSnapshots: false,
  config,
  open: ({ tables }, deps) => new ProducerSource({ tables: asTables(tables) }, deps),
};
