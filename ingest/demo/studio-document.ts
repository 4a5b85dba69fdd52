import { rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Where the sample studio's parts answer; `studio` in the product's status. The databases' addresses hold a password. */
export interface StudioDocument {
  databases: { production: string; deals: string };
  edge: string;
  sheets: string;
  airtable: string;
}

export function studioDocumentPath(home: string): string {
  return path.join(home, 'studio.json');
}

/** Readable by its owner only; replaced whole. */
export async function writeStudioDocument(home: string, document: StudioDocument): Promise<void> {
  const file = studioDocumentPath(home);
  await writeFile(`${file}.part`, JSON.stringify(document, null, 2), { mode: 0o600 });
  await rename(`${file}.part`, file);
}

export async function removeStudioDocument(home: string): Promise<void> {
  await rm(studioDocumentPath(home), { force: true });
}
