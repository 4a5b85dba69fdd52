import type { z } from 'zod';
import type { Module } from '#catalog/module.ts';
import type { FieldType } from '#catalog/schemas/schema.ts';

export type DeliveryMode = 'append' | 'replace' | 'upsert' | 'mirror';

/** A value of a report's result: as in `catalog/schemas/schema.ts`, with int and long both allowed as number or bigint. */
export interface ResultColumn {
  name: string;
  type: FieldType;
}
