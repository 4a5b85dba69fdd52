import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type { SourceModule } from '../../source.ts';
import { KafkaSource } from './kafka-source.ts';
import { parseOffsets } from './positions.ts';

const config = z.strictObject({
  url: z
    .string()
    .min(1)
    .meta({
      title: 'Topics',
      description:
        'A folder of recorded topics. ?registry=http://host:8081 names the schema registry of topics in Avro, unless their schemas lie in the folder itself.',
      secret: true,
      examples: ['file:///data/topics'],
    }),
  tables: z
    .array(z.string().min(1))
    .min(1)
    .meta({
      title: 'Tables',
      description:
        'schema.table (database.table of MySQL) as Debezium tells them; * stands for any characters, nothing else is special.',
      examples: [['public.movie', 'public.talent_*']],
    }),
  unavailableValue: z.string().min(1).default('__debezium_unavailable_value').meta({
    title: 'Placeholder for values left out',
    description: "What Debezium's unavailable.value.placeholder says, where it was changed.",
  }),
  skip: z
    .array(
      z.string().superRefine((text, context) => {
        try {
          parseOffsets(text);
        } catch (thrown) {
          if (!(thrown instanceof DailiesError)) throw thrown;
          context.addIssue({ code: 'custom', message: 'must name a record as topic:partition=offset' });
        }
      }),
    )
    .default([])
    .meta({
      title: 'Records to leave out',
      description: 'Records that cannot be read and that nobody will mend, as topic:partition=offset.',
      examples: [['pf.public.movie:0=41']],
    }),
});

export const kafka: SourceModule<typeof config> = {
  kind: 'source',
  id: 'kafka',
  title: 'Debezium topics',
  summary: "Follows tables as Debezium's topics tell of them: JSON with or without schemas, or Avro.",
  schemes: ['file'],
  config,
  open: (settings, deps) => new KafkaSource(settings, deps),
};
