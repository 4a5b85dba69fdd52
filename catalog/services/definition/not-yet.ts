import type { ModuleKind } from '../../module.ts';

/** Parts of the definition that the product knows of but cannot do yet: refused by name, never taken and ignored. */
const kinds: Readonly<Record<ModuleKind, readonly string[]>> = {
  source: ['mysql', 'mariadb', 'producer', 'kafka'],
  processor: ['mask', 'join', 'union'],
  sink: ['elasticsearch', 'topic', 'kafka'],
  destination: ['webhook'],
};

export function isKindForLater(module: ModuleKind, kind: string): boolean {
  return kinds[module].includes(kind);
}

/** Settings of a sink that do not work yet, each with its sentence. */
export function sinkSettingsForLater(entry: Readonly<Record<string, unknown>>): { key: string; message: string }[] {
  const found: { key: string; message: string }[] = [];
  const { mode, formatVersion, partition, _dailies } = entry;
  if (mode === 'changes')
    found.push({ key: 'mode', message: 'mode: changes does not work yet; leave it out to mirror the rows' });
  if (formatVersion === 3)
    found.push({ key: 'formatVersion', message: 'formatVersion: 3 does not work yet; use 2 or leave it out' });
  if (Array.isArray(partition) && partition.length > 0)
    found.push({ key: 'partition', message: 'partition does not work yet; leave it empty or out' });
  if (_dailies !== undefined && _dailies !== false)
    found.push({ key: '_dailies', message: '_dailies does not work yet; leave it out' });
  return found;
}
