'use client';

import { NativeSelect, TextInput } from '@mantine/core';
import css from './parameter-form.module.css';
import { type ParameterDraft, parameterTypes } from './sql-parameters.ts';

interface ParameterFormProps {
  names: readonly string[];
  values: Readonly<Record<string, ParameterDraft>>;
  onChange(values: Record<string, ParameterDraft>): void;
  /** Label before the fields. */
  legend?: string;
}

/** A field for each `:name` of the statement, with its type. */
export function ParameterForm({ names, values, onChange, legend = 'Parameters' }: ParameterFormProps) {
  function set(name: string, changes: Partial<ParameterDraft>) {
    onChange({ ...values, [name]: { ...(values[name] ?? { type: 'text', text: '' }), ...changes } });
  }
  return (
    <fieldset className={css.form}>
      <legend className={css.legend}>{legend}</legend>
      {names.map((name) => {
        const { type, text } = values[name] ?? { type: 'text', text: '' };
        return (
          <div key={name} className={css.field}>
            <span className={css.name}>:{name}</span>
            <NativeSelect
              aria-label={`Type of ${name}`}
              data={[...parameterTypes]}
              value={type}
              w={104}
              onChange={(event) => {
                const next = parameterTypes.find((known) => known === event.currentTarget.value);
                if (next) set(name, { type: next, text: next === 'boolean' ? 'true' : '' });
              }}
            />
            {type === 'boolean' ? (
              <NativeSelect
                aria-label={`Value of ${name}`}
                data={['true', 'false']}
                value={text}
                onChange={(event) => set(name, { text: event.currentTarget.value })}
              />
            ) : (
              <TextInput
                aria-label={`Value of ${name}`}
                type={type === 'date' ? 'date' : 'text'}
                inputMode={type === 'number' ? 'decimal' : 'text'}
                placeholder={type === 'timestamp' ? '2026-11-25T09:00:00Z' : type === 'text' ? '' : 'NULL'}
                value={text}
                onChange={(event) => set(name, { text: event.currentTarget.value })}
              />
            )}
          </div>
        );
      })}
    </fieldset>
  );
}
