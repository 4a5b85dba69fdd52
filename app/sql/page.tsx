'use client';

import { Button, Tooltip } from '@mantine/core';
import { IconDeviceFloppy, IconHistory, IconLink, IconPlayerPlay, IconWand } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { parseAsString, useQueryStates } from 'nuqs';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { api, problemOf } from '../components/api.ts';
import { AsOf } from '../components/as-of.tsx';
import { Failure } from '../components/failure.tsx';
import { Loading } from '../components/loading.tsx';
import { ParameterForm } from '../components/parameter-form.tsx';
import { QueryHistory } from '../components/query-history.tsx';
import { QueryResult } from '../components/query-result.tsx';
import { SaveReport } from '../components/save-report.tsx';
import { useWho } from '../components/session.tsx';
import { Splitter } from '../components/splitter.tsx';
import { type Draft, useDrafts } from '../components/sql-drafts.ts';
import { type EditorHandle, type EditorProblem, SqlEditor } from '../components/sql-editor.tsx';
import { parameterNames, parameterValue } from '../components/sql-parameters.ts';
import { SqlTabs } from '../components/sql-tabs.tsx';
import { TableTree } from '../components/table-tree.tsx';
import { isEnded, useQueryState, useSubmitQuery } from '../components/use-query-run.ts';
import css from './sql.module.css';

export default function SqlPage() {
  const who = useWho();
  const drafts = useDrafts(who.email);
  const [link, setLink] = useQueryStates({ q: parseAsString, name: parseAsString }, { history: 'replace' });
  const isReady = drafts.active !== null;
  // A link that carries SQL opens a tab of its own, once, and leaves the address.
  useEffect(() => {
    if (!isReady || link.q === null) return;
    drafts.open(link.q, link.name ?? undefined);
    void setLink({ q: null, name: null });
  }, [isReady, link.q, link.name, drafts.open, setLink]);
  const insert = useRef<(text: string) => void>(() => {});
  return (
    <div className={css.page}>
      <h1 className={css.heading}>SQL</h1>
      <div className={css.tree}>
        <TableTree onInsert={(text) => insert.current(text)} />
      </div>
      <div className={css.work}>
        <SqlTabs
          drafts={drafts.drafts}
          activeId={drafts.active?.id ?? null}
          onActivate={drafts.activate}
          onClose={drafts.close}
          onOpen={() => drafts.open('')}
          onRename={(id, name) => drafts.change(id, { name })}
        />
        {drafts.active ? (
          <Workbench
            key={drafts.active.id}
            draft={drafts.active}
            onChange={drafts.change}
            onOpen={drafts.open}
            insertRef={insert}
          />
        ) : (
          <Loading what="your drafts" rows={3} />
        )}
      </div>
    </div>
  );
}

interface WorkbenchProps {
  draft: Draft;
  onChange(id: string, changes: Partial<Draft>): void;
  onOpen(sql: string, name?: string): void;
  insertRef: React.RefObject<(text: string) => void>;
}

