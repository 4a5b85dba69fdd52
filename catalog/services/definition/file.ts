import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { definitionInvalid, type Path, type Problem } from './problem.ts';

/** One definition file, YAML or JSON, with the place of everything in it. */
export interface DefinitionFile {
  /** As the person named it. */
  name: string;
  value: unknown;
  /** Line and column, from 1, of the nearest thing that stands at or above `path`. */
  locate(path: Path, at?: 'key' | 'value'): { line: number; column: number } | null;
}

/** Throws `definition_invalid` with the place where the text is not YAML, or a key stands twice. */
export function parseDefinitionFile(name: string, text: string): DefinitionFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  if (document.errors.length > 0) {
    const problems: Problem[] = document.errors.map((error) => ({
      file: name,
      ...place(error.pos[0]),
      message: error.message.replace(/\s+/g, ' '),
    }));
    throw definitionInvalid(problems);
  }
  return {
    name,
    value: readValue(name, document) ?? {},
    locate(path, at = 'value') {
      let node: Node | null = document.contents;
      let offset = node?.range?.[0] ?? 0;
      for (const [depth, part] of path.entries()) {
        const isLast = depth === path.length - 1;
        if (isMap(node)) {
          const pair: { key: unknown; value: unknown } | undefined = node.items.find(
            (item) => isScalar(item.key) && String(item.key.value) === String(part),
          );
          if (pair === undefined) break;
          const key = pair.key as Node;
          const value = pair.value as Node | null;
          offset = (isLast && at === 'value' ? value?.range?.[0] : undefined) ?? key.range?.[0] ?? offset;
          node = value;
        } else if (isSeq(node)) {
          const item = node.items[Number(part)] as Node | undefined;
          if (item === undefined) break;
          offset = item.range?.[0] ?? offset;
          node = item;
        } else break;
      }
      return place(offset);
    },
  };
}

/** Aliases of YAML may stand for far more than the text holds, or for a value that holds itself: both are refused. */
function readValue(name: string, document: Document.Parsed): unknown {
  const refuse = (message: string) => definitionInvalid([{ file: name, line: null, column: null, message }]);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    if (cause instanceof ReferenceError) throw refuse('Its aliases (*name) stand for too much: write it out.');
    throw cause;
  }
  if (holdsItself(value)) throw refuse('An alias (*name) stands inside of what it stands for.');
  return value;
}

function holdsItself(value: unknown, above: readonly unknown[] = []): boolean {
  if (value === null || typeof value !== 'object') return false;
  if (above.includes(value)) return true;
  return Object.values(value).some((item) => holdsItself(item, [...above, value]));
}
