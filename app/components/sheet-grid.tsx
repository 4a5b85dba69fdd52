// biome-ignore-all lint/a11y/useSemanticElements: a virtual grid cannot be a <table>, since most of its rows are not there
'use client';

import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import css from './sheet-grid.module.css';
import type { SheetView } from './use-sheet.ts';

interface SheetGridProps {
  view: SheetView;
  changed: ReadonlySet<string>;
  onWrite(row: number, column: number, value: string): Promise<void>;
}

interface Place {
  row: number;
  column: number;
}

const rowPx = 26;
const spareRows = 12;
const spareColumns = 3;

/** A spreadsheet's tab: what changes lights up for a moment, and one can write into any cell. */
export function SheetGrid({ view, changed, onWrite }: SheetGridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<Place>({ row: 0, column: 0 });
  const [editing, setEditing] = useState<{ place: Place; text: string } | null>(null);
  const isOpen = useRef(false);
  const used = Math.max(view.marks.length, ...view.cells.slice(0, 50).map((row) => row.length), 1);
  const columns = Array.from({ length: Math.max(8, lastUsed(view, used) + spareColumns) }, (_, column) => column);
  const widths = columns.map((column) => widthOf(view, column));
  const rows = useVirtualizer({
    count: view.cells.length + spareRows,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    overscan: 10,
    scrollPaddingStart: rowPx,
  });
  const template = `48px ${widths.map((width) => `${width}px`).join(' ')}`;

  function move(row: number, column: number) {
    const next = {
      row: Math.max(0, Math.min(view.cells.length + spareRows - 1, row)),
      column: Math.max(0, Math.min(columns.length - 1, column)),
    };
    setAt(next);
    rows.scrollToIndex(next.row);
  }
  function begin(place: Place, text: string) {
    isOpen.current = true;
    setAt(place);
    setEditing({ place, text });
  }
  function finish(isKept: boolean, down: number, right: number) {
    // Leaving the field ends it too, also when Enter has just done so.
    if (!editing || !isOpen.current) return;
    isOpen.current = false;
    const { place, text } = editing;
    setEditing(null);
    if (isKept && text !== (view.cells[place.row]?.[place.column] ?? '')) void onWrite(place.row, place.column, text);
    move(place.row + down, place.column + right);
    scroller.current?.focus();
  }
  function onKeyDown(event: KeyboardEvent) {
    if (editing) return;
    const moves: Record<string, [number, number]> = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowRight: [0, 1],
      ArrowLeft: [0, -1],
    };
    const step = moves[event.key];
    if (step) {
      event.preventDefault();
      move(at.row + step[0], at.column + step[1]);
    } else if (event.key === 'Enter' || event.key === 'F2') {
      event.preventDefault();
      begin(at, view.cells[at.row]?.[at.column] ?? '');
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      void onWrite(at.row, at.column, '');
    } else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      begin(at, event.key);
    }
  }

  return (
    <div
      ref={scroller}
      className={css.sheet}
      role="grid"
      aria-label={`Sheet, tab ${view.tabs.join(', ')}`}
      aria-rowcount={view.cells.length}
      aria-colcount={columns.length}
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div className={css.letters} role="row" tabIndex={-1} style={{ gridTemplateColumns: template }}>
        <span className={css.corner} aria-hidden />
        {columns.map((column) => (
          <span key={column} role="columnheader" tabIndex={-1} className={css.letter}>
            {letters(column)}
            {view.marks[column] && <span className={css.mark} role="img" aria-label="kept by the report" />}
          </span>
        ))}
      </div>
      <div style={{ height: rows.getTotalSize(), position: 'relative' }}>
        {rows.getVirtualItems().map((item) => (
          <div
            key={item.key}
            role="row"
            tabIndex={-1}
            aria-rowindex={item.index + 1}
            className={css.row}
            data-head={item.index === 0 || undefined}
            style={{ transform: `translateY(${item.start}px)`, gridTemplateColumns: template }}
          >
            <span className={css.number} aria-hidden>
              {item.index + 1}
            </span>
            {columns.map((column) => {
              const place = { row: item.index, column };
              const isHere = at.row === place.row && at.column === place.column;
              const isEdited = editing?.place.row === place.row && editing.place.column === place.column;
              const text = view.cells[item.index]?.[column] ?? '';
              return (
                <SheetCell
                  key={column}
                  text={text}
                  isHere={isHere}
                  isOurs={Boolean(view.marks[column])}
                  isChanged={changed.has(`${item.index}:${column}`)}
                  version={view.version}
                  edited={isEdited ? editing.text : null}
                  onChoose={() => setAt(place)}
                  onBegin={() => begin(place, text)}
                  onEdit={(next) => setEditing({ place, text: next })}
                  onFinish={finish}
                />
              );
            })}
          </div>
        ))}
      </div>
    </div>
  );
}

interface SheetCellProps {
  text: string;
  isHere: boolean;
  isOurs: boolean;
  isChanged: boolean;
  version: number;
  /** The text being written; null while nobody writes here. */
  edited: string | null;
  onChoose(): void;
  onBegin(): void;
  onEdit(text: string): void;
  onFinish(isKept: boolean, down: number, right: number): void;
}

function SheetCell(props: SheetCellProps) {
  const { text, isHere, isOurs, isChanged, version, edited } = props;
  const cell = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each version that changed this cell lights it up once more
  useEffect(() => {
    if (!isChanged) return;
    cell.current?.animate([{ backgroundColor: 'var(--accent-soft)' }, { backgroundColor: 'transparent' }], {
      duration: 2500,
      easing: 'ease-in',
    });
  }, [isChanged, version]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid itself answers the keys for its chosen cell
    <div
      ref={cell}
      role="gridcell"
      tabIndex={-1}
      aria-selected={isHere}
      className={css.cell}
      data-here={isHere || undefined}
      data-ours={isOurs || undefined}
      data-number={/^-?[\d,]+(\.\d+)?$/.test(text) || undefined}
      title={text.length > 24 ? text : undefined}
      onClick={props.onChoose}
      onDoubleClick={props.onBegin}
    >
      {edited === null ? (
        text
      ) : (
        <input
          className={css.input}
          aria-label="Cell"
          // biome-ignore lint/a11y/noAutofocus: the person has just begun to write here
          autoFocus
          value={edited}
          onChange={(event) => props.onEdit(event.currentTarget.value)}
          onBlur={() => props.onFinish(true, 0, 0)}
          onKeyDown={(event) => {
            if (event.key === 'Enter') props.onFinish(true, 1, 0);
            if (event.key === 'Tab') {
              event.preventDefault();
              props.onFinish(true, 0, 1);
            }
            if (event.key === 'Escape') props.onFinish(false, 0, 0);
            event.stopPropagation();
          }}
        />
      )}
    </div>
  );
}

function lastUsed(view: SheetView, used: number): number {
  return Math.max(used, ...view.cells.map((row) => row.length));
}

function widthOf(view: SheetView, column: number): number {
  const longest = Math.max(...view.cells.slice(0, 60).map((row) => (row[column] ?? '').length), 0);
  return Math.min(216, Math.max(80, longest * 7.4 + 18));
}

/** A, B, … Z, AA. */
function letters(column: number): string {
  const rest = Math.floor(column / 26);
  return (rest > 0 ? letters(rest - 1) : '') + String.fromCharCode(65 + (column % 26));
}
