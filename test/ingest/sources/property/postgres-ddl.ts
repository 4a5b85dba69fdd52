import type { Random } from '#test/engines/matrix/random.ts';
import { nameOf, quoted, type RandomColumn, type RandomNames, type RandomTable } from './postgres-tables.ts';
import { randomTypes } from './postgres-types.ts';

export interface DdlDice {
  random: Random;
  names: RandomNames;
  major: number;
}

type Make = (dice: DdlDice, table: RandomTable) => string | null;

/** Null where the table has no column for it. */
const makers: readonly (readonly [weight: number, make: Make])[] = [
  [6, addColumn],
  [4, dropColumn],
  [4, renameColumn],
  [7, alterType],
  [2, comeBack],
  [2, renameTable],
  [2, () => 'drop and create again'],
  [2, changeKey],
  [2, changeIdentity],
  [1, ({ random }, table) => `ALTER TABLE ${nameOf(table)} ${other(random, table)}`],
  [1, (_, table) => (table.isPartitioned ? null : `VACUUM FULL ${nameOf(table)}`)],
  [1, swap],
  [1, ({ names }) => `ALTER TYPE "mood ""x"", y" ADD VALUE ${literal(names.next())} BEFORE 'ok'`],
];

const weighted = makers.flatMap(([weight, make]) => Array.from({ length: weight }, () => make));

