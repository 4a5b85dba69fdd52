// biome-ignore-all lint/a11y/useSemanticElements: a virtual grid cannot be a <table>, since most of its rows are not there
'use client';

import { Button, Modal } from '@mantine/core';
import { keepPreviousData, useQueries } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from 'react';
import css from './data-grid.module.css';
import { cellText, isNumeric, widthOf } from './grid-cell.ts';
import { count } from './numbers.ts';

export interface GridColumn {
  name: string;
  type: string;
}

export type GridRow = readonly unknown[];

interface DataGridProps {
  label: string;
  /** Identifies the result, so that a page is fetched once. */
  cacheKey: readonly unknown[];
  columns: readonly GridColumn[];
  rowCount: number;
  /** Rows from `offset` on, at most `limit`; each a value for each column. */
  loadPage(offset: number, limit: number, signal: AbortSignal): Promise<readonly GridRow[]>;
  onVisible?(first: number, last: number): void;
}

const rowPx = 32;
const pageRows = 200;
/** Browsers cut elements that are taller than about 33 million pixels, so a longer result is shown in parts. */
const partRows = 1_000_000;
const gutterPx = 64;

/** A result of any length: only what is seen is fetched and drawn. Arrow keys move, Enter shows a value whole. */
export function DataGrid(props: DataGridProps) {
  const { columns, rowCount } = props;
  const [part, setPart] = useState(0);
  const base = part * partRows;
  const rowsHere = Math.min(partRows, rowCount - base);
  const parts = Math.max(1, Math.ceil(rowCount / partRows));
  return (
    <div className={css.frame}>
      <GridPart key={part} {...props} base={base} rowsHere={Math.max(0, rowsHere)} />
      {parts > 1 && (
        <div className={css.parts}>
          <Button size="compact-xs" disabled={part === 0} onClick={() => setPart(part - 1)}>
            Earlier rows
          </Button>
          <span>
            Part {part + 1} of {parts}, from row {count(base + 1)}
          </span>
          <Button size="compact-xs" disabled={part === parts - 1} onClick={() => setPart(part + 1)}>
            Later rows
          </Button>
        </div>
      )}
      {columns.length === 0 && <p className={css.none}>The result has no columns.</p>}
    </div>
  );
}

