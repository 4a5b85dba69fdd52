'use client';

import {
  Autocomplete,
  Button,
  Group,
  MultiSelect,
  NativeSelect,
  Select,
  Stack,
  Textarea,
  TextInput,
} from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { type Answers, api } from './api.ts';
import { cronSentence } from './cron-sentence.ts';
import { DeliveryFields } from './delivery-fields.tsx';
import { Failure } from './failure.tsx';
import { ParameterForm } from './parameter-form.tsx';
import css from './report-form.module.css';
import { type ParameterDraft, parameterNames, parameterTypes } from './sql-parameters.ts';

export type DeliveryDraft = Record<string, unknown> & { kind: string };
export type Schedule = Answers['reports']['get']['schedule'];

export interface ReportDraft {
  name: string;
  title: string;
  sql: string;
  parameters: Record<string, ParameterDraft>;
  schedule: Schedule;
  deliveries: DeliveryDraft[];
}

interface ReportFormProps {
  initial: ReportDraft;
  /** True for a report that exists already: its name stays. */
  isExisting?: boolean;
  /** False where the SQL stands in an editor beside the form. */
  showSql?: boolean;
  onSaved(name: string): void;
}

/** Makes or changes a report: what it is called, when it runs, where its rows go. */
export function ReportForm({ initial, isExisting = false, showSql = true, onSaved }: ReportFormProps) {
  const client = useQueryClient();
  const [draft, setDraft] = useState(initial);
  const set = (changes: Partial<ReportDraft>) => setDraft((now) => ({ ...now, ...changes }));
  const names = parameterNames(draft.sql);
  const destinations = useQuery({
    queryKey: ['destinations'],
    queryFn: () => api.reports.destinations.query(),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const save = useMutation({
    mutationFn: () => api.reports.save.mutate({ name: draft.name.trim(), isNew: !isExisting, report: specOf(draft) }),
    onSuccess: async ({ name }) => {
      await client.invalidateQueries({ queryKey: ['reports'] });
      onSaved(name);
    },
  });
  function onSubmit(event: FormEvent) {
    event.preventDefault();
    save.mutate();
  }
  function change(index: number, delivery: DeliveryDraft | null) {
    set({ deliveries: draft.deliveries.flatMap((old, at) => (at !== index ? [old] : delivery ? [delivery] : [])) });
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack gap={16}>
        <Group grow align="flex-start">
          <TextInput
            label="Name"
            description="Short; it stands in the address"
            placeholder="in-production"
            required
            withAsterisk={false}
            disabled={isExisting}
            pattern="[^\/]+"
            maxLength={120}
            data-autofocus
            value={draft.name}
            onChange={(event) => set({ name: event.currentTarget.value })}
          />
          <TextInput
            label="Title"
            description="What people read; optional"
            placeholder="Films in production"
            maxLength={200}
            value={draft.title}
            onChange={(event) => set({ title: event.currentTarget.value })}
          />
        </Group>
        {showSql && (
          <Textarea
            label="SQL"
            description="One SELECT; write :name for a parameter"
            required
            withAsterisk={false}
            autosize
            minRows={4}
            maxRows={14}
            classNames={{ input: 'mono' }}
            value={draft.sql}
            onChange={(event) => set({ sql: event.currentTarget.value })}
          />
        )}
        {names.length > 0 && (
          <div className={css.box}>
            <ParameterForm
              legend="Parameters with their usual values"
              names={names}
              values={draft.parameters}
              onChange={(parameters) => set({ parameters })}
            />
          </div>
        )}
        <ScheduleFields value={draft.schedule} onChange={(schedule) => set({ schedule })} />
        <fieldset className={css.deliveries}>
          <legend className={css.legend}>Where the rows go</legend>
          {draft.deliveries.length === 0 && <p className={css.none}>Nowhere yet: people read it here.</p>}
          {draft.deliveries.map((delivery, index) => (
            <DeliveryFields
              // biome-ignore lint/suspicious/noArrayIndexKey: deliveries are known by their place
              key={index}
              delivery={delivery}
              destinations={destinations.data ?? []}
              onChange={(next) => change(index, next)}
              onRemove={() => change(index, null)}
            />
          ))}
          <Group gap={8}>
            {destinations.data?.map(({ id, title }) => (
              <Button
                key={id}
                leftSection={<IconPlus size={14} aria-hidden />}
                onClick={() => set({ deliveries: [...draft.deliveries, { kind: id }] })}
              >
                {title}
              </Button>
            ))}
          </Group>
          {destinations.error && <Failure error={destinations.error} retry={() => destinations.refetch()} />}
        </fieldset>
        {save.error && <Failure error={save.error} what="The report was not saved." />}
        <Group justify="flex-end">
          <Button type="submit" variant="filled" loading={save.isPending}>
            {isExisting ? 'Save changes' : 'Save report'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

const usualCrons = [
  { cron: '0 9 * * 1-5', label: 'Weekdays at 9:00' },
  { cron: '0 8 * * *', label: 'Every day at 8:00' },
  { cron: '0 * * * *', label: 'Every hour' },
  { cron: '*/5 * * * *', label: 'Every 5 minutes' },
];

function ScheduleFields({ value, onChange }: { value: Schedule; onChange(value: Schedule): void }) {
  const tables = useQuery({ queryKey: ['tables', 'list'], queryFn: () => api.tables.list.query(), staleTime: 15_000 });
  const kind = value === null ? 'none' : 'cron' in value ? 'cron' : 'new-data';
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const sentence = value !== null && 'cron' in value ? cronSentence(value.cron) : null;
  return (
    <div className={css.row}>
      <NativeSelect
        label="When it runs"
        w={230}
        value={kind}
        data={[
          { value: 'none', label: 'Only when somebody runs it' },
          { value: 'cron', label: 'On a schedule' },
          { value: 'new-data', label: 'When a table has new data' },
        ]}
        onChange={(event) => {
          const next = event.currentTarget.value;
          if (next === 'none') onChange(null);
          if (next === 'cron') onChange({ cron: '0 9 * * 1-5', zone: here });
          if (next === 'new-data') onChange({ onNewData: [] });
        }}
      />
      {value !== null && 'cron' in value && (
        <>
          <Autocomplete
            label="Schedule"
            description={sentence ?? 'Not a schedule yet: five fields, as in cron'}
            error={sentence === null}
            w={220}
            data={usualCrons.map((usual) => usual.cron)}
            renderOption={({ option }) => (
              <span>
                {usualCrons.find((usual) => usual.cron === option.value)?.label}{' '}
                <span className="mono dim">{option.value}</span>
              </span>
            )}
            value={value.cron}
            onChange={(cron) => onChange({ ...value, cron })}
          />
          <Select
            label="Zone"
            description="Summer time is followed"
            w={220}
            searchable
            allowDeselect={false}
            limit={60}
            data={zones(value.zone)}
            value={value.zone}
            onChange={(zone) => zone && onChange({ ...value, zone })}
          />
        </>
      )}
      {value !== null && 'onNewData' in value && (
        <MultiSelect
          label="Tables"
          description="Each new commit of one starts a run"
          w={340}
          searchable
          data={(tables.data ?? []).map((table) => table.name)}
          value={value.onNewData}
          onChange={(onNewData) => onChange({ onNewData })}
        />
      )}
    </div>
  );
}

function zones(chosen: string): string[] {
  return [...new Set([chosen, 'UTC', ...Intl.supportedValuesOf('timeZone')])];
}

/** The report as a definition writes it, without its name and owner. */
function specOf(draft: ReportDraft) {
  const parameters = Object.fromEntries(
    parameterNames(draft.sql).map((name) => {
      const { type, text } = draft.parameters[name] ?? { type: 'text' as const, text: '' };
      return [name, { type, ...(text === '' ? {} : { default: defaultOf(type, text) }) }];
    }),
  );
  return {
    ...(draft.title.trim() === '' ? {} : { title: draft.title.trim() }),
    sql: draft.sql,
    parameters,
    ...(draft.schedule === null ? {} : { schedule: draft.schedule }),
    deliveries: draft.deliveries,
  };
}

function defaultOf(type: ParameterDraft['type'], text: string): string | number | boolean {
  if (type === 'number' && Number.isFinite(Number(text))) return Number(text);
  return type === 'boolean' ? text === 'true' : text;
}

/** A report that exists, as the form edits it. */
export function draftOf(report: Answers['reports']['get']): ReportDraft {
  return {
    name: report.name,
    title: report.title ?? '',
    sql: report.sql,
    parameters: Object.fromEntries(
      Object.entries(report.parameters).map(([name, parameter]) => [
        name,
        {
          type: parameterTypes.find((known) => known === parameter.type) ?? 'text',
          text: parameter.default === undefined || parameter.default === null ? '' : String(parameter.default),
        },
      ]),
    ),
    schedule: report.schedule,
    deliveries: report.deliverySpecs.map((spec) => ({ ...spec, kind: String(spec.kind) })),
  };
}
