import type { IcebergField, IcebergSchema, IcebergType } from './iceberg-schema.ts';

/**
 * A new table's schema with ids from 1 on, the fields of one level before those inside them, as the reference
 * implementation gives them; and what became of the ids that the schema came with.
 */
export function assignFieldIds(schema: IcebergSchema): { schema: IcebergSchema; newIds: Map<number, number> } {
  const newIds = new Map<number, number>();
  let last = 0;
  const next = (old: number) => {
    newIds.set(old, ++last);
    return last;
  };
  const fieldsOf = (fields: readonly IcebergField[]): IcebergField[] => {
    const numbered = fields.map((field) => ({ ...field, id: next(field.id) }));
    return numbered.map((field) => ({ ...field, type: typeOf(field.type) }));
  };
  const typeOf = (type: IcebergType): IcebergType => {
    if (typeof type === 'string') return type;
    switch (type.type) {
      case 'struct':
        return { ...type, fields: fieldsOf(type.fields) };
      case 'list': {
        const id = next(type['element-id']);
        return { ...type, 'element-id': id, element: typeOf(type.element) };
      }
      case 'map': {
        const [keyId, valueId] = [next(type['key-id']), next(type['value-id'])];
        return { ...type, 'key-id': keyId, 'value-id': valueId, key: typeOf(type.key), value: typeOf(type.value) };
      }
    }
  };
  const fields = fieldsOf(schema.fields);
  const identifiers = schema['identifier-field-ids'];
  return {
    schema: {
      ...schema,
      fields,
      ...(identifiers ? { 'identifier-field-ids': identifiers.map((id) => newIds.get(id) ?? id) } : {}),
    },
    newIds,
  };
}
