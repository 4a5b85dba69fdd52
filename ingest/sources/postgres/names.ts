import { createHash } from 'node:crypto';

export interface ServerNames {
  slot: string;
  /** Tables whose updates and deletes the stream can name. */
  publication: string;
  /** Tables without a usable replica identity: insert and truncate only, so that an application's UPDATE never fails. */
  insertsPublication: string;
}

/** What we make in the database for a source. Slot names are a–z, 0–9 and _ only, 63 at most; a hash keeps others apart. */
export function serverNames(source: string): ServerNames {
  const plain = source.toLowerCase().replace(/[^a-z0-9_]/g, '_');
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 8);
  const name = plain === source && plain.length <= 40 ? source : `${plain.slice(0, 31)}_${hash}`;
  return { slot: `dailies_${name}`, publication: `dailies_${name}`, insertsPublication: `dailies_${name}_inserts` };
}
