import {
  ActionIcon,
  Badge,
  Button,
  createTheme,
  Input,
  type MantineColorsTuple,
  Menu,
  Modal,
  SegmentedControl,
  Table,
  Tabs,
  Tooltip,
} from '@mantine/core';

const accent: MantineColorsTuple = [
  '#eef3fe',
  '#dbe5fd',
  '#b8cbf9',
  '#93b1fb',
  '#6d92ee',
  '#4973dd',
  '#2853c4',
  '#2148ad',
  '#1b3b8e',
  '#152e6f',
];

/** Mantine's own greys, as warm as the surfaces in tokens.css. */
const gray: MantineColorsTuple = [
  '#fcfbf9',
  '#f5f3ef',
  '#f0ede8',
  '#e4e0d9',
  '#cdc7bd',
  '#aaa499',
  '#78716a',
  '#655f56',
  '#49453e',
  '#1f1d1a',
];

const dark: MantineColorsTuple = [
  '#ebe8e2',
  '#aaa499',
  '#948e84',
  '#6b665d',
  '#49453e',
  '#272521',
  '#1d1c19',
  '#161513',
  '#121110',
  '#0c0b0a',
];

/** Dense by default: 14 px text, 32 px controls. Colours come from tokens.css. */
export const theme = createTheme({
  primaryColor: 'accent',
  primaryShade: { light: 6, dark: 6 },
  colors: { accent, gray, dark },
  fontFamily: '"Inter Variable", system-ui, sans-serif',
  fontFamilyMonospace: '"JetBrains Mono", ui-monospace, monospace',
  headings: {
    fontFamily: '"Inter Variable", system-ui, sans-serif',
    fontWeight: '600',
    sizes: {
      h1: { fontSize: '20px', lineHeight: '28px' },
      h2: { fontSize: '15px', lineHeight: '24px' },
      h3: { fontSize: '14px', lineHeight: '20px' },
    },
  },
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  spacing: { xs: '8px', sm: '12px', md: '16px', lg: '24px', xl: '32px' },
  radius: { xs: '2px', sm: '4px', md: '6px', lg: '8px', xl: '12px' },
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Button: Button.extend({
      defaultProps: { size: 'xs', variant: 'default' },
      vars: () => ({ root: { '--button-height': '32px', '--button-fz': '13px', '--button-padding-x': '12px' } }),
      styles: { root: { fontWeight: 500 } },
    }),
    ActionIcon: ActionIcon.extend({ defaultProps: { variant: 'subtle', color: 'gray', size: 28 } }),
    Badge: Badge.extend({ defaultProps: { variant: 'light', tt: 'none' } }),
    Input: Input.extend({
      defaultProps: { size: 'xs' },
      vars: () => ({ wrapper: { '--input-height': '32px', '--input-fz': '13px' } }),
    }),
    InputWrapper: Input.Wrapper.extend({
      defaultProps: { size: 'xs' },
      styles: { label: { fontWeight: 500, fontSize: '13px', marginBottom: 4 }, description: { fontSize: '12px' } },
    }),
    SegmentedControl: SegmentedControl.extend({ defaultProps: { size: 'xs' } }),
    Table: Table.extend({ defaultProps: { fz: 13, verticalSpacing: 0, horizontalSpacing: 'sm' } }),
    Tabs: Tabs.extend({ defaultProps: { keepMounted: false } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 250, withArrow: true, fz: 12, multiline: true, maw: 420 } }),
    Menu: Menu.extend({ defaultProps: { shadow: 'md', position: 'bottom-end' } }),
    Modal: Modal.extend({ defaultProps: { centered: true, radius: 'lg' } }),
  },
});
