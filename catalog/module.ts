import type { z } from 'zod';

/**
 * One self-describing part of the data's way: a source, a processor, a sink or a destination. Forms, docs, `--help`,
 * validation and the masking of secrets are derived from it; its id appears nowhere else.
 *
 * `config` is a strict zod object, so that a typo in a definition fails. `.meta({ title, description, unit, secret,
 * examples })` comes last in each field's chain.
 */
export interface Module<Kind extends ModuleKind = ModuleKind, Config extends z.ZodObject = z.ZodObject> {
  kind: Kind;
  /** What a definition's `kind:` says: `postgres`, `graphql-enrich`, `iceberg`, `google-sheets`. */
  id: string;
  title: string;
  /** One sentence in plain words. */
  summary: string;
  config: Config;
}

export type ModuleKind = 'source' | 'processor' | 'sink' | 'destination';

/** Every module that this product was put together with; handed to whoever validates or documents a definition. */
export interface ModuleList {
  sources: readonly Module<'source'>[];
  processors: readonly Module<'processor'>[];
  sinks: readonly Module<'sink'>[];
  destinations: readonly Module<'destination'>[];
}

declare module 'zod' {
  interface GlobalMeta {
    /** Never printed, exported or logged; a definition may refer to it as ${secret:NAME}. */
    secret?: boolean;
    unit?: string;
  }
}
