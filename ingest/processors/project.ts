import { z } from 'zod';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { BoundStep, Processor, ProcessorModule } from '../processor.ts';
import { parsePath } from './expression/parse.ts';
import { invalid, type SelectedField, type Selection, selectFields } from './field-selection.ts';

const path = z.string().superRefine((text, context) => {
  try {
    parsePath(text);
  } catch {
    context.addIssue({
      code: 'custom',
      message: `"${text}" is not the path of a field, like title or edge.director.name.`,
    });
  }
});

const config = z.strictObject({
  fields: z
    .array(z.union([path, z.strictObject({ path, as: path })]))
    .default([])
    .meta({
      title: 'Fields',
      description:
        'Fields that this step consumes, as dotted paths. A nested field keeps its nesting; `{path, as}` puts it under another name or path.',
      examples: [['id', 'title', { path: 'edge.director.name', as: 'director' }]],
    }),
  evolve: z.boolean().default(false).meta({
    title: 'Opt in to schema evolution',
    description:
      'On: all upstream fields flow on, new ones too, and only the listed renames apply. Off: only the listed fields flow on.',
  }),
});

export const project: ProcessorModule<typeof config> = {
  kind: 'processor',
  id: 'project',
  title: 'Project',
  summary: 'Keeps the fields that are consumed, and renames them; or passes all on and only renames.',
  config,
  example: { fields: ['id', { path: 'title', as: 'working_title' }], evolve: false },
  open: ({ fields, evolve }) => {
    const selections = fields.map((field): Selection => {
      if (typeof field === 'string') return { from: parsePath(field), to: parsePath(field) };
      return { from: parsePath(field.path), to: parsePath(field.as) };
    });
    return new Project(selections, evolve);
  },
};

class Project implements Processor {
  readonly #selections: readonly Selection[];
  readonly #evolves: boolean;

  constructor(selections: readonly Selection[], evolves: boolean) {
    if (selections.length === 0 && !evolves) throw invalid('project lists no fields: nothing would flow on.');
    this.#selections = selections;
    this.#evolves = evolves;
  }

  async bind(input: Schema): Promise<BoundStep> {
    const consumed = selectFields(input, this.#selections, 'The input of project');
    const fields = this.#evolves
      ? selectFields(input, withAllFields(input, this.#selections), 'The input of project')
      : consumed;
    const output: Schema = { fields: fields.map(({ field }) => field), key: outputKey(input, fields) };
    const projectRow = rowProjection(fields);
    return {
      output,
      consumes: this.#selections.map(({ from }) => ({ path: from.join('.'), required: true })),
      apply: async (changes) => {
        const events = changes.events.map((event) => ({
          ...event,
          before: event.before === null ? null : projectRow(event.before),
          after: event.after === null ? null : projectRow(event.after),
        }));
        return { changes: { ...changes, schema: output, events }, rejected: [] };
      },
    };
  }

  async close(): Promise<void> {}
}

/** Every field of the input in its order, renamed in place where a selection says so; what is taken out of a struct comes last. */
function withAllFields(input: Schema, selections: readonly Selection[]): Selection[] {
  const names = new Set(input.fields.map(({ name }) => name));
  const isRename = ({ from, to }: Selection) => from.length === 1 && to.length === 1 && names.has(from[0] ?? '');
  const renames = new Map(selections.filter(isRename).map((selection) => [selection.from[0], selection]));
  const flowing = input.fields.map(({ name }) => renames.get(name) ?? { from: [name], to: [name] });
  return [...flowing, ...selections.filter((selection) => !isRename(selection) && !isSame(selection))];
}

/** Only says that the field is consumed. */
function isSame({ from, to }: Selection): boolean {
  return from.length === to.length && from.every((name, depth) => to[depth] === name);
}

/** The key under its names in the output. A row without its key could never be changed or deleted again. */
function outputKey(input: Schema, fields: readonly SelectedField[]): string[] {
  return input.key.map((name) => {
    const index = input.fields.findIndex((field) => field.name === name);
    const kept = fields.find((field) => field.index === index && field.isWhole);
    if (kept === undefined) throw invalid(`project drops the key field "${name}": list it under fields.`);
    return kept.field.name;
  });
}

function rowProjection(fields: readonly SelectedField[]): (row: Row) => Row {
  return (row) => fields.map(({ index, take }) => take(row[index] ?? null));
}
