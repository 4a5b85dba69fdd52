/** A number of a JSON text whose digits a double would change. */
export class RawNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): unknown {
    return JSON.rawJSON(this.text);
  }
}

/** Parses JSON without losing a digit: a number that a double cannot print back as it was written is a RawNumber. */
export function parseExactJson(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, context: { source?: string }) => {
    if (typeof value !== 'number' || context.source === undefined) return value;
    return String(value) === context.source ? value : new RawNumber(context.source);
  });
}

declare global {
  interface JSON {
    /** Node 22 and later; not yet in TypeScript's library. */
    rawJSON(text: string): unknown;
    parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  }
}
