import { DailiesError } from '../../error.ts';
import type { TableMetadata } from './table-metadata.ts';
import type { TableRequirement } from './table-updates.ts';

/**
 * Whether a commit may apply to the table as it is; `base` is null where there is no such table. Throws `commit_conflict`
 * with the reference implementation's words, which clients show, for the first requirement that does not hold.
 */
export function checkRequirements(
  name: string,
  base: TableMetadata | null,
  requirements: readonly TableRequirement[],
): void {
  for (const requirement of requirements) {
    const failure = base === null ? failureWithout(requirement) : failureOf(base, requirement);
    if (failure !== null) {
      throw new DailiesError('commit_conflict', `Requirement failed: ${failure}. Cannot commit to ${name}.`, {
        details: { table: name, requirement: requirement.type },
      });
    }
  }
}

function failureWithout(requirement: TableRequirement): string | null {
  if (requirement.type === 'assert-create') return null;
  if (requirement.type === 'assert-ref-snapshot-id' && isAbsent(requirement['snapshot-id'])) return null;
  return 'the table does not exist';
}

function failureOf(base: TableMetadata, requirement: TableRequirement): string | null {
  switch (requirement.type) {
    case 'assert-create':
      return 'table already exists';
    case 'assert-table-uuid': {
      const uuid = base['table-uuid'];
      return requirement.uuid.toLowerCase() === uuid.toLowerCase()
        ? null
        : `UUID does not match: expected ${requirement.uuid} != ${uuid}`;
    }
    case 'assert-ref-snapshot-id':
      return refFailure(base, requirement.ref, requirement['snapshot-id'] ?? null);
    case 'assert-last-assigned-field-id':
      return changed('last assigned field id', requirement['last-assigned-field-id'], base['last-column-id']);
    case 'assert-current-schema-id':
      return changed('current schema', requirement['current-schema-id'], base['current-schema-id']);
    case 'assert-last-assigned-partition-id':
      return changed(
        'last assigned partition id',
        requirement['last-assigned-partition-id'],
        base['last-partition-id'],
      );
    case 'assert-default-spec-id':
      return changed('default partition spec', requirement['default-spec-id'], base['default-spec-id']);
    case 'assert-default-sort-order-id':
      return changed('default sort order', requirement['default-sort-order-id'], base['default-sort-order-id']);
  }
}

function refFailure(base: TableMetadata, name: string, expected: bigint | null): string | null {
  const ref = Object.hasOwn(base.refs, name) ? base.refs[name] : undefined;
  if (ref === undefined) {
    return isAbsent(expected) ? null : `branch or tag ${name} is missing, expected ${expected}`;
  }
  if (isAbsent(expected)) return `${ref.type} ${name} was created concurrently`;
  return expected === ref['snapshot-id']
    ? null
    : `${ref.type} ${name} has changed: expected id ${expected} != ${ref['snapshot-id']}`;
}

// Some clients put -1 where there is no snapshot.
function isAbsent(snapshotId: bigint | null | undefined): boolean {
  return snapshotId === null || snapshotId === undefined || snapshotId === -1n;
}

function changed(what: string, expected: number, actual: number): string | null {
  return expected === actual ? null : `${what} changed: expected id ${expected} != ${actual}`;
}
