import type { TableUpdate } from '../metadata/table-updates.ts';
import type { TableCommit } from '../tables/table-catalog.ts';
import { nameParts } from '../tables/table-name.ts';

/** CommitTableRequest of the protocol. */
export function commitRequest(commit: TableCommit): unknown {
  const namespace = nameParts(commit.name);
  const name = namespace.pop() ?? '';
  return {
    identifier: { namespace, name },
    requirements: commit.requirements,
    updates: commit.updates.map((update) => withIds(update, commit)),
  };
}

// The catalog gives a new spec or order its id, and servers refuse one without any all the same.
function withIds(update: TableUpdate, { base }: TableCommit): TableUpdate {
  switch (update.action) {
    case 'add-spec': {
      const taken = base?.metadata['partition-specs'].map((spec) => spec['spec-id']) ?? [];
      return { ...update, spec: { 'spec-id': Math.max(-1, ...taken) + 1, ...update.spec } };
    }
    case 'add-sort-order': {
      const taken = base?.metadata['sort-orders'].map((order) => order['order-id']) ?? [];
      return { ...update, 'sort-order': { 'order-id': Math.max(0, ...taken) + 1, ...update['sort-order'] } };
    }
    default:
      return update;
  }
}
