import { DailiesError } from '#catalog/error.ts';
import type { Requirement } from '../../source.ts';
import { chosenTables, type FoundTopic } from './discovery.ts';

/** What topics lack before their tables can be followed, with what mends it. */
export async function checkTopics(
  find: () => Promise<FoundTopic[]>,
  patterns: readonly string[],
): Promise<Requirement[]> {
  let found: FoundTopic[];
  try {
    found = await find();
  } catch (thrown) {
    if (!(thrown instanceof DailiesError) || thrown.code !== 'source_unreachable') throw thrown;
    return [
      { problem: thrown.message, statement: 'Make it a folder that the user of this process may read and enter.' },
    ];
  }
  const lacks = found.flatMap((topic): Requirement[] =>
    topic.kind === 'unreadable' ? [{ problem: topic.error.message, statement: remedy(topic.error, topic.topic) }] : [],
  );
  if (lacks.length > 0) return lacks;
  if (found.length === 0) {
    const problem = 'The folder holds no recorded topic.';
    return [
      {
        problem,
        statement:
          'Record each partition into a file <topic>-<partition>.ndjson, for example: kcat -C -J -u -t TOPIC -p 0 >> TOPIC-0.ndjson',
      },
    ];
  }
  const { length } = chosenTables(found, patterns);
  if (length > 0) return [];
  const names = found.map(({ topic }) => topic).join(', ');
  return [
    {
      problem: `Of the topics ${names} none tells of a table that is asked for.`,
      statement:
        "Let Debezium's connector write changes of tables: topics <prefix>.<schema>.<table> (<prefix>.<database>.<table> of MySQL).",
    },
  ];
}

function remedy(error: DailiesError, topic: string): string {
  if (error.code === 'source_not_ready') return error.message;
  return `Record ${topic} with Debezium's own envelope: no unwrapping transform (ExtractNewRecordState), values by JsonConverter or an Avro converter with Confluent's ids.`;
}
