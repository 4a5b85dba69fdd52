import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import type { NotOfType } from '../producer/decode-json.ts';

/** A value that its field's type cannot carry, as a text that stands beside it. */
export class OddText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Decoded = Value | OddText | NotOfType;

/** How the values of a Connect type become those of a field. */
export interface ValueCodec {
  type: FieldType;
  /** `raw` is a value of `parseExactJson` or of an Avro reader, never null. */
  decode(raw: unknown): Decoded;
}
