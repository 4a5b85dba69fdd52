/**
 * JSON whose integers keep all 64 bits: snapshot ids of other writers do not fit a double. Integers beyond ±(2^53 − 1)
 * become bigint, others stay numbers; printing writes a bigint as a plain integer.
 */
export function parseJson(text: string): unknown {
  return parseWithSource(text, (_key, value, context) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source)
      ? BigInt(context.source)
      : value,
  );
}

export function printJson(value: unknown): string {
  return JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? rawJson(item.toString()) : item));
}

type SourceReviver = (key: string, value: unknown, context: { source: string }) => unknown;

// Node 24 hands a reviver the text of each primitive and has JSON.rawJSON; TypeScript's library does not declare them yet.
function parseWithSource(text: string, reviver: SourceReviver): unknown {
  return (JSON.parse as (text: string, reviver: SourceReviver) => unknown)(text, reviver);
}

function rawJson(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}
