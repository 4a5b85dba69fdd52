import {
  BIGINT,
  BOOLEAN,
  DATE,
  DECIMAL,
  DOUBLE,
  DuckDBDateValue,
  DuckDBDecimalValue,
  type DuckDBPreparedStatement,
  DuckDBTimestampTZValue,
  type DuckDBType,
  type DuckDBValue,
  TIMESTAMPTZ,
  VARCHAR,
} from '@duckdb/node-api';
import type { BoundParameter } from './parameters.ts';

/** Binds every parameter of the statement by name. The server has made sure that each has a value and no other is given. */
export function bindAll(statement: DuckDBPreparedStatement, parameters: readonly BoundParameter[]): void {
  const byName = new Map(parameters.map((parameter) => [parameter.name.toLowerCase(), parameter]));
  for (let index = 1; index <= statement.parameterCount; index++) {
    const parameter = byName.get(statement.parameterName(index).toLowerCase());
    if (parameter === undefined) throw new Error(`Parameter ${index} has no value.`);
    const { value, type } = typedValue(parameter);
    statement.bindValue(index, value, type);
  }
}

function typedValue(parameter: BoundParameter): { value: DuckDBValue; type: DuckDBType } {
  const text = parameter.value;
  switch (parameter.type) {
    case 'text':
      return { value: text, type: VARCHAR };
    case 'integer':
      return { value: text === null ? null : BigInt(text), type: BIGINT };
    case 'decimal':
      return decimalOf(text);
    case 'double':
      return { value: text === null ? null : Number(text), type: DOUBLE };
    case 'boolean':
      return { value: text === null ? null : text === 'true', type: BOOLEAN };
    case 'date':
      return {
        value: text === null ? null : new DuckDBDateValue(Math.round(Date.parse(`${text}T00:00:00Z`) / 86_400_000)),
        type: DATE,
      };
    case 'timestamp':
      return { value: text === null ? null : new DuckDBTimestampTZValue(microsOf(text)), type: TIMESTAMPTZ };
  }
}

function decimalOf(text: string | null): { value: DuckDBValue; type: DuckDBType } {
  if (text === null) return { value: null, type: DECIMAL(38, 0) };
  const scale = text.split('.')[1]?.length ?? 0;
  const width = Math.max(text.replace(/\D/g, '').length, 1);
  return { value: new DuckDBDecimalValue(BigInt(text.replace('.', '')), width, scale), type: DECIMAL(width, scale) };
}

/** Without a zone the time is UTC, as everywhere in the warehouse. */
function microsOf(text: string): bigint {
  const iso = text.replace(' ', 'T');
  const zoned = /(Z|[+-]\d\d(:?\d\d)?)$/.test(iso) ? iso.replace(/([+-]\d\d)$/, '$1:00') : `${iso}Z`;
  const fraction = /\.(\d+)/.exec(zoned)?.[1] ?? '';
  const seconds = BigInt(Date.parse(zoned.replace(/\.\d+/, '')));
  return seconds * 1000n + BigInt(fraction.padEnd(6, '0') || '0');
}
