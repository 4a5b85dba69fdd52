'use client';

import { ActionIcon, Autocomplete, NativeSelect, TagsInput, TextInput } from '@mantine/core';
import { IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { type Answers, api } from './api.ts';
import css from './delivery-fields.module.css';
import type { DeliveryDraft } from './report-form.tsx';

type Destination = Answers['reports']['destinations'][number];
type Field = Destination['fields'][number];

interface DeliveryFieldsProps {
  delivery: DeliveryDraft;
  destinations: readonly Destination[];
  onChange(delivery: DeliveryDraft): void;
  onRemove(): void;
}

/** One delivery's fields, made from what its destination says of its own configuration. */
export function DeliveryFields({ delivery, destinations, onChange, onRemove }: DeliveryFieldsProps) {
  const destination = destinations.find((candidate) => candidate.id === delivery.kind);
  return (
    <div className={css.delivery}>
      <div className={css.head}>
        <strong>{destination?.title ?? delivery.kind}</strong>
        <span className={css.summary}>{destination?.summary}</span>
        <ActionIcon aria-label={`Remove ${destination?.title ?? delivery.kind}`} onClick={onRemove}>
          <IconX size={15} aria-hidden />
        </ActionIcon>
      </div>
      <div className={css.fields}>
        {destination?.fields.map((field) => (
          <DeliveryField
            key={field.name}
            field={field}
            kind={delivery.kind}
            value={delivery[field.name]}
            onChange={(value) => onChange(withField(delivery, field.name, value))}
          />
        ))}
      </div>
    </div>
  );
}

interface DeliveryFieldProps {
  field: Field;
  kind: string;
  value: unknown;
  onChange(value: unknown): void;
}

function DeliveryField({ field, kind, value, onChange }: DeliveryFieldProps) {
  const shared = {
    label: field.title,
    description: field.description ?? undefined,
    required: field.isRequired,
    withAsterisk: false,
    inputWrapperOrder: ['label', 'input', 'description', 'error'] as ('label' | 'input' | 'description' | 'error')[],
  };
  if (field.isSecret) return <CredentialField {...shared} kind={kind} value={textOf(value)} onChange={onChange} />;
  if (field.choices) {
    return (
      <NativeSelect
        {...shared}
        data={[{ value: '', label: 'Choose …', disabled: field.isRequired }, ...field.choices]}
        value={textOf(value)}
        onChange={(event) => onChange(event.currentTarget.value || undefined)}
      />
    );
  }
  if (field.isList) {
    return (
      <TagsInput
        {...shared}
        required={false}
        placeholder={listOf(value).length === 0 ? (field.example ?? 'Column names, each with Enter') : ''}
        acceptValueOnBlur
        value={listOf(value)}
        onChange={(items) => onChange(items.length === 0 ? undefined : items)}
      />
    );
  }
  return (
    <TextInput
      {...shared}
      placeholder={field.example ?? ''}
      value={textOf(value)}
      onChange={(event) => onChange(event.currentTarget.value || undefined)}
    />
  );
}

/** Credentials are never typed here: they are named, and kept by `dailies secret set`. */
function CredentialField(props: {
  label: string;
  description: string | undefined;
  required: boolean;
  /** The destination that it is for: credentials that others use there come first. */
  kind: string;
  value: string;
  onChange(value: string): void;
}) {
  const known = useQuery({
    queryKey: ['credentials'],
    queryFn: () => api.reports.credentials.query(),
    staleTime: 60_000,
  });
  const fitting = (known.data ?? []).filter((credential) => credential.kinds.includes(props.kind));
  const names = [...new Set([...fitting, ...(known.data ?? [])].map((credential) => credential.reference))];
  return (
    <Autocomplete
      label={props.label}
      description={`${props.description ?? 'A credential'}. Written as \${secret:NAME}, after “dailies secret set NAME”.`}
      required={props.required}
      withAsterisk={false}
      inputWrapperOrder={['label', 'input', 'description', 'error']}
      placeholder={fitting[0]?.reference ?? `\${secret:NAME}`}
      data={names}
      pattern="\$\{secret:[A-Za-z0-9_.\-]+\}"
      title="${secret:NAME}"
      value={props.value}
      onChange={props.onChange}
    />
  );
}

function withField(delivery: DeliveryDraft, name: string, value: unknown): DeliveryDraft {
  const { [name]: _old, ...rest } = delivery;
  return { ...rest, kind: delivery.kind, ...(value === undefined ? {} : { [name]: value }) };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
