import { z } from 'zod';
import type { SourceModule } from '../../source.ts';
import { PostgresSource } from './postgres-source.ts';

const config = z.strictObject({
  url: z
    .string()
    .min(1)
    .meta({
      title: 'Database URL',
      description: 'Of a user with REPLICATION who may read the tables, and owns them or is a member of their owner.',
      secret: true,
      examples: ['postgresql://dailies:password@db.studio.example:5432/production'],
    }),
  tables: z
    .array(z.string().min(1))
    .min(1)
    .meta({
      title: 'Tables',
      description: 'schema.table as the database holds it; * stands for any characters, nothing else is special.',
      examples: [['public.movie', 'public.talent_*']],
    }),
});

export const postgres: SourceModule<typeof config> = {
  kind: 'source',
  id: 'postgres',
  title: 'Postgres',
  summary:
    'Follows the tables of a Postgres database through logical replication: their rows as they are, then every change.',
  config,
  schemes: ['postgresql', 'postgres'],
  open: (settings, deps) => new PostgresSource(settings, deps),
};
