import { z } from 'zod';
import type { DestinationModule } from '../destination.ts';
import { charactersPerCell } from './cells.ts';
import { quota } from './client.ts';
import { AirtableDelivery } from './delivery.ts';

const config = z.strictObject({
  base: z
    .string()
    .regex(/^[A-Za-z0-9]+$/, "is the base's id, which begins with app")
    .meta({
      title: 'Base',
      description: "The base's id: the part of its address that begins with app",
      examples: ['appXXXX'],
    }),
  table: z
    .string()
    .min(1)
    .meta({ title: 'Table', description: "The table's name or id", examples: ['Movies'] }),
  credentials: z
    .string()
    .min(1)
    .meta({
      title: 'Credential',
      description:
        'A personal access token with the scopes data.records:read, data.records:write, schema.bases:read and schema.bases:write',
      secret: true,
      examples: ['${secret:airtable}'],
    }),
  mode: z
    .enum(['upsert', 'mirror', 'append'], 'is upsert, mirror or append (replace is not supported for airtable yet)')
    .meta({
      title: 'Mode',
      description:
        'upsert: records are changed and added by key · mirror: also removed · append: only keys not delivered before are added',
    }),
  key: z
    .array(z.string().min(1))
    .min(1, 'needs at least one column')
    .max(3, 'may have at most 3 columns: Airtable merges by no more')
    .meta({ title: 'Key', description: 'One to three columns that identify a record', examples: [['id']] }),
});

/** Only the report's own fields are ever written; what people keep in other fields and records is never touched. */
export const airtable: DestinationModule<typeof config> = {
  kind: 'destination',
  id: 'airtable',
  title: 'Airtable',
  summary: "Keeps a table's records current by key and leaves the fields and records that people add alone.",
  config,
  limits: {
    rows: 500_000,
    columns: 500,
    charactersPerCell,
    requests: quota,
    bytesPerRequest: null,
    rowsPerRequest: 10,
  },
  target: (value) => `${value.base}/${value.table}`,
  exclusive: (value) => `airtable/${value.base}`,
  open: (value, deps) => new AirtableDelivery(value, deps),
};
