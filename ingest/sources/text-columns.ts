import type { Field, FieldType } from '#catalog/schemas/schema.ts';

/** A column of a source's table, as far as its field needs it. */
export interface PlainColumn {
  name: string;
  type: FieldType;
  comment: string | null;
}

/**
 * The fields of a table: one for each column, then a text for each of the columns `textOf`, by index, that had a value which
 * its type cannot carry. `isRequired` says of a column without such a text whether it never holds NULL.
 */
export function fieldsWithTexts(
  columns: readonly PlainColumn[],
  textOf: readonly number[],
  isRequired: (index: number) => boolean,
): Field[] {
  const fields = columns.map(
    ({ name, type, comment }, index): Field => ({
      name,
      type,
      required: !textOf.includes(index) && isRequired(index),
      ...(comment === null ? {} : { doc: comment }),
    }),
  );
  const taken = new Set(columns.map(({ name }) => name));
  for (const index of textOf) {
    const column = columns[index]?.name ?? '';
    let name = `${column}__text`;
    while (taken.has(name)) name += '_';
    taken.add(name);
    const doc = `The text of a ${column} that its type cannot carry`;
    fields.push({ name, type: { kind: 'string' }, required: false, doc });
  }
  return fields;
}
