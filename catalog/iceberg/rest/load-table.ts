import { createHash } from 'node:crypto';
import { printJson } from '../metadata/json.ts';
import {
  printTableMetadata,
  readMetadataText,
  readTableMetadata,
  type TableMetadata,
} from '../metadata/table-metadata.ts';
import type { TableEntry } from '../tables/table-catalog.ts';
import { mayWrite, owningPipeline, requireRead } from './access.ts';
import type { IcebergRestDeps, StorageCredential } from './rest-deps.ts';
import { RestError } from './rest-error.ts';
import { fullName, type Identifier, shownName } from './rest-request.ts';
import { jsonResponse, noContent, textResponse } from './rest-response.ts';

/** `GET …/tables/{table}`: the metadata file's own text, so that nothing of it is changed on its way. */
export async function loadTable(
  deps: IcebergRestDeps,
  request: Request,
  url: URL,
  identifier: Identifier,
): Promise<Response> {
  const name = fullName(identifier);
  const location = await deps.catalog.locate(name);
  if (location === null) throw noTable(identifier);
  await requireRead(deps, name);
  const isRefsOnly = url.searchParams.get('snapshots') === 'refs';
  const etag = etagOf(location, isRefsOnly);
  if (isMatching(request.headers.get('if-none-match'), etag)) {
    return new Response(null, { status: 304, headers: { etag } });
  }
  const text = await readMetadataText(location);
  const metadata = await readTableMetadata(location);
  const body = isRefsOnly ? printTableMetadata(referencedOnly(metadata)) : text;
  return await tableResponse(deps, request, name, { metadataLocation: location, metadata }, body, etag);
}

/** `HEAD …/tables/{table}` */
export async function tableExists(deps: IcebergRestDeps, identifier: Identifier): Promise<Response> {
  const name = fullName(identifier);
  if ((await deps.catalog.locate(name)) === null) throw noTable(identifier);
  await requireRead(deps, name);
  return noContent();
}

/** `GET …/tables/{table}/credentials` */
export async function loadCredentials(deps: IcebergRestDeps, identifier: Identifier): Promise<Response> {
  const name = fullName(identifier);
  const entry = await deps.catalog.load(name);
  if (entry === null) throw noTable(identifier);
  await requireRead(deps, name);
  return jsonResponse({ 'storage-credentials': await credentialsFor(deps, name, entry.metadata.location) });
}

/** The answer to loading, making and registering a table; credentials go with it where the client asks for them. */
export async function tableResponse(
  deps: IcebergRestDeps,
  request: Request,
  name: string,
  entry: { metadataLocation: string | null; metadata: TableMetadata },
  metadataText = printTableMetadata(entry.metadata),
  etag = entry.metadataLocation === null ? null : etagOf(entry.metadataLocation, false),
): Promise<Response> {
  const isVended = (request.headers.get('x-iceberg-access-delegation') ?? '')
    .split(',')
    .some((mechanism) => mechanism.trim() === 'vended-credentials');
  const credentials = isVended ? await credentialsFor(deps, name, entry.metadata.location) : [];
  // Older clients look for credentials among the properties.
  const config = { ...deps.storageConfig, ...credentials[0]?.config };
  const rest = printJson({ config, ...(credentials.length > 0 ? { 'storage-credentials': credentials } : {}) });
  const text = `{"metadata-location":${JSON.stringify(entry.metadataLocation)},"metadata":${metadataText},${rest.slice(1)}`;
  return textResponse(text, 200, etag === null ? {} : { etag });
}

/** The answer to a commit. */
export function commitResponse(entry: TableEntry): Response {
  const text = `{"metadata-location":${JSON.stringify(entry.metadataLocation)},"metadata":${printTableMetadata(entry.metadata)}}`;
  return textResponse(text, 200, { etag: etagOf(entry.metadataLocation, false) });
}

export function noTable(identifier: Identifier): RestError {
  return new RestError(404, 'NoSuchTableException', `Table does not exist: ${shownName(identifier)}`);
}

// Data of a table that a pipeline writes is the pipeline's: whoever may not commit to it need not write files either.
async function credentialsFor(deps: IcebergRestDeps, name: string, location: string): Promise<StorageCredential[]> {
  const isWriter = mayWrite(deps) && (await owningPipeline(deps, name)) === null;
  return await deps.vendCredentials(location, isWriter);
}

/** A metadata file never changes: its location, and what of it was asked for, tell whether an answer is still good. */
function etagOf(metadataLocation: string, isRefsOnly: boolean): string {
  const hash = createHash('sha256').update(`${isRefsOnly}\n${metadataLocation}`).digest('base64url');
  return `"${hash}"`;
}

function isMatching(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(',').some((one) => {
    const tag = one.trim().replace(/^W\//, '');
    return tag === '*' || tag === etag || `"${tag}"` === etag;
  });
}

function referencedOnly(metadata: TableMetadata): TableMetadata {
  const referenced = new Set(Object.values(metadata.refs).map((ref) => ref['snapshot-id']));
  return {
    ...metadata,
    snapshots: metadata.snapshots.filter((snapshot) => referenced.has(snapshot['snapshot-id'])),
  };
}