function GridPart({
  label,
  cacheKey,
  columns,
  rowCount,
  loadPage,
  onVisible,
  base,
  rowsHere,
}: DataGridProps & { base: number; rowsHere: number }) {
  const scroller = useRef<HTMLDivElement>(null);
  const gridId = useId();
  const [active, setActive] = useState<{ row: number; column: number } | null>(null);
  const [whole, setWhole] = useState<{ name: string; text: string } | null>(null);
  const rows = useVirtualizer({
    count: rowsHere,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    overscan: 12,
    scrollPaddingStart: rowPx + 4,
  });
  const items = rows.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? 0;
  const pages = usePages({ cacheKey, base, first, last, rowsHere, loadPage });
  const widths = useWidths(columns, pages.anyPage);
  const across = useVirtualizer({
    horizontal: true,
    count: columns.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => widths[index] ?? 120,
    overscan: 4,
    paddingStart: gutterPx,
    scrollPaddingStart: gutterPx,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: widths arrive with the first page
  useEffect(() => across.measure(), [widths]);
  useVisible({ scroller, base, rowsHere, first, last, onVisible });
  const cells = across.getVirtualItems();
  const totalWidth = across.getTotalSize();
  const cellId = (row: number, column: number) => `${gridId}-${row}-${column}`;

  function move(row: number, column: number) {
    const next = {
      row: Math.max(0, Math.min(rowsHere - 1, row)),
      column: Math.max(0, Math.min(columns.length - 1, column)),
    };
    setActive(next);
    rows.scrollToIndex(next.row);
    across.scrollToIndex(next.column);
  }

  function onKeyDown(event: KeyboardEvent) {
    const at = active ?? { row: first, column: 0 };
    const page = Math.max(1, last - first - 24);
    const moves: Record<string, [number, number]> = {
      ArrowDown: [at.row + 1, at.column],
      ArrowUp: [at.row - 1, at.column],
      ArrowRight: [at.row, at.column + 1],
      ArrowLeft: [at.row, at.column - 1],
      PageDown: [at.row + page, at.column],
      PageUp: [at.row - page, at.column],
      Home: [event.ctrlKey ? 0 : at.row, 0],
      End: [event.ctrlKey ? rowsHere - 1 : at.row, columns.length - 1],
    };
    const target = moves[event.key];
    if (target) {
      event.preventDefault();
      move(...target);
      return;
    }
    const value = active ? pages.row(active.row)?.[active.column] : undefined;
    const column = active ? columns[active.column] : undefined;
    if (value === undefined || !column) return;
    if (event.key === 'Enter') setWhole({ name: column.name, text: cellText(value, column, true) });
    if (event.key === 'c' && (event.ctrlKey || event.metaKey) && !window.getSelection()?.toString()) {
      event.preventDefault();
      void navigator.clipboard.writeText(value === null ? '' : cellText(value, column, true));
    }
  }

  return (
    <>
      <div
        ref={scroller}
        className={css.scroller}
        role="grid"
        aria-label={label}
        aria-rowcount={rowCount + 1}
        aria-colcount={columns.length}
        aria-activedescendant={active ? cellId(active.row, active.column) : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onFocus={() => setActive((now) => now ?? (rowsHere > 0 ? { row: first, column: 0 } : null))}
      >
        <div className={css.head} role="row" tabIndex={-1} aria-rowindex={1} style={{ width: totalWidth }}>
          <span className={css.gutter} style={{ width: gutterPx }} aria-hidden />
          {cells.map((cell) => {
            const column = columns[cell.index];
            if (!column) return null;
            return (
              <div
                key={cell.key}
                role="columnheader"
                tabIndex={-1}
                aria-colindex={cell.index + 1}
                className={css.headCell}
                data-number={isNumeric(column.type) || undefined}
                style={{ transform: `translateX(${cell.start}px)`, width: cell.size }}
                title={`${column.name} ${column.type}`}
              >
                <span className={css.name}>{column.name}</span>
                <span className={css.type}>{column.type.toLowerCase()}</span>
              </div>
            );
          })}
        </div>
        <div style={{ height: rows.getTotalSize(), width: totalWidth, position: 'relative' }}>
          {items.map((item) => {
            const row = pages.row(item.index);
            return (
              <div
                key={item.key}
                role="row"
                tabIndex={-1}
                aria-rowindex={base + item.index + 2}
                className={css.row}
                style={{ transform: `translateY(${item.start}px)`, width: totalWidth }}
              >
                <span className={css.gutter} style={{ width: gutterPx }} aria-hidden>
                  {count(base + item.index + 1)}
                </span>
                {cells.map((cell) => {
                  const column = columns[cell.index];
                  if (!column) return null;
                  const isActive = active?.row === item.index && active.column === cell.index;
                  return (
                    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid itself answers the keys for its active cell
                    <div
                      key={cell.key}
                      id={cellId(item.index, cell.index)}
                      role="gridcell"
                      tabIndex={-1}
                      aria-colindex={cell.index + 1}
                      aria-selected={isActive}
                      className={css.cell}
                      data-active={isActive || undefined}
                      data-number={isNumeric(column.type) || undefined}
                      style={{ transform: `translateX(${cell.start}px)`, width: cell.size }}
                      onClick={() => setActive({ row: item.index, column: cell.index })}
                      onDoubleClick={() => {
                        if (row) setWhole({ name: column.name, text: cellText(row[cell.index], column, true) });
                      }}
                    >
                      {row ? <CellValue value={row[cell.index]} column={column} /> : <span className={css.waiting} />}
                    </div>
                  );
                })}
              </div>
            );
          })}
        </div>
        {rowsHere === 0 && <p className={css.none}>No rows.</p>}
      </div>
      <Modal opened={whole !== null} onClose={() => setWhole(null)} title={whole?.name} size="lg">
        <pre className={css.whole}>{whole?.text}</pre>
      </Modal>
    </>
  );
}

function CellValue({ value, column }: { value: unknown; column: GridColumn }) {
  if (value === null || value === undefined) return <span className={css.null}>NULL</span>;
  if (value === '') return <span className={css.null}>empty text</span>;
  return <>{cellText(value, column, false)}</>;
}

interface PagesRequest {
  cacheKey: readonly unknown[];
  base: number;
  first: number;
  last: number;
  rowsHere: number;
  loadPage: DataGridProps['loadPage'];
}

function usePages({ cacheKey, base, first, last, rowsHere, loadPage }: PagesRequest) {
  const from = Math.floor(first / pageRows);
  const to = rowsHere === 0 ? -1 : Math.floor(last / pageRows);
  const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  const results = useQueries({
    queries: numbers.map((page) => {
      const offset = base + page * pageRows;
      // A page that was fetched while the query still ran may be short: its length is part of its identity.
      const limit = Math.min(pageRows, rowsHere - page * pageRows);
      return {
        queryKey: [...cacheKey, 'rows', offset, limit],
        queryFn: ({ signal }: { signal: AbortSignal }) => loadPage(offset, limit, signal),
        staleTime: Number.POSITIVE_INFINITY,
        gcTime: 60_000,
        placeholderData: keepPreviousData,
      };
    }),
  });
  return {
    anyPage: results.find((result) => result.data)?.data,
    row(index: number): GridRow | undefined {
      const page = Math.floor(index / pageRows);
      return results[page - from]?.data?.[index - page * pageRows];
    },
  };
}

/** Widths are settled by the first rows that arrive and stay, so that nothing jumps while scrolling. */
function useWidths(columns: readonly GridColumn[], page: readonly GridRow[] | undefined): readonly number[] {
  const settled = useRef<{ columns: readonly GridColumn[]; widths: number[] } | null>(null);
  const shape = columns.map((column) => `${column.name}:${column.type}`).join('|');
  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for the columns, whose array is new each time
  return useMemo(() => {
    if (settled.current && settled.current.columns.length === columns.length && page === undefined) {
      return settled.current.widths;
    }
    const widths = columns.map((column, index) =>
      widthOf(
        column,
        (page ?? []).slice(0, 60).map((row) => row[index]),
      ),
    );
    if (page) settled.current = { columns, widths };
    return widths;
  }, [shape, page !== undefined]);
}

interface VisibleRequest {
  scroller: React.RefObject<HTMLDivElement | null>;
  base: number;
  rowsHere: number;
  first: number;
  last: number;
  onVisible: DataGridProps['onVisible'];
}

/** Tells which rows are really seen, overscan left out. */
function useVisible({ scroller, base, rowsHere, first, last, onVisible }: VisibleRequest): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: scrolling shows as a change of first and last
  useEffect(() => {
    const element = scroller.current;
    if (!element || !onVisible || rowsHere === 0) return;
    const tell = () => {
      const top = Math.floor(element.scrollTop / rowPx);
      const bottom = Math.ceil((element.scrollTop + element.clientHeight - rowPx) / rowPx);
      onVisible(base + top + 1, base + Math.min(rowsHere, Math.max(top + 1, bottom)));
    };
    tell();
    element.addEventListener('scroll', tell, { passive: true });
    return () => element.removeEventListener('scroll', tell);
  }, [first, last, rowsHere, base]);
}