function Workbench({ draft, onChange, onOpen, insertRef }: WorkbenchProps) {
  const who = useWho();
  const client = useQueryClient();
  const editor = useRef<EditorHandle | null>(null);
  const [isSaving, setSaving] = useState(false);
  const [isHistoryOpen, setHistoryOpen] = useState(false);
  const [ran, setRan] = useState<{ id: string; sql: string; offset: number } | null>(null);
  const names = useMemo(() => parameterNames(draft.sql), [draft.sql]);
  const query = useQueryState(draft.queryId);
  const pending = useRef({ sql: '', offset: 0 });
  const submit = useSubmitQuery((id) => {
    setRan({ id, ...pending.current });
    onChange(draft.id, { queryId: id });
  });
  useEffect(() => {
    insertRef.current = (text) => editor.current?.insert(text);
    editor.current?.focus();
  }, [insertRef]);

  const state = query.data?.state;
  const isRunning = submit.isPending || (draft.queryId !== null && !query.error && !isEnded(state));
  // biome-ignore lint/correctness/useExhaustiveDependencies: a query that ends belongs into the history at once
  useEffect(() => {
    if (isEnded(state)) void client.invalidateQueries({ queryKey: ['sql-history'] });
  }, [state, draft.queryId]);

  function run() {
    const sql = editor.current?.selection() ?? draft.sql;
    if (sql.trim() === '' || isRunning) return;
    const parameters = Object.fromEntries(
      parameterNames(sql).map((name) => [name, parameterValue(draft.parameters[name] ?? { type: 'text', text: '' })]),
    );
    pending.current = { sql, offset: Math.max(0, draft.sql.indexOf(sql)) };
    submit.mutate({ sql, parameters, asOf: draft.asOf });
  }

  async function format() {
    const { format: formatSql } = await import('sql-formatter');
    const text = draft.sql;
    try {
      editor.current?.replace(
        formatSql(text, { language: 'duckdb', keywordCase: 'upper', paramTypes: { named: [':'] } }),
      );
    } catch {
      // Text that is not yet SQL stays as it is: running it says where it breaks.
      editor.current?.focus();
    }
  }

  const cancel = useCallback(async () => {
    if (draft.queryId === null) return;
    await api.sql.cancel.mutate({ id: draft.queryId });
    await query.refetch();
  }, [draft.queryId, query.refetch]);

  // The mark belongs to the text that ran, not to what is written later.
  const problem = useMemo(
    () => (ran ? editorProblem(submit.error ?? query.data?.error ?? null, ran.sql, ran.offset) : null),
    [submit.error, query.data?.error, ran],
  );

  return (
    <div className={css.bench}>
      <Splitter
        label="Height of the editor"
        top={
          <SqlEditor
            editorKey={draft.id}
            initial={draft.sql}
            problem={problem}
            handle={editor}
            complete={complete}
            onChange={(sql) => onChange(draft.id, { sql })}
            onRun={run}
            onSave={() => setSaving(true)}
            onFormat={() => void format()}
          />
        }
        bottom={
          <div className={css.lower}>
            <div className={css.bar} role="toolbar" aria-label="Run">
              <Button
                variant="filled"
                leftSection={<IconPlayerPlay size={14} aria-hidden />}
                rightSection={<span className={css.key}>Ctrl ↵</span>}
                onClick={run}
                loading={submit.isPending}
                disabled={draft.sql.trim() === ''}
              >
                Run
              </Button>
              {isRunning && !submit.isPending && <Button onClick={() => void cancel()}>Cancel</Button>}
              <AsOf value={draft.asOf} onChange={(asOf) => onChange(draft.id, { asOf })} />
              <span className={css.grow} />
              <IconButton label="Format ( Shift Alt F )" icon={IconWand} onClick={() => void format()} />
              <IconButton label="Copy a link to this SQL" icon={IconLink} onClick={() => void copyLink(draft)} />
              <IconButton label="History" icon={IconHistory} onClick={() => setHistoryOpen(true)} />
              {who.mayWriteReports && (
                <Button
                  leftSection={<IconDeviceFloppy size={15} aria-hidden />}
                  onClick={() => setSaving(true)}
                  disabled={draft.sql.trim() === ''}
                >
                  Save as report
                </Button>
              )}
            </div>
            {names.length > 0 && (
              <ParameterForm
                names={names}
                values={draft.parameters}
                onChange={(parameters) => onChange(draft.id, { parameters })}
              />
            )}
            <div className={css.result}>
              {submit.error ? (
                <div className={css.trouble}>
                  <Failure error={submit.error} what="This statement did not run." />
                </div>
              ) : query.error ? (
                <p className={css.hint}>The last result is no longer kept. Run the statement again.</p>
              ) : query.data && draft.queryId !== null ? (
                <QueryResult key={draft.queryId} id={draft.queryId} query={query.data} onCancel={() => void cancel()} />
              ) : draft.queryId !== null ? (
                <Loading what="the result" rows={4} />
              ) : (
                <p className={css.hint}>
                  Write one SELECT and press Ctrl ↵. Write <code>:name</code> for a parameter. A click on a table at the
                  left shows its columns.
                </p>
              )}
            </div>
          </div>
        }
      />
      <SaveReport opened={isSaving} draft={draft} onClose={() => setSaving(false)} />
      <QueryHistory opened={isHistoryOpen} onClose={() => setHistoryOpen(false)} onOpen={(sql) => onOpen(sql)} />
    </div>
  );
}

function IconButton({ label, icon: Icon, onClick }: { label: string; icon: typeof IconLink; onClick(): void }) {
  return (
    <Tooltip label={label}>
      <Button px={8} aria-label={label} onClick={onClick}>
        <Icon size={15} stroke={1.7} aria-hidden />
      </Button>
    </Tooltip>
  );
}

async function copyLink(draft: Draft) {
  const { notifications } = await import('@mantine/notifications');
  const query = new URLSearchParams({ q: draft.sql, name: draft.name });
  await navigator.clipboard.writeText(`${window.location.origin}/sql?${query}`);
  notifications.show({ message: 'The link is copied. Whoever opens it runs the statement with their own rights.' });
}

/** Where in the editor an error belongs: its line and column in the text that ran, which may have been a selection. */
function editorProblem(error: unknown, sql: string, offset: number): EditorProblem | null {
  if (error === null) return null;
  const { message, place } = placedError(error);
  if (place === null) return null;
  const lines = sql.split('\n');
  const before = lines.slice(0, place.line - 1).reduce((sum, line) => sum + line.length + 1, 0);
  const line = lines[place.line - 1] ?? '';
  const inLine = [...line].slice(0, place.column - 1).join('').length;
  const word = /^["\w$.]+/.exec(line.slice(inLine))?.[0].length ?? 1;
  const from = offset + before + inLine;
  return { message, from, to: from + word };
}

function placedError(error: unknown): { message: string; place: { line: number; column: number } | null } {
  const problem = error instanceof Error ? problemOf(error) : (error as { message: string; details?: unknown });
  const flat = { ...(problem as object), ...((problem.details ?? {}) as object) } as {
    line?: unknown;
    column?: unknown;
  };
  const hasPlace = typeof flat.line === 'number' && typeof flat.column === 'number';
  return {
    message: problem.message,
    place: hasPlace ? { line: flat.line as number, column: flat.column as number } : null,
  };
}

async function complete(sql: string, position: number) {
  const { from, suggestions } = await api.sql.complete.query({ sql, position });
  return {
    from,
    options: suggestions.map(({ label, insert, kind, detail }, index) => ({
      label,
      apply: insert,
      type: editorKinds[kind],
      // The server's order stands: the editor would sort by letters.
      boost: 99 - index,
      ...(detail === null ? {} : { detail }),
    })),
  };
}

const editorKinds = { table: 'class', column: 'property', function: 'function', keyword: 'keyword' } as const;