/** One change of a table, as SQL; `drop and create again` stands for just that, since the new one is random, too. */
export function randomDdl(dice: DdlDice, table: RandomTable): string {
  for (;;) {
    const sql = dice.random.pick(weighted)(dice, table);
    if (sql !== null) return sql;
  }
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

function alter(table: RandomTable, what: string): string {
  return `ALTER TABLE ${nameOf(table)} ${what}`;
}

function addColumn({ random, names, major }: DdlDice, table: RandomTable): string {
  const type = random.pick(randomTypes.filter(({ since }) => (since ?? 0) <= major));
  const name = quoted(names.next());
  const value = literal(type.text(random, true));
  const storage = type.isLong && random.chance(0.5) ? `; ${alter(table, `ALTER ${name} SET STORAGE EXTERNAL`)}` : '';
  switch (random.below(5)) {
    case 0:
      return alter(table, `ADD ${name} ${type.sql} NOT NULL DEFAULT ${value}${storage}`);
    case 1:
      return alter(table, `ADD ${name} ${type.sql} DEFAULT ${value}${storage}`);
    case 2:
      return alter(table, `ADD ${name} double precision DEFAULT random()`);
    case 3:
      return alter(table, `ADD ${name} ${type.sql} DEFAULT ${value}, ALTER ${name} DROP DEFAULT`);
    default:
      return alter(table, `ADD ${name} ${type.sql}${storage}`);
  }
}

function plainColumn(random: Random, table: RandomTable): RandomColumn | null {
  const columns = table.columns.filter(({ name, isGenerated }) => !isGenerated && !table.key.includes(name));
  return columns.length === 0 ? null : random.pick(columns);
}

function dropColumn({ random, major }: DdlDice, table: RandomTable): string | null {
  const column = plainColumn(random, table);
  if (column === null || table.columns.length < 2) return null;
  // One that a stream carries stays, for what the server fills in itself may be none, or go with this one.
  if (table.key.length === 0 && table.columns.filter(({ isGenerated }) => !isGenerated).length < 2) return null;
  const name = quoted(column.name);
  // Now and then another of its name comes at once.
  const again = random.pick(randomTypes.filter(({ since }) => (since ?? 0) <= major));
  return alter(table, random.chance(0.25) ? `DROP ${name}, ADD ${name} ${again.sql}` : `DROP ${name} CASCADE`);
}

function renameColumn({ random, names }: DdlDice, table: RandomTable): string {
  const { name } = random.pick(table.columns);
  if (random.chance(0.2) && table.columns.length > 1) {
    const partner = random.pick(table.columns.filter((column) => column.name !== name));
    const [a, b, between] = [quoted(name), quoted(partner.name), quoted(names.next())];
    return [`${a} TO ${between}`, `${b} TO ${a}`, `${between} TO ${b}`]
      .map((each) => alter(table, `RENAME ${each}`))
      .join('; ');
  }
  return alter(table, `RENAME ${quoted(name)} TO ${quoted(names.next())}`);
}

function alterType({ random }: DdlDice, table: RandomTable): string | null {
  const choices = table.columns
    .filter(({ isGenerated }) => !isGenerated)
    .flatMap(({ name, type }) => (type.becomes ?? []).map(([sql, using]) => ({ name, sql, using })));
  if (choices.length === 0) return null;
  const { name, sql, using } = random.pick(choices);
  const expression = using === null ? '' : ` USING ${using.replaceAll('#', quoted(name))}`;
  return alter(table, `ALTER ${quoted(name)} TYPE ${sql}${expression}`);
}

/** Within one transaction another name or type, and back: the rows in between have it. */
function comeBack({ random, names }: DdlDice, table: RandomTable): string | null {
  const column = plainColumn(random, table);
  if (column === null) return null;
  const name = quoted(column.name);
  const touch = (now: string) => `UPDATE ${nameOf(table)} SET ${now} = ${now}`;
  if (random.chance(0.5)) {
    const between = quoted(names.next());
    return `BEGIN; ${alter(table, `RENAME ${name} TO ${between}`)}; ${touch(between)};
      ${alter(table, `RENAME ${between} TO ${name}`)}; COMMIT`;
  }
  const { becomes = [] } = column.type;
  const [sql, using] = becomes.length > 0 ? random.pick(becomes) : (['text', null] as const);
  const there = using === null ? '' : ` USING ${using.replaceAll('#', name)}`;
  return `BEGIN; ${alter(table, `ALTER ${name} TYPE ${sql}${there}`)}; ${touch(name)};
    ${alter(table, `ALTER ${name} TYPE ${column.type.sql} USING NULL`)}; COMMIT`;
}

function renameTable({ random, names }: DdlDice, table: RandomTable): string {
  if (random.chance(0.2)) return alter(table, `SET SCHEMA ${quoted(table.schema === 'public' ? 'Öther s' : 'public')}`);
  return alter(table, `RENAME TO ${quoted(names.next())}`);
}

/** A copy takes the table's place. */
function swap({ names }: DdlDice, table: RandomTable): string | null {
  if (table.isPartitioned || table.key.length === 0) return null;
  const [fresh, old] = [names.next(), names.next()];
  const schema = quoted(table.schema);
  return `BEGIN; CREATE TABLE ${schema}.${quoted(fresh)} (LIKE ${nameOf(table)} INCLUDING ALL);
    ${alter(table, `RENAME TO ${quoted(old)}`)}; ALTER TABLE ${schema}.${quoted(fresh)} RENAME TO ${quoted(table.name)};
    DROP TABLE ${schema}.${quoted(old)}; COMMIT`;
}

function changeKey({ random, names }: DdlDice, table: RandomTable): string | null {
  if (table.isPartitioned) return null;
  const drop = table.keyName === null ? null : `DROP CONSTRAINT ${quoted(table.keyName)}`;
  if (drop !== null && random.chance(0.3)) return alter(table, drop);
  const added = quoted(names.next());
  const serial = `ADD ${added} bigint GENERATED ALWAYS AS IDENTITY`;
  if (drop === null) return `${alter(table, serial)}; ${alter(table, `ADD PRIMARY KEY (${added})`)}`;
  const key = table.key.map(quoted);
  switch (random.below(3)) {
    case 0:
      return `${alter(table, serial)}; ${alter(table, `${drop}, ADD PRIMARY KEY (${added})`)}`;
    case 1:
      return alter(table, `${drop}, ADD PRIMARY KEY (${[...key].reverse().join(', ')})`);
    default:
      return `${alter(table, serial)}; ${alter(table, `${drop}, ADD PRIMARY KEY (${[added, ...key].join(', ')})`)}`;
  }
}

function changeIdentity({ random, names }: DdlDice, table: RandomTable): string {
  const setting = random.pick(['FULL', 'FULL', 'DEFAULT', 'DEFAULT', 'NOTHING', 'INDEX']);
  if (setting !== 'INDEX') return alter(table, `REPLICA IDENTITY ${setting}`);
  if (table.isPartitioned || table.key.length === 0) return alter(table, 'REPLICA IDENTITY DEFAULT');
  const [index, column] = [quoted(names.next()), quoted(names.next())];
  return `${alter(table, `ADD ${column} bigint GENERATED ALWAYS AS IDENTITY NOT NULL`)};
    CREATE UNIQUE INDEX ${index} ON ${nameOf(table)} (${column}); ${alter(table, `REPLICA IDENTITY USING INDEX ${index}`)}`;
}

function other(random: Random, table: RandomTable): string {
  const column = plainColumn(random, table);
  if (column === null) return 'SET (fillfactor = 80)';
  const name = quoted(column.name);
  return random.pick([
    `ALTER ${name} DROP NOT NULL`,
    `ALTER ${name} SET STATISTICS 10`,
    `ALTER ${name} SET DEFAULT NULL`,
    'SET (fillfactor = 70)',
  ]);
}
