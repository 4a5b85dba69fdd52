import { z } from 'zod';
import type { DestinationModule } from '../destination.ts';
import { charactersPerCell } from './cells.ts';
import { quota } from './client.ts';
import { SheetDelivery } from './delivery.ts';

const config = z
  .strictObject({
    spreadsheet: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, 'is the long part of the address, between /d/ and the next slash')
      .meta({
        title: 'Spreadsheet',
        description: "The spreadsheet's id: the long part of its address",
        examples: ['1AbC…'],
      }),
    tab: z
      .string()
      .min(1)
      .max(100)
      .meta({ title: 'Tab', description: 'Made when it is missing', examples: ['Movies'] }),
    credentials: z
      .string()
      .min(1)
      .meta({
        title: 'Credential',
        description:
          "A service account's JSON (share the sheet with its address as an editor) or an OAuth refresh token",
        secret: true,
        examples: ['${secret:google-service-account}'],
      }),
    mode: z.enum(['append', 'replace', 'upsert', 'mirror']).meta({
      title: 'Mode',
      description:
        'mirror: rows are changed, added and removed by key · upsert: nothing is removed · append: rows are only added · replace: our columns are written anew in the order of the result',
    }),
    key: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .meta({ title: 'Key', description: 'Columns that identify a row', examples: [['id']] }),
  })
  .refine((value) => value.key !== undefined || value.mode === 'append' || value.mode === 'replace', {
    message: 'mirror and upsert need a key: the columns that identify a row',
    path: ['key'],
  });

/**
 * What a stakeholder writes beside the rows stays beside them: only the report's own columns are ever written, found by
 * name or by our mark, wherever people moved them; rows keep their place. A row that leaves a mirror is deleted as a
 * whole row, so that everything below moves up together with its notes; where people wrote something into it, only our
 * cells are emptied and their note stays.
 */
export const googleSheets: DestinationModule<typeof config> = {
  kind: 'destination',
  id: 'google-sheets',
  title: 'Google Sheets',
  summary:
    'Keeps the rows of a tab current and leaves the notes, columns and formats that people add beside them alone.',
  config,
  limits: {
    rows: null,
    columns: 18_278,
    charactersPerCell,
    requests: quota,
    bytesPerRequest: 2_000_000,
    rowsPerRequest: null,
  },
  target: (value) => `${value.spreadsheet}/${value.tab}`,
  exclusive: (value) => `google-sheets/${value.spreadsheet}`,
  open: (value, deps) => new SheetDelivery(value, deps),
};
