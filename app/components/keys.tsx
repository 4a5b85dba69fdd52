'use client';

import { ActionIcon, Kbd, Modal, Table } from '@mantine/core';
import { IconKeyboard } from '@tabler/icons-react';

interface KeysProps {
  opened: boolean;
  onOpen(): void;
  onClose(): void;
  places: readonly { label: string; letter: string }[];
}

/** The list of keys, opened by `?` or its button. */
export function Keys({ opened, onOpen, onClose, places }: KeysProps) {
  const keys: [string[], string][] = [
    [['Ctrl', 'K'], 'Find tables, columns, reports, pipelines, pages'],
    ...places.map((place): [string[], string] => [['G', place.letter.toUpperCase()], `Go to ${place.label}`]),
    [['Ctrl', '↵'], 'SQL: run'],
    [['Ctrl', 'S'], 'SQL: save as a report'],
    [['Shift', 'Alt', 'F'], 'SQL: format'],
    [['?'], 'Show this list'],
  ];
  return (
    <>
      <ActionIcon aria-label="Keyboard shortcuts" title="Keys ( ? )" onClick={onOpen}>
        <IconKeyboard size={16} stroke={1.6} />
      </ActionIcon>
      <Modal opened={opened} onClose={onClose} title="Keys">
        <Table withRowBorders={false}>
          <Table.Tbody>
            {keys.map(([combination, does]) => (
              <Table.Tr key={does} h={32}>
                <Table.Td w={150}>
                  {combination.map((key) => (
                    <Kbd key={key} mr={4}>
                      {key}
                    </Kbd>
                  ))}
                </Table.Td>
                <Table.Td>{does}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Modal>
    </>
  );
}
