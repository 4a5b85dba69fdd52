import type { ModuleKind } from '../../module.ts';

/** Parts of the definition that the product knows of but cannot do yet: refused by name, never taken and ignored. */
const kinds: Readonly<Record<ModuleKind, readonly string[]>> = {
  source: [],
  processor: ['mask', 'join', 'union'],
  sink: ['elasticsearch', 'topic', 'kafka'],
  destination: ['webhook'],
};

export function isKindForLater(module: ModuleKind, kind: string): boolean {
  return kinds[module].includes(kind);
}
