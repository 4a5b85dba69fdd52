'use client';

import {
  autocompletion,
  type CompletionContext,
  type CompletionResult,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, sql } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, lintGutter, setDiagnostics } from '@codemirror/lint';
import { EditorState, Prec } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { type RefObject, useEffect, useImperativeHandle, useRef } from 'react';
import css from './sql-editor.module.css';

export interface EditorHandle {
  focus(): void;
  /** The selected text, or all of it where nothing is selected. */
  selection(): string;
  insert(text: string): void;
  replace(text: string): void;
}

export interface EditorProblem {
  message: string;
  /** Offsets in the text. */
  from: number;
  to: number;
}

interface SqlEditorProps {
  /** The text at first; a new `editorKey` starts over with it. */
  editorKey: string;
  initial: string;
  problem: EditorProblem | null;
  handle: RefObject<EditorHandle | null>;
  complete(text: string, position: number): Promise<{ from: number; options: EditorOption[] }>;
  onChange(text: string): void;
  onRun(): void;
  onSave(): void;
  onFormat(): void;
}

export interface EditorOption {
  label: string;
  /** What is written; the label itself if left out. */
  apply?: string;
  detail?: string;
  /** class | property | function | keyword, which chooses the sign beside it. */
  type?: string;
  boost?: number;
}

export function SqlEditor(props: SqlEditorProps) {
  const { editorKey, initial, problem, handle } = props;
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  useEffect(() => {
    latest.current = props;
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: `initial` counts only when a new text is opened
  useEffect(() => {
    if (!host.current) return;
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({ doc: initial, extensions: extensions(latest) }),
    });
    view.current = editor;
    return () => {
      view.current = null;
      editor.destroy();
    };
  }, [editorKey]);

  useImperativeHandle(handle, () => ({
    focus: () => view.current?.focus(),
    selection: () => {
      const editor = view.current;
      if (!editor) return '';
      const { from, to } = editor.state.selection.main;
      return from === to ? editor.state.doc.toString() : editor.state.sliceDoc(from, to);
    },
    insert: (text) => {
      const editor = view.current;
      if (!editor) return;
      editor.dispatch(editor.state.replaceSelection(text));
      editor.focus();
    },
    replace: (text) => {
      const editor = view.current;
      editor?.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
    },
  }));

  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    editor.dispatch(setDiagnostics(editor.state, problem ? [diagnostic(problem, editor.state.doc.length)] : []));
  }, [problem]);

  return <div ref={host} className={css.host} />;
}

function diagnostic(problem: EditorProblem, length: number): Diagnostic {
  const from = Math.max(0, Math.min(problem.from, length));
  return { from, to: Math.max(from, Math.min(problem.to, length)), severity: 'error', message: problem.message };
}

function extensions(latest: RefObject<SqlEditorProps>) {
  const run = (does: (props: SqlEditorProps) => void) => () => {
    does(latest.current);
    return true;
  };
  return [
    Prec.highest(
      keymap.of([
        { key: 'Mod-Enter', run: run((props) => props.onRun()) },
        { key: 'Mod-s', run: run((props) => props.onSave()), preventDefault: true },
        { key: 'Shift-Alt-f', run: run((props) => props.onFormat()) },
      ]),
    ),
    lineNumbers(),
    highlightActiveLineGutter(),
    history(),
    drawSelection(),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    lintGutter(),
    placeholder('SELECT … FROM …   (Ctrl Enter runs it)'),
    sql({ dialect: PostgreSQL, upperCaseKeywords: true }),
    autocompletion({ override: [(context) => completionsFor(context, latest)], activateOnTypingDelay: 60 }),
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
    syntaxHighlighting(highlight),
    look,
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ 'aria-label': 'SQL' }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) latest.current.onChange(update.state.doc.toString());
    }),
  ];
}

async function completionsFor(
  context: CompletionContext,
  latest: RefObject<SqlEditorProps>,
): Promise<CompletionResult | null> {
  const before = context.matchBefore(/[\w.$"]+$/);
  if (!before && !context.explicit) return null;
  const { from, options } = await latest.current.complete(context.state.doc.toString(), context.pos);
  if (context.aborted || options.length === 0) return null;
  return { from, options, validFor: /^[\w$]*$/ };
}

const highlight = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: 'var(--syntax-keyword)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--syntax-string)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--syntax-number)' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: 'var(--syntax-name)' },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], color: 'var(--ink-faint)', fontStyle: 'italic' },
]);

const look = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', backgroundColor: 'var(--surface-raised)', color: 'var(--ink)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: '"JetBrains Mono", monospace', lineHeight: '20px' },
  '.cm-content': { padding: '8px 0', caretColor: 'var(--ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': {
    backgroundColor: 'var(--surface-raised)',
    color: 'var(--ink-faint)',
    border: 'none',
    paddingLeft: '4px',
  },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--ink) 4%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 24%, transparent) !important',
  },
  '.cm-placeholder': { color: 'var(--ink-faint)' },
  '.cm-tooltip': {
    backgroundColor: 'var(--surface-raised)',
    color: 'var(--ink)',
    border: '1px solid var(--line-strong)',
    borderRadius: '6px',
    boxShadow: '0 6px 20px rgb(0 0 0 / 0.18)',
    overflow: 'hidden',
  },
  '.cm-tooltip-autocomplete > ul': {
    fontFamily: '"JetBrains Mono", monospace',
    fontSize: '12.5px',
    maxHeight: '280px',
  },
  '.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px !important' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': {
    backgroundColor: 'var(--accent-soft) !important',
    color: 'var(--ink) !important',
  },
  '.cm-completionDetail': { color: 'var(--ink-dim)', fontStyle: 'normal', marginLeft: '12px' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '600', color: 'var(--accent)' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--bad)' },
  '.cm-lintRange-error': {
    backgroundImage: 'none',
    textDecoration: 'underline wavy var(--bad)',
    textUnderlineOffset: '4px',
  },
});
