import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Module } from '#catalog/module.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';

const lists: [string, readonly Module[]][] = [
  ['source', sources],
  ['processor', processors],
  ['sink', sinks],
];

describe.each(lists)('every %s module', (kind, modules) => {
  test('is in the list of its kind, under an id of its own', () => {
    expect(modules.length).toBeGreaterThan(0);
    expect(modules.map((module) => module.kind)).toEqual(modules.map(() => kind));
    expect(new Set(modules.map(({ id }) => id)).size).toBe(modules.length);
  });

  test.each(modules.map((module) => [module.id, module] as const))('%s describes itself', (id, module) => {
    expect(id).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(module.title).not.toBe('');
    expect(module.summary).toMatch(/\.$/);
    const schema = z.toJSONSchema(module.config, { io: 'input', unrepresentable: 'any' });
    expect(schema.additionalProperties, 'a typo must fail').toBe(false);
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      expect(field, `${id}.${name}`).toHaveProperty('title');
    }
    const typo = module.config.safeParse({ notASetting: true });
    expect(typo.error?.issues.some(({ code }) => code === 'unrecognized_keys')).toBe(true);
  });
});

test.each(processors.map((module) => [module.id, module] as const))('the example of %s is valid', (_, module) => {
  expect(z.safeParse(module.config as z.ZodObject, module.example).error).toBeUndefined();
});
