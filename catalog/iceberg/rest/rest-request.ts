import { z } from 'zod';
import { parseJson } from '../metadata/json.ts';
import type { PageOf } from '../tables/namespaces.ts';
import { joinName } from '../tables/table-name.ts';
import { badRequest } from './rest-error.ts';

/** Levels of a namespace in a path or a parameter are joined by this character. */
const separator = '\x1f';

/** A table or view as the protocol names it. */
export interface Identifier {
  namespace: readonly string[];
  name: string;
}

const part = z
  .string()
  .min(1)
  .refine((text) => !text.includes('\0') && !text.includes(separator));

export const namespaceLevels = z.array(part).min(1);
export const identifier = z.object({ namespace: namespaceLevels, name: part });

/** The identifier in one text, as everything here names it. */
export function fullName({ namespace, name }: Identifier): string {
  return joinName([...namespace, name]);
}

/** The identifier as the reference implementation prints it, for messages that clients look for. */
export function shownName({ namespace, name }: Identifier): string {
  return [...namespace, name].join('.');
}

/** One name of the path. Java's clients write a blank as "+", as in forms, and a plus sign always escaped. */
export function pathName(text: string): string {
  try {
    const name = decodeURIComponent(text.replaceAll('+', ' '));
    if (!name.includes('\0')) return name;
  } catch (thrown) {
    if (!(thrown instanceof URIError)) throw thrown;
  }
  throw badRequest('A name in the path is not well-formed.');
}

export function pathLevels(text: string): string[] {
  return levelsOf(pathName(text));
}

/** Levels in a parameter; none where it is absent or empty. */
export function parentLevels(url: URL): string[] {
  const parent = url.searchParams.get('parent') ?? '';
  return parent === '' ? [] : levelsOf(parent);
}

function levelsOf(text: string): string[] {
  const levels = text.split(separator);
  if (levels.some((level) => level === '')) throw badRequest('A level of the namespace is empty.');
  return levels;
}

/** The largest page that is answered at once, whatever a client asks for. */
const maxPageSize = 10_000;

/**
 * Which part of a list is asked for. A token is the last name of the page before it: pages stay right while names come
 * and go. A client that sends no token does not know pages and gets all.
 */
export function pageAsked(url: URL): PageOf {
  const token = url.searchParams.get('pageToken');
  const asked = url.searchParams.get('pageSize');
  const size = asked === null ? null : Number(asked);
  if (size !== null && (!Number.isInteger(size) || size < 1))
    throw badRequest('pageSize must be a whole number above 0.');
  const limit = token === null && size === null ? null : Math.min(size ?? maxPageSize, maxPageSize);
  return { after: token === null || token === '' ? null : Buffer.from(token, 'base64url').toString(), limit };
}

/** A page of names and the token of the next one, read with one name more than the page holds. */
export async function pageOf(
  asked: PageOf,
  list: (page: PageOf) => Promise<string[]>,
): Promise<{ names: string[]; nextToken: string | null }> {
  const { limit } = asked;
  const names = await list({ ...asked, limit: limit === null ? null : limit + 1 });
  const last = limit === null || names.length <= limit ? undefined : names[limit - 1];
  if (limit === null || last === undefined) return { names, nextToken: null };
  return { names: names.slice(0, limit), nextToken: Buffer.from(last).toString('base64url') };
}

const maxBodyBytes = 64 << 20;

/** The request's body. Throws 400 naming the first field that is not as it should be. */
export async function bodyOf<Shape extends z.ZodType>(request: Request, shape: Shape): Promise<z.output<Shape>> {
  const text = await request.text();
  if (text.length > maxBodyBytes) throw badRequest('The request is too large.');
  let json: unknown;
  try {
    json = parseJson(text);
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown;
    throw badRequest('The request is not JSON.');
  }
  const parsed = shape.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw badRequest(`Invalid request: ${issue?.path.map(String).join('.')}: ${issue?.message}`);
}
