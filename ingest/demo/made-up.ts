import type { Random } from './random.ts';

const firstNames = [
  'Abelard',
  'Araminta',
  'Barnaby',
  'Bettina',
  'Calliope',
  'Cosmo',
  'Drusilla',
  'Dunstan',
  'Ebba',
  'Eustace',
  'Fenella',
  'Florian',
  'Ginevra',
  'Gulliver',
  'Hermia',
  'Horatio',
  'Ignatia',
  'Isidore',
  'Jessamy',
  'Jocasta',
  'Kasimir',
  'Lavinia',
  'Leopold',
  'Marigold',
  'Mortimer',
  'Nerissa',
  'Octavian',
  'Ottoline',
  'Peregrine',
  'Petronella',
  'Quentin',
  'Rosalba',
  'Rufus',
  'Saffron',
  'Septimus',
  'Tabitha',
  'Thaddeus',
  'Ulla',
  'Umberto',
  'Valentina',
  'Wilhelmina',
  'Xanthe',
  'Yorick',
  'Zenobia',
] as const;
const lastNames = [
  'Applethwaite',
  'Bramblewick',
  'Brightwhistle',
  'Buttercombe',
  'Candlewax',
  'Clapperboard',
  'Cloudesley-Hat',
  'Cobblepot',
  'Crumplehorn',
  'Dandelyon',
  'Dollytrack',
  'Drizzlewood',
  'Everquill',
  'Featherstonehope',
  'Fiddlestick',
  'Foleyfoot',
  'Gafferson',
  'Gingerbread',
  'Gripsworth',
  'Hazelnutt',
  'Honeydew',
  'Inkblot',
  'Jellicoe-Spoon',
  'Kettledrum',
  'Lampwick',
  'Limelight',
  'Marmalade',
  'Merrywether',
  'Mothwing',
  'Nettlebed',
  'Nightingown',
  'Oddfellow',
  'Papercastle',
  'Pepperpot',
  'Picklewright',
  'Popplewell',
  'Quillfeather',
  'Quibble',
  'Rainbarrel',
  'Rumblethump',
  'Sandcastle',
  'Silverthimble',
  'Snapdragon',
  'Spindlewhirl',
  'Sprocket',
  'Starchcollar',
  'Teacake',
  'Thistledown',
  'Thunderbuttons',
  'Tumbleweather',
  'Umbrellastand',
  'Velveteen',
  'Wafflesmith',
  'Whistlebrook',
  'Wigglesworth-Pin',
  'Windowbox',
  'Yellowboots',
  'Zigzag',
] as const;

/** Somebody who plainly does not exist. */
export function madeUpName(random: Random): string {
  return `${random.pick(firstNames)} ${random.pick(lastNames)}`;
}

const companies = [
  'Lantern',
  'Paper Moon',
  'Blue Door',
  'Tin Whistle',
  'Night Bus',
  'Second Star',
  'Long Shadow',
  'Old Harbour',
  'Red Kite',
  'Northern Line',
  'Salt Road',
  'Tall Tale',
] as const;
const companyKinds = ['Pictures', 'Distribution', 'Broadcasting', 'Streaming', 'Cinemas', 'Television'] as const;

export function madeUpCompany(random: Random): string {
  return `${random.pick(companies)} ${random.pick(companyKinds)} (made up)`;
}

const characters = [
  'the baker',
  'the lighthouse keeper',
  'Aunt Sybil',
  'the second stranger',
  'Captain Rook',
  'a clockmaker',
  'the girl with the kite',
  'Inspector Dove',
  'the last postman',
  'Young Pip',
  'the narrator',
  'Mrs Partridge',
  'the cartographer',
  'Number Nine',
  'a violinist',
  'the mayor',
] as const;

export function madeUpCharacter(random: Random): string {
  return random.pick(characters);
}

const openings = [
  'After the storm,',
  'One winter,',
  'When the bridge closes,',
  'Years later,',
  'In a town without clocks,',
  'On the night ferry,',
  'Against all advice,',
  'Far from the sea,',
] as const;
const subjects = [
  'a retired locksmith',
  'two sisters',
  'the youngest of the crew',
  'a projectionist',
  'an honest thief',
  'a beekeeper',
  'the new doctor',
  'a family of bell-ringers',
] as const;
const verbs = [
  'finds',
  'hides',
  'must return',
  'invents',
  'mistakes',
  'sets out to sell',
  'cannot forget',
  'steals back',
] as const;
const objects = [
  'a letter meant for somebody else',
  'the map of a vanished street',
  'the only copy of a song',
  'a suitcase full of snow',
  'the wrong coat',
  'a lighthouse',
  'the mayor’s parrot',
  'thirteen unsent postcards',
] as const;
const endings = [
  'and the whole valley changes.',
  'but nobody believes it.',
  'which was never the plan.',
  'just before the last train.',
  'and keeps it for one more summer.',
  'while the cameras are rolling.',
] as const;

export function madeUpSentence(random: Random): string {
  return [openings, subjects, verbs, objects, endings].map((part) => random.pick<string>(part)).join(' ');
}

export function madeUpText(random: Random, sentences: number): string {
  return Array.from({ length: sentences }, () => madeUpSentence(random)).join(' ');
}

const notes = [
  'Rain cover agreed with the location.',
  'Waiting for the insurer.',
  'Lead is free again from Monday.',
  'Second unit takes the car scenes.',
  'Colour test came back warm; fine.',
  'Costume needs two more days.',
  'Please call before 18:00.',
  'Extra crane booked.',
  'Child licence received.',
  'Sound asks for a quieter generator.',
  'Moved because of the school holidays.',
  'Rights cleared, papers are in the folder.',
] as const;

export function madeUpNote(random: Random): string {
  return random.pick(notes);
}
