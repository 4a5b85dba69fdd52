import { z } from 'zod';
import {
  encryptedKey,
  icebergSchema,
  int64,
  partitionStatisticsFile,
  snapshotRecord,
  statisticsFile,
} from './table-metadata.ts';

const text = z.record(z.string(), z.string());

// A spec or order that is to be added may leave its ids to the catalog.
export const unboundSpec = z.object({
  'spec-id': z.int().optional(),
  fields: z.array(
    z.looseObject({
      'source-id': z.int().optional(),
      'source-ids': z.array(z.int()).optional(),
      'field-id': z.int().optional(),
      name: z.string(),
      transform: z.string(),
    }),
  ),
});
export type UnboundPartitionSpec = z.infer<typeof unboundSpec>;

export const unboundSortOrder = z.object({
  'order-id': z.int().optional(),
  fields: z.array(
    z.looseObject({
      'source-id': z.int().optional(),
      'source-ids': z.array(z.int()).optional(),
      transform: z.string(),
      direction: z.enum(['asc', 'desc']),
      'null-order': z.enum(['nulls-first', 'nulls-last']),
    }),
  ),
});
export type UnboundSortOrder = z.infer<typeof unboundSortOrder>;

// Clients of older versions leave the ids out where there is only one schema.
export const unboundSchema = icebergSchema.extend({ 'schema-id': z.int().default(0) });

/**
 * One change of a table's metadata, `TableUpdate` of the REST catalog's OpenAPI: the form in which our own writers,
 * engines and other catalogs say what a commit changes. Updates apply in their order; -1 as the id of a schema, spec or
 * sort order means the one added last in the same list.
 */
export const tableUpdate = z.discriminatedUnion('action', [
  z.object({ action: z.literal('assign-uuid'), uuid: z.string() }),
  z.object({ action: z.literal('upgrade-format-version'), 'format-version': z.int() }),
  z.object({ action: z.literal('add-schema'), schema: unboundSchema, 'last-column-id': z.int().optional() }),
  z.object({ action: z.literal('set-current-schema'), 'schema-id': z.int() }),
  z.object({ action: z.literal('add-spec'), spec: unboundSpec }),
  z.object({ action: z.literal('set-default-spec'), 'spec-id': z.int() }),
  z.object({ action: z.literal('add-sort-order'), 'sort-order': unboundSortOrder }),
  z.object({ action: z.literal('set-default-sort-order'), 'sort-order-id': z.int() }),
  z.object({ action: z.literal('add-snapshot'), snapshot: snapshotRecord }),
  z.object({
    action: z.literal('set-snapshot-ref'),
    'ref-name': z.string().min(1),
    type: z.enum(['branch', 'tag']),
    'snapshot-id': int64,
    'max-ref-age-ms': int64.nullish(),
    'max-snapshot-age-ms': int64.nullish(),
    'min-snapshots-to-keep': z.int().nullish(),
  }),
  z.object({ action: z.literal('remove-snapshots'), 'snapshot-ids': z.array(int64) }),
  z.object({ action: z.literal('remove-snapshot-ref'), 'ref-name': z.string() }),
  z.object({ action: z.literal('set-location'), location: z.string().min(1) }),
  z.object({ action: z.literal('set-properties'), updates: text }),
  z.object({ action: z.literal('remove-properties'), removals: z.array(z.string()) }),
  z.object({ action: z.literal('set-statistics'), 'snapshot-id': int64.optional(), statistics: statisticsFile }),
  z.object({ action: z.literal('remove-statistics'), 'snapshot-id': int64 }),
  z.object({ action: z.literal('set-partition-statistics'), 'partition-statistics': partitionStatisticsFile }),
  z.object({ action: z.literal('remove-partition-statistics'), 'snapshot-id': int64 }),
  z.object({ action: z.literal('remove-partition-specs'), 'spec-ids': z.array(z.int()) }),
  z.object({ action: z.literal('remove-schemas'), 'schema-ids': z.array(z.int()) }),
  z.object({ action: z.literal('add-encryption-key'), 'encryption-key': encryptedKey }),
  z.object({ action: z.literal('remove-encryption-key'), 'key-id': z.string() }),
]);
export type TableUpdate = z.infer<typeof tableUpdate>;

/** What must hold of the table for a commit to apply, `TableRequirement` of the REST catalog's OpenAPI. */
export const tableRequirement = z.discriminatedUnion('type', [
  z.object({ type: z.literal('assert-create') }),
  z.object({ type: z.literal('assert-table-uuid'), uuid: z.string() }),
  z.object({
    type: z.literal('assert-ref-snapshot-id'),
    ref: z.string(),
    // null, or left out by some clients: the ref must not exist.
    'snapshot-id': int64.nullish(),
  }),
  z.object({ type: z.literal('assert-last-assigned-field-id'), 'last-assigned-field-id': z.int() }),
  z.object({ type: z.literal('assert-current-schema-id'), 'current-schema-id': z.int() }),
  z.object({ type: z.literal('assert-last-assigned-partition-id'), 'last-assigned-partition-id': z.int() }),
  z.object({ type: z.literal('assert-default-spec-id'), 'default-spec-id': z.int() }),
  z.object({ type: z.literal('assert-default-sort-order-id'), 'default-sort-order-id': z.int() }),
]);
export type TableRequirement = z.infer<typeof tableRequirement>;
