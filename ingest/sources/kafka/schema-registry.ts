import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';

/** Where the schemas are that records name by numbers. */
export interface SchemaRegistry {
  /** The schema's JSON. Throws `source_not_ready` where there is no such schema, `source_unreachable` where nobody answers. */
  schema(id: number, signal: AbortSignal): Promise<string>;
}

/** Files `<id>.avsc` or `<id>.json` of a folder. */
export function recordedSchemas(folder: string): SchemaRegistry {
  return {
    async schema(id) {
      for (const name of [`${id}.avsc`, `${id}.json`]) {
        try {
          return await readFile(join(folder, name), 'utf8');
        } catch (thrown) {
          if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') {
            throw new DailiesError('source_unreachable', `The schema ${join(folder, name)} cannot be read.`, {
              cause: thrown,
            });
          }
        }
      }
      throw new DailiesError(
        'source_not_ready',
        `Records are in Avro with the schema ${id}, and ${folder} has no ${id}.avsc. Put it there, or name a registry: file:///folder?registry=http://host:8081.`,
        { details: { id } },
      );
    },
  };
}

const answer = z.object({
  schema: z.string(),
  schemaType: z.string().default('AVRO'),
  references: z.array(z.unknown()).default([]),
});

const withinMs = 20_000;

/** A registry with Confluent's API: `GET /schemas/ids/{id}`. A user and password of the address are sent along. */
export function confluentRegistry(address: string): SchemaRegistry {
  const base = new URL(address.endsWith('/') ? address : `${address}/`);
  const headers: Record<string, string> = { accept: 'application/vnd.schemaregistry.v1+json' };
  if (base.username !== '') {
    const user = `${decodeURIComponent(base.username)}:${decodeURIComponent(base.password)}`;
    headers.authorization = `Basic ${Buffer.from(user).toString('base64')}`;
    base.username = base.password = '';
  }
  return {
    async schema(id, signal) {
      const url = new URL(`schemas/ids/${id}`, base);
      let response: Response;
      let body: string;
      try {
        response = await fetch(url, { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(withinMs)]) });
        body = await response.text();
      } catch (thrown) {
        signal.throwIfAborted();
        throw new DailiesError('source_unreachable', `The schema registry ${base.host} does not answer.`, {
          cause: thrown,
        });
      }
      if (response.status === 404) {
        throw new DailiesError(
          'source_not_ready',
          `The schema registry ${base.host} has no schema ${id}, which records name.`,
          {
            details: { id },
          },
        );
      }
      if (response.status === 401 || response.status === 403) {
        throw new DailiesError(
          'source_refused',
          `The schema registry ${base.host} refuses us (${response.status}). Name its user and password in the address.`,
        );
      }
      if (!response.ok) {
        throw new DailiesError(
          'source_unreachable',
          `The schema registry ${base.host} answered ${response.status} for the schema ${id}.`,
        );
      }
      return schemaOf(body, id, base.host);
    },
  };
}

function schemaOf(body: string, id: number, host: string): string {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    json = null;
  }
  const parsed = answer.safeParse(json);
  if (!parsed.success) {
    throw new DailiesError(
      'source_protocol',
      `The schema registry ${host} answered for the schema ${id} with something else.`,
    );
  }
  const { schema, schemaType, references } = parsed.data;
  if (schemaType !== 'AVRO' || references.length > 0) {
    const what = schemaType === 'AVRO' ? 'refers to other schemas' : `is one of ${schemaType}`;
    throw new DailiesError(
      'source_not_ready',
      `The schema ${id} of the registry ${host} ${what}, which cannot be read; Debezium's Avro converters make none such.`,
      {
        details: { id },
      },
    );
  }
  return schema;
}
