import { joinName, nameParts } from '../iceberg/tables/table-name.ts';

/** Names that need quotes though they are made of plain letters. */
const reserved = new Set(
  `all and any array as asc asymmetric both case cast check collate column constraint create default deferrable desc describe distinct
   do else end except false fetch for foreign from group having in initially intersect into lateral leading limit not null offset on
   only or order pivot placing primary qualify references returning select show some summarize symmetric table then to trailing true
   union unique unpivot using variadic when where window with`.split(/\s+/),
);

/** A name as SQL needs it: in quotes where it is not plain, or a word of SQL. */
export function quotedName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/i.test(name) && !reserved.has(name.toLowerCase())
    ? name
    : `"${name.replaceAll('"', '""')}"`;
}

/** A table's own name, without its namespace. */
export function tableLeaf(name: string): string {
  return nameParts(name).at(-1) ?? name;
}

/** The namespace of a table, as text. */
export function tableNamespace(name: string): string {
  return joinName(nameParts(name).slice(0, -1));
}

/** A table of the warehouse as a statement names it: a namespace of several levels is one quoted name. */
export function sqlTableName(name: string): string {
  const levels = nameParts(name);
  const table = levels.pop() ?? '';
  const hasDots = levels.some((level) => level.includes('.'));
  const namespace = hasDots && levels.length === 2 ? levels.map(quotedName) : [quotedName(levels.join('.'))];
  return [...namespace, quotedName(table)].join('.');
}
